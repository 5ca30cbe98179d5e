package wasmhost

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/wasmhost/meter"
)

// languages are the folders of guest that have all of the examples as modules which have been built. "make guests" builds them again and compares.
var languages = []string{"c", "rust", "assemblyscript", "zig"}

// smallModule is the most that a module which is kept beside its source may have.
const smallModule = 40 << 10

func builtGuest(t testing.TB, language, name string) []byte {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("guest", language, "build", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// eachLanguage runs a test with one of the examples in every language.
func eachLanguage(t *testing.T, name string, test func(t *testing.T, file []byte)) {
	for _, language := range languages {
		t.Run(language+"/"+name, func(t *testing.T) { test(t, builtGuest(t, language, name)) })
	}
}

// converse plays a conversation with a handler, which may be a module, and returns what the peers have got.
func (r *rig) converse(c *conversation, handler core.Handler) []string {
	r.app.Use("/", func(_ *core.Request, next core.Next) error { next(); return nil })
	if strings.Contains(c.path, ":") {
		r.app.All(c.path, handler, see)
	} else {
		r.app.Use(c.path, handler)
	}
	r.app.All("/new/slow", func(*core.Request, core.Next) error { return nil })
	r.app.All("/new/missing", func(*core.Request, core.Next) error { return core.Error(404, "no") })
	r.app.All("*", see)
	var both journal
	alice, bob := r.dial("alice", "1"), r.dial("bob", "1")
	alice.both, bob.both = func(m string) { both.add("alice %s", m) }, func(m string) { both.add("bob %s", m) }
	c.play(r, alice, bob)
	got := both.take()
	for i, line := range got {
		if strings.HasPrefix(line, `bob {"method"`) {
			got[i] = idPattern.ReplaceAllString(line, `"id":ID`)
		}
	}
	return got
}

// A module behaves the same whatever it is written in: these are the conversations of the examples in Go. The modules
// bring their manifests, and are granted what those ask for.
func TestLanguages(t *testing.T) {
	for _, c := range conversations {
		eachLanguage(t, c.name, func(t *testing.T, file []byte) {
			sim(t, func(t *testing.T, r *rig) {
				m := r.loadFile(file)
				start := m.Stats().Fuel
				if got := r.converse(&c, m.Handle); !slices.Equal(got, c.want) {
					t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(c.want, "\n\t"))
				}
				s := m.Stats()
				if len(s.Failures) != 0 || s.Pending != 0 {
					t.Errorf("failures %v, %d pending", s.Failures, s.Pending)
				}
				events := uint64(0)
				for _, n := range s.Events {
					events += n
				}
				t.Logf("%d bytes, %d units of fuel to start, %d for %d events", len(file), start, s.Fuel-start, events)
			})
		})
	}
}

func TestLanguagesAuthorizer(t *testing.T) {
	eachLanguage(t, "authorizer", func(t *testing.T, file []byte) {
		r := newRig(t)
		accept := r.loadFile(file).Accept(nil)
		for query, want := range map[string]string{
			"alice:sesame":    "alice/phone map[role:user] <nil>",
			"José:sesame":     "José/phone map[role:user] <nil>",
			"alice:wrong":     "/ map[] 401 wrong token",
			"alice:sesame2":   "/ map[] 401 wrong token",
			"alice:sesame:":   "/ map[] 401 wrong token",
			"alice:a:sesame":  "/ map[] 401 wrong token",
			"sesame":          "/ map[] 401 wrong token",
			":":               "/ map[] 401 wrong token",
			"":                "/ map[] 401 wrong token",
			"alice:\x00sesam": "/ map[] 401 wrong token",
		} {
			id, err := accept(&core.ConnectRequest{Query: map[string][]string{"token": {query}, "uuid": {"phone"}}})
			if got := fmt.Sprintf("%s/%s %v %v", id.Username, id.UUID, id.Data, err); got != want {
				t.Errorf("%q: got %s, want %s", query, got, want)
			}
		}
		if _, err := accept(&core.ConnectRequest{}); err == nil || err.Error() != "401 wrong token" {
			t.Errorf("without a token: %v", err)
		}
	})
}

// Data that is larger than the buffer that a module begins with goes through it unharmed, again and again.
func TestLanguagesLargeData(t *testing.T) {
	eachLanguage(t, "rewriter", func(t *testing.T, file []byte) {
		r := newRig(t)
		m := r.loadFile(file)
		r.app.Use("/", m.Handle)
		r.app.All("*", see)
		alice := r.dial("alice", "1")
		for _, size := range []int{0, 1, 15_000, 100_000, 3, 200_000, 100_000} {
			text := strings.Repeat("é€😀", size/9) // of 2, 3 and 4 bytes
			for range 20 {
				alice.ask("/old/"+fmt.Sprint(size), "1", `"`+text+`"`)
				want := fmt.Sprintf(`{"status":200,"reason":"/new/%d  true","id":"1","data":{"data":"%s","moved":true,"status":200}}`, size, text)
				if got := alice.take(); len(got) != 1 || got[0] != want {
					t.Fatalf("%d bytes: got %d messages that begin %.300q, %v", size, len(got), got, r.log.take())
				}
			}
		}
		if s := m.Stats(); s.Made != 1 || len(s.Failures) != 0 {
			t.Errorf("%d instances, failures %v", s.Made, s.Failures)
		}
	})
}

// What peers choose may be longer than the host takes from a module: the libraries cut it off between two characters.
func TestLanguagesLongReason(t *testing.T) {
	c := conversations[slices.IndexFunc(conversations, func(c conversation) bool { return c.name == "asker" })]
	eachLanguage(t, "asker", func(t *testing.T, file []byte) {
		for shift := range 4 {
			reason := strings.Repeat("x", shift) + strings.Repeat("😀", 255)
			said := strings.ToValidUTF8((`bob says "` + reason)[:1024], "")
			said = strings.Replace(said, `"`, `\"`, 1)
			sim(t, func(t *testing.T, r *rig) {
				r.app.All(c.path, r.loadFile(file).Handle)
				alice, bob := r.dial("alice", "1"), r.dial("bob", "1")
				alice.ask("/ask/bob/1", "1", "1")
				r.answer(bob, `{"status":200,"reason":"`+reason+`","id":%s}`)
				alice.want(t, `{"status":100,"reason":"asking","id":"1"}`, `{"status":200,"reason":"`+said+`","id":"1"}`)
			})
		}
	})
}

// An instance that has served many requests needs no more memory than at first: Limits.Memory is as much as the manifest asks for.
func TestLanguagesKeepNoMemory(t *testing.T) {
	eachLanguage(t, "limiter", func(t *testing.T, file []byte) {
		r := newRig(t)
		m := r.loadFile(file)
		benchRequest(t, func(req *core.Request) {
			for range 50_000 {
				_ = m.Handle(req, func(...error) {}) // refuses all but a few
			}
		})
		if s := m.Stats(); s.Made != 1 || len(s.Failures) != 0 {
			t.Errorf("%d instances, failures %v", s.Made, s.Failures)
		}
	})
}

// What is kept beside its source is small, has a manifest, and nothing that says where it was built.
func TestLanguagesFiles(t *testing.T) {
	for _, language := range append([]string{"wat"}, languages...) {
		files, err := filepath.Glob(filepath.Join("guest", language, "build", "*.wasm"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: no files, %v", language, err)
		}
		for _, name := range files {
			file, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if len(file) > smallModule {
				t.Errorf("%s has %d bytes, at most %d are kept", name, len(file), smallModule)
			}
			metered, err := meter.Meter(file, meter.Options{})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for _, section := range metered.Info.Custom {
				if section.Name != manifestSection {
					t.Errorf("%s has a section %q", name, section.Name)
				}
			}
			for _, path := range []string{"/home/", "/root/", "/tmp/", "/usr/"} {
				if bytes.Contains(file, []byte(path)) {
					t.Errorf("%s mentions %s", name, path)
				}
			}
		}
	}
}

// What a manifest asks for and is not granted is named, in every language.
func TestLanguagesNeedGrants(t *testing.T) {
	eachLanguage(t, "limiter", func(t *testing.T, file []byte) {
		r := newRig(t)
		_, err := r.host.Load(t.Context(), file, ModuleOptions{})
		if e, ok := errors.AsType[*Error](err); !ok || e.Kind != KindLoad || !strings.Contains(err.Error(), "kv") {
			t.Errorf("got %v", err)
		}
	})
}

// The modules in assembler are what is smallest: they pass requests on, and answer them.
func TestLanguagesAssembler(t *testing.T) {
	for name, want := range map[string]string{
		"next":  `{"status":200,"reason":"/a","id":"1","data":7}`,
		"reply": `{"status":403,"reason":"no","id":"1"}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			m, err := r.host.Load(t.Context(), builtGuest(t, "wat", name), ModuleOptions{})
			if err != nil {
				t.Fatal(err)
			}
			r.app.Use("/", m.Handle)
			r.app.All("/a", last)
			alice := r.dial("alice", "1")
			for range 3 {
				alice.ask("/a", "1", "7")
				alice.want(t, want)
			}
			if got := m.Manifest().Name; got != name {
				t.Errorf("the manifest is that of %q", got)
			}
		})
	}
}

func BenchmarkLanguages(b *testing.B) {
	for _, language := range languages {
		b.Run(language, func(b *testing.B) {
			h, err := New(Options{})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = h.Close() })
			m, err := h.Load(b.Context(), builtGuest(b, language, "access"), ModuleOptions{})
			if err != nil {
				b.Fatal(err)
			}
			benchRequest(b, func(req *core.Request) {
				b.ReportAllocs()
				before := m.Stats().Fuel
				n := 0
				for b.Loop() {
					if err := m.Handle(req, func(...error) {}); err != nil {
						b.Fatal(err)
					}
					n++
				}
				b.ReportMetric(float64(m.Stats().Fuel-before)/float64(n), "fuel/op")
			})
		})
	}
}
