package wasmhost

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/wasmhost/meter"
)

func TestLoadRefuses(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	stranger, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	plain := func() []byte { return (&guest{manifest: manifest(EventRequest)}).bytes() }
	signed := Sign(plain(), private)
	sum := sha256.Sum256(plain())
	with := func(change func(*guest)) []byte {
		g := &guest{manifest: manifest(EventRequest)}
		change(g)
		return g.bytes()
	}
	rawManifest := func(text string) []byte {
		return appendSection((&guest{}).code(), manifestSection, []byte(text))
	}
	cases := []struct {
		name string
		file []byte
		o    ModuleOptions
		want string // part of the error, "" if it loads
	}{
		{"nothing", nil, ModuleOptions{}, "header"},
		{"plain", plain(), ModuleOptions{}, ""},
		{"pinned", plain(), ModuleOptions{SHA256: strings.ToUpper(hex.EncodeToString(sum[:]))}, ""},
		{"another pin", signed, ModuleOptions{SHA256: hex.EncodeToString(sum[:])}, "sha256 is "},
		{"signed", signed, ModuleOptions{PublicKeys: []ed25519.PublicKey{stranger, public}}, ""},
		{"signed by a stranger", signed, ModuleOptions{PublicKeys: []ed25519.PublicKey{stranger}}, "none of the keys has signed it"},
		{"not signed", plain(), ModuleOptions{PublicKeys: []ed25519.PublicKey{public}}, "it is not signed"},
		{"signed, then changed", appendSection(signed, "more", nil), ModuleOptions{PublicKeys: []ed25519.PublicKey{public}}, "it is not signed"},
		{"short key", signed, ModuleOptions{PublicKeys: []ed25519.PublicKey{public[:4]}}, "a public key has 4 bytes, want 32"},
		{"signed and changed in the middle", append(append([]byte{}, signed[:40]...), signed[41:]...), ModuleOptions{PublicKeys: []ed25519.PublicKey{public}}, ""},
		{"too large", plain(), ModuleOptions{Limits: Limits{File: 100}}, "at most 100 are allowed"},
		{"no manifest", (&guest{}).code(), ModuleOptions{}, "there is no section protoo.manifest"},
		{"the operator's manifest", (&guest{}).code(), ModuleOptions{Manifest: manifest(EventRequest)}, ""},
		{"manifest without a name", rawManifest(`{"events":[]}`), ModuleOptions{}, `name ""`},
		{"manifest with an unknown key", rawManifest(`{"name":"a","limit":1}`), ModuleOptions{}, `unknown field "limit"`},
		{"manifest with an unknown event", rawManifest(`{"name":"a","events":["rain"]}`), ModuleOptions{}, `event "rain" is not known`},
		{"manifest with an unknown field", rawManifest(`{"name":"a","fields":["rain"]}`), ModuleOptions{}, `field "rain" is not known`},
		{"manifest with a key too many", rawManifest(`{"name":"a","fields":["path:x"]}`), ModuleOptions{}, `field "path:x": path has no key`},
		{"manifest with an unknown capability", rawManifest(`{"name":"a","capabilities":["rain"]}`), ModuleOptions{}, `capability "rain" is not known`},
		{"manifest with an unknown affinity", rawManifest(`{"name":"a","affinity":"rain"}`), ModuleOptions{}, `affinity "rain" is not known`},
		{"manifest with more behind it", rawManifest(`{"name":"a"}{}`), ModuleOptions{}, "text follows the object"},
		{"not granted", with(func(g *guest) { g.manifest.can(KV, Log, Clock) }), ModuleOptions{Grants: []Capability{Log}}, "it asks for clock, kv, which is not granted"},
		{"unknown grant", plain(), ModuleOptions{Grants: []Capability{"sun"}}, `capability "sun" is not known`},
		{"import without asking", with(func(g *guest) { g.call("kv_add") }), ModuleOptions{Grants: Capabilities()}, "it imports protoo_v1.kv_add without the capability kv in its manifest"},
		{"unknown import", with(func(g *guest) { g.call("fly") }), ModuleOptions{}, "it imports protoo_v1.fly, which is not known"},
		{"too much fuel", with(func(g *guest) { g.manifest.Fuel = 5_000_001 }), ModuleOptions{}, "it asks for 5000001 units of fuel, 5000000 are allowed"},
		{"too much memory asked for", with(func(g *guest) { g.manifest.Memory = 17 << 20 }), ModuleOptions{}, "it asks for 17825792 bytes of memory, 16777216 are allowed"},
		{"more memory than asked for", with(func(g *guest) { g.pages = 33 }), ModuleOptions{}, "33 pages (2 Mi) over limit of 32 pages (2 Mi)"},
		{"trap in _initialize", with(func(g *guest) { g.start = unreachable }), ModuleOptions{}, "unreachable"},
		{"_initialize of another type", with(func(g *guest) { g.start, g.startType = num64(0), typeInit }), ModuleOptions{}, `export "_initialize": want a function () -> ()`},
		{"trap in the start function", with(func(g *guest) { g.section = unreachable }), ModuleOptions{}, "unreachable"},
		{"trap in init", with(func(g *guest) { g.init = unreachable }), ModuleOptions{}, "unreachable; it has at most 2097152 bytes of memory"},
		{"too little memory", with(func(g *guest) { g.start = seq(num(1), memoryGrow, num(-1), eq, ifThen, unreachable, end) }),
			ModuleOptions{Limits: Limits{Memory: pageSize}}, "unreachable; it has at most 65536 bytes of memory"},
		{"loop in the start function", with(func(g *guest) { g.section = seq(loop, again, end) }), ModuleOptions{Limits: Limits{InitFuel: 100_000}}, "out of fuel"},
		{"loop in _initialize", with(func(g *guest) { g.start = seq(loop, again, end) }), ModuleOptions{Limits: Limits{InitFuel: 100_000}}, "out of fuel"},
		{"buffer outside of the memory", with(func(g *guest) { g.init = num64(65530<<32 | 16) }), ModuleOptions{}, "buffer of 16 bytes at 65530: "},
		{"buffer too small", with(func(g *guest) { g.init = num64(1024<<32 | 15) }), ModuleOptions{}, "buffer of 15 bytes at 1024: "},
		{"self-test fails", with(func(g *guest) {
			g.manifest = manifest(EventSelfTest)
			g.on = g.give(actionError, 0, frame(text(fieldError, "am broken")))
		}), ModuleOptions{}, "its self-test fails: am broken"},
		{"self-test traps", with(func(g *guest) { g.manifest = manifest(EventSelfTest); g.on = unreachable }), ModuleOptions{}, "unreachable"},
		{"settings refused", with(func(g *guest) {
			g.manifest = manifest(EventConfiguration)
			g.on = g.give(actionError, 0, frame(text(fieldError, "no key")))
		}), ModuleOptions{}, "the module refuses its configuration: no key"},
		{"settings that are not JSON", plain(), ModuleOptions{Settings: "{"}, "settings: invalid JSON"},
		{"unknown policy", plain(), ModuleOptions{OnError: "retry"}, `OnError is "retry"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h, err := New(Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = h.Close() }()
			c.o.Limits.Instances = 1
			_, err = h.Load(context.Background(), c.file, c.o)
			switch {
			case c.name == "signed and changed in the middle": // whatever is found first
				if err == nil {
					t.Error("loaded")
				}
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || kind(err) != KindLoad):
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// TestStartSection has the start function call the host, and use more fuel than its first share.
func TestStartSection(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventRequest).can(Log)}
	hello := g.put([]byte("hello"))
	fill := bytes.Repeat(seq(num(32768), num(0), num(4096), memoryFill), 400)
	g.section = seq(fill, num(1), num(hello), num(5), g.call("log"))
	r.load(g)
	r.log.want(t, "log 1 hello")
}

// The metering must not make a module valid that was not: here one that names a global it does not have.
func TestLoadValidatesTheOriginal(t *testing.T) {
	g := &guest{manifest: manifest(EventRequest)}
	g.on = seq(num64(1<<40), []byte{0x24, 0}) // global.set 0
	h, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	if _, err := h.Load(context.Background(), g.bytes(), ModuleOptions{}); kind(err) != KindLoad {
		t.Errorf("got %v", err)
	}
	// And one that exports what the metering adds.
	code := (&guest{}).code()
	renamed := strings.Replace(string(code), exportMarker, meter.FuelGlobal+strings.Repeat("x", len(exportMarker)-len(meter.FuelGlobal)), 1)
	_, err = h.Load(context.Background(), []byte(renamed), ModuleOptions{Manifest: manifest(EventRequest)})
	if !errors.Is(err, meter.ErrReserved) {
		t.Errorf("got %v", err)
	}
}

func TestLoadContext(t *testing.T) {
	h, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := h.Load(ctx, (&guest{manifest: manifest(EventRequest)}).bytes(), ModuleOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestClosedHost(t *testing.T) {
	h, err := New(Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	m, err := h.Load(context.Background(), (&guest{manifest: manifest(EventRequest)}).bytes(), ModuleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if _, err := h.Load(context.Background(), (&guest{manifest: manifest(EventRequest)}).bytes(), ModuleOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Load: %v", err)
	}
	if err := m.Reload(context.Background(), nil, ModuleOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Reload: %v", err)
	}
	if err := m.Notify("a", ""); !errors.Is(err, ErrClosed) {
		t.Errorf("Notify: %v", err)
	}
}

// lateContext ends when somebody has looked at it as often as it says.
type lateContext struct {
	context.Context
	looks int
	end   context.CancelFunc
}

func (c *lateContext) Err() error {
	if c.looks--; c.looks == 0 {
		defer c.end()
	}
	return c.Context.Err()
}

// A load that is given up does not go on to compile.
func TestCompileEndsWithContext(t *testing.T) {
	r := newRig(t)
	v := r.load(replier("one")).current.Load()
	g := replier("two")
	g.helpers = [][]byte{nil} // so that it is not what has been compiled
	metered, err := meter.Meter(g.bytes(), meter.Options{Gate: calls, State: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	compiled := v.compiled
	err = v.compile(&lateContext{ctx, 2, end}, g.bytes(), metered.Code) // after the original has been validated
	v.compiled = compiled
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A module that has to handle an event, and does not, is not loaded.
func TestEventsNeeded(t *testing.T) {
	r := newRig(t)
	options := func(o *ModuleOptions) { o.Events = []Event{EventRequest, EventConnect} }
	_, err := r.try(replier("one"), options)
	if want := "its manifest does not list the event connect, which it is needed for"; kind(err) != KindLoad || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	r.load(&guest{manifest: manifest(EventRequest, EventConnect)}, options)
}
