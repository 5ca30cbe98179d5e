package wasmhost

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/core"
)

func TestBadFrames(t *testing.T) {
	good := frame(func(w *frameWriter) { w.add(fieldProperty, "k", `"v"`); w.add(fieldReason, "", "why") })
	patch := func(at int, b ...byte) []byte {
		f := append([]byte(nil), good...)
		copy(f[at:], b)
		return f
	}
	bare := func(build func(*frameWriter)) []byte { return frame(build) }
	cases := []struct {
		name  string
		frame []byte
		want  string
	}{
		{"good", good, ""},
		{"no fields", bare(func(*frameWriter) {}), ""},
		{"unknown field", bare(func(w *frameWriter) { w.add(999, "k", "v") }), ""},
		{"shorter than a header", good[:15], "frame has 15 bytes, its header alone has 16"},
		{"shorter than it says", good[:len(good)-4], "frame says that it has"},
		{"longer than it says", append(patch(0), 0), "frame says that it has"},
		{"another version", patch(4, 2), "frame has version 2, want 1"},
		{"more fields than there are", patch(6, 3), "frame is cut off"},
		{"fewer fields than there are", patch(6, 1), "12 bytes follow the last field of the frame"},
		{"key beyond the end", patch(18, 0xff, 0xff), "frame is cut off"},
		{"value beyond the end", patch(20, 0xff, 0xff, 0xff, 0xff), "frame is cut off"},
		{"status of 5 bytes", bare(func(w *frameWriter) { w.add(fieldStatus, "", "12345") }), "status has 5 bytes, want 4"},
		{"status 99", bare(func(w *frameWriter) { w.addUint32(fieldStatus, 99) }), "status 99, want 100 to 699"},
		{"status 700", bare(func(w *frameWriter) { w.addUint32(fieldStatus, 700) }), "status 700, want 100 to 699"},
		{"reason that is not text", bare(text(fieldReason, "\xff")), "reason is not valid UTF-8"},
		{"key that is not text", bare(func(w *frameWriter) { w.add(fieldProperty, "\xff", "1") }), "property is not valid UTF-8"},
		{"long reason", bare(text(fieldReason, strings.Repeat("x", 1025))), "reason has 1025 bytes"},
		{"long carry", bare(text(fieldCarry, strings.Repeat("\xff", 101))), "carry has 101 bytes"},
		{"property without a key", bare(text(fieldProperty, "1")), "property has no key"},
		{"property that is not JSON", bare(func(w *frameWriter) { w.add(fieldProperty, "k", "{") }), `value of "k": invalid JSON: unexpected end (at byte 1)`},
		{"too many properties", bare(func(w *frameWriter) {
			for range maxStored + 1 {
				w.add(fieldProperty, "k", "1")
			}
		}), "more than 64 values to store"},
	}
	for _, c := range cases {
		in := interner{}
		var o outcome
		err := o.read(c.frame, 100, &in)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// What clients choose cannot become another field than the one it is in: a key that is too long is left out, and so is what is
// more than can be counted.
func TestLongKeys(t *testing.T) {
	key := "key" + strings.Repeat("x", math.MaxUint16-3)
	e := event{kind: EventConnect, connect: &core.ConnectRequest{
		Query:      map[string][]string{key: {"a"}, key + "y": {"b"}},
		RemoteAddr: "1.2.3.4:5",
	}}
	f := frame(func(w *frameWriter) {
		w.begin(make([]byte, 1<<20))
		e.write(w, []wanted{{field: fieldQuery}, {field: fieldRemote}})
	})
	var got []string
	for _, f := range fields(t, f) {
		got = append(got, fmt.Sprintf("%s %.3s %s", f.id.name(), f.key, f.val))
	}
	if want := []string{"query key a", "remote  1.2.3.4:5"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}

	many := frame(func(w *frameWriter) {
		w.begin(make([]byte, 1<<20))
		for range math.MaxUint16 + 2 {
			w.add(fieldQuery, "", "")
		}
	})
	if n := len(fields(t, many)); n != math.MaxUint16 {
		t.Errorf("%d fields, want %d", n, math.MaxUint16)
	}
}

// Texts are UTF-8 for modules, whatever clients have sent.
func TestTextIsUTF8(t *testing.T) {
	const bad, good = "a\xffb", "a\uFFFDb"
	e := event{kind: EventConnect, connect: &core.ConnectRequest{
		Path: bad, Origin: bad, Query: map[string][]string{bad: {bad}}, Header: map[string][]string{bad: {bad}},
	}}
	f := frame(func(w *frameWriter) {
		e.write(w, []wanted{{fieldPath, ""}, {fieldOrigin, ""}, {fieldQuery, ""}, {fieldHeader, ""}})
	})
	for _, f := range fields(t, f) {
		if string(f.val) != good || f.id != fieldPath && f.id != fieldOrigin && string(f.key) != good {
			t.Errorf("%s %q %q, want %q", f.id.name(), f.key, f.val, good)
		}
	}
	for _, f := range []field{fieldPath, fieldOrigin, fieldQuery, fieldHeader} {
		if got, _ := e.text(f, bad); got != good {
			t.Errorf("%s: got %q, want %q", f.name(), got, good)
		}
	}
}

// fields returns what is in a frame.
func fields(t *testing.T, frame []byte) (all []rawField) {
	t.Helper()
	var r frameReader
	if err := r.begin(frame); err != nil {
		t.Fatal(err)
	}
	for {
		var f rawField
		ok, err := r.next(&f)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return all
		}
		all = append(all, f)
	}
}

// What a module writes is read without a panic, and what is read is written the same.
func FuzzFrame(f *testing.F) {
	f.Add(frame(func(*frameWriter) {}))
	f.Add(frame(func(w *frameWriter) {
		w.addUint32(fieldStatus, 200)
		w.add(fieldReason, "", "why")
		w.add(fieldProperty, "k", `{"a":1}`)
		w.add(fieldPeer, "alice", "1")
		w.addBytes(fieldCarry, []byte{0, 0xff})
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := interner{}
		var o outcome
		_ = o.read(b, 4096, &in)

		var r frameReader
		if r.begin(b) != nil {
			return
		}
		var w frameWriter
		w.begin(make([]byte, len(b)+8))
		for {
			var field rawField
			ok, err := r.next(&field)
			if err != nil {
				return
			}
			if !ok {
				break
			}
			w.add(field.id, string(field.key), string(field.val))
		}
		size := w.end(binary.LittleEndian.Uint64(b[8:]))
		if size != len(b) {
			t.Fatalf("a frame of %d bytes is written as one of %d", len(b), size)
		}
		var again frameReader
		if err := again.begin(w.buf[:size]); err != nil {
			t.Fatalf("what was read is written as %x: %v", w.buf[:size], err)
		}
	})
}

// A frame that does not fit is measured and not written.
func TestFrameTooLong(t *testing.T) {
	whole := frame(func(w *frameWriter) {
		w.add(fieldPath, "", "/abc")
		w.addUint32(fieldStatus, 200)
		w.addUint64(fieldCorrelation, 1)
	})
	for room := range len(whole) {
		buf := make([]byte, len(whole)+8)
		var w frameWriter
		w.begin(buf[:room:room])
		w.add(fieldPath, "", "/abc")
		w.addUint32(fieldStatus, 200)
		w.addUint64(fieldCorrelation, 1)
		if n := w.end(1); n != len(whole) {
			t.Errorf("with room for %d bytes: size %d, want %d", room, n, len(whole))
		}
		for _, b := range buf[room:] {
			if b != 0 {
				t.Fatalf("with room for %d bytes more is written", room)
			}
		}
	}
}
