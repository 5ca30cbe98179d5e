package meter

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
)

func activeData(offset int64, content string) []byte {
	return seq(u32(0), constI32(offset), op(opEnd), appendName(nil, content))
}

// withData is a module that exports its memory of one page, with these segments in it.
func withData(datas ...[]byte) *asm {
	a := &asm{memory: &Extent{Min: 1}, datas: datas}
	a.export("memory", KindMemory, 0)
	a.export("run", KindFunction, a.fn(nil, nil, nil))
	return a
}

func TestDataIsMerged(t *testing.T) {
	far := strings.Repeat("x", 100)
	imported := withData(activeData(1, "a"), activeData(3, "b"))
	imported.memory, imported.exports = nil, nil
	imported.imports = []Import{{Module: "m", Name: "memory", Kind: KindMemory, Extent: Extent{Min: 1}}}
	counted := withData(activeData(1, "a"), activeData(3, "b"))
	counted.counted = true
	global := withData(activeData(1, "a"), seq(u32(0), op(opGlobalGet, 0), op(opEnd), appendName(nil, "b")))
	global.globals = []asmGlobal{{typ: I32, init: constI32(9)}}
	for _, c := range []struct {
		name string
		mod  *asm
		want int // segments
	}{
		{"none", withData(), 0},
		{"one", withData(activeData(5, "a")), 1},
		{"next to each other", withData(activeData(1, far), activeData(101, "b"), activeData(102, far)), 1},
		{"zeros between", withData(activeData(1, "a"), activeData(2+mergeGap, "b")), 1},
		{"too many zeros between", withData(activeData(1, "a"), activeData(3+mergeGap, "b"), activeData(4+mergeGap, "c")), 2},
		{"from above", withData(activeData(20, "c"), activeData(10, "b"), activeData(1, "a")), 1},
		{"empty ones", withData(activeData(1, ""), activeData(1, ""), activeData(1, "a"), activeData(2, "")), 1},
		{"overlapping", withData(activeData(1, "abc"), activeData(3, "def"), activeData(6, "g")), 3},
		{"an empty one in another", withData(activeData(1, "abc"), activeData(2, "")), 2},
		{"memory of another module", imported, 2},
		{"instructions may name them", counted, 2},
		{"passive", withData(activeData(1, "a"), seq(u32(1), appendName(nil, "b"))), 2},
		{"at a global", global, 2},
		{"the end of the memory", withData(activeData(-2, "a"), activeData(-1, "b")), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &parser{reader: reader{data: mustMeter(t, c.mod.bytes()).Code, function: -1}, limits: Limits{}.orDefaults(), declared: -1}
			got := 0
			p.pos, p.end = 8, len(p.reader.data)
			for p.more() {
				id, size := p.byte(), p.u32()
				if id == sectionData {
					start := p.pos
					got = int(p.u32())
					p.pos = start
				}
				p.bytes(size)
			}
			if got != c.want {
				t.Errorf("%d data segments, want %d", got, c.want)
			}
		})
	}
}

// TestRandomData compares the memories of instances of the original and of the metered module, or that there are none.
func TestRandomData(t *testing.T) {
	r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
	config := wazero.NewModuleConfig().WithName("")
	refused := 0
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test that can be repeated
		datas := make([][]byte, random.IntN(12))
		at := random.IntN(300)
		for i := range datas {
			content := make([]byte, random.IntN(20))
			for k := range content {
				content[k] = byte(random.IntN(3)) // zeros too
			}
			datas[i] = activeData(int64(at), string(content))
			at += len(content)
			switch random.IntN(12) {
			case 0:
				at = random.IntN(600) // may overlap
			case 1:
				at = 1<<16 - random.IntN(40) // may be outside
			default:
				at += random.IntN(mergeGap * 5 / 4)
			}
		}
		random.Shuffle(len(datas), func(i, k int) {
			if seed%2 == 0 {
				datas[i], datas[k] = datas[k], datas[i]
			}
		})
		var memories [2][]byte
		original := withData(datas...).bytes()
		for i, code := range [][]byte{original, mustMeter(t, original).Code} {
			m, err := r.InstantiateWithConfig(withBudget(&Budget{Total: 1 << 40}), code, config)
			if err != nil {
				refused++
				continue
			}
			content, _ := m.Memory().Read(0, m.Memory().Size())
			memories[i] = bytes.Clone(content)
			_ = m.Close(background)
		}
		if !bytes.Equal(memories[0], memories[1]) {
			t.Fatalf("seed %d: the memories differ", seed)
		}
	}
	if refused == 0 || refused > 300 {
		t.Errorf("%d of 600 instances were refused, want some", refused)
	}
}
