package wasmhost

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/wasmhost/guest/go/examples/access"
	"github.com/protoo-go/protoo/wasmhost/guest/go/examples/asker"
	"github.com/protoo-go/protoo/wasmhost/guest/go/examples/authorizer"
	"github.com/protoo-go/protoo/wasmhost/guest/go/examples/limiter"
	"github.com/protoo-go/protoo/wasmhost/guest/go/examples/rewriter"
)

// goGuests are the examples, built once for all tests.
var goGuests = struct {
	sync.Mutex
	dir   string
	files map[string][]byte
}{files: make(map[string][]byte)}

// goGuest builds one of the examples as a module and gives it a manifest.
func goGuest(t testing.TB, name string, m *Manifest) []byte {
	t.Helper()
	goGuests.Lock()
	defer goGuests.Unlock()
	file := goGuests.files[name]
	if file == nil {
		dependOn(t, "guest/go")
		out := filepath.Join(t.TempDir(), name+".wasm")
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-buildmode=c-shared", "-o", out, "./guest/go/examples/"+name+"/module")
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v\n%s", name, err, text)
		}
		var err error
		if file, err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
		goGuests.files[name] = file
	}
	m.Name, m.Memory, m.Affinity = name, 16<<20, Pinned
	file, err := AppendManifest(file, m)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// dependOn reads the files in a folder, so that the go command sees that a test's result depends on them: it does not see what
// is built here.
func dependOn(t testing.TB, folder string) {
	err := fs.WalkDir(os.DirFS("."), folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			_, err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// loadFile loads a module that is complete.
func (r *rig) loadFile(file []byte) *Module {
	r.t.Helper()
	module, err := r.host.Load(r.t.Context(), file, r.options())
	if err != nil {
		r.t.Fatalf("loading: %v", err)
	}
	return module
}

// A conversation is what peers send and what they get, the same with a handler and with the module made of it.
type conversation struct {
	name     string
	manifest func() *Manifest
	handler  core.Handler
	path     string
	play     func(r *rig, alice, bob *conn)
	want     []string
}

var conversations = []conversation{
	{
		name:     "access",
		manifest: func() *Manifest { return manifest(EventRequest, EventReturned).push("path", "param", "peer") },
		handler:  access.Handle,
		path:     "/rooms/:room",
		play: func(_ *rig, alice, bob *conn) {
			alice.ask("/rooms/staff", "1", "1")
			bob.ask("/rooms/staff", "2", "2")
			bob.ask("/rooms/other", "3", "3")
		},
		want: []string{
			`alice {"status":200,"reason":"/rooms/staff  <nil>","id":"1","data":1}`,
			`bob {"status":403,"reason":"staff only","id":"2"}`,
			`bob {"status":200,"reason":"/rooms/other  <nil>","id":"3","data":3}`,
		},
	}, {
		name:     "limiter",
		manifest: func() *Manifest { return manifest(EventRequest, EventReturned).can(KV) },
		handler:  limiter.Handle,
		path:     "/",
		play: func(_ *rig, alice, bob *conn) {
			for i := range limiter.Most + 1 {
				alice.ask("/x", fmt.Sprint(i), "null")
			}
			bob.ask("/x", "9", "null")
		},
		want: []string{
			`alice {"status":200,"reason":"/x  <nil>","id":"0","data":null}`,
			`alice {"status":200,"reason":"/x  <nil>","id":"1","data":null}`,
			`alice {"status":200,"reason":"/x  <nil>","id":"2","data":null}`,
			`alice {"status":429,"reason":"4 requests in a minute, at most 3 are allowed","id":"3"}`,
			`bob {"status":200,"reason":"/x  <nil>","id":"9","data":null}`,
		},
	}, {
		name: "rewriter",
		manifest: func() *Manifest {
			return manifest(EventRequest, EventResponse, EventReturned).push("path", "status", "reason", "data")
		},
		handler: rewriter.Handle,
		path:    "/",
		play: func(_ *rig, alice, _ *conn) {
			alice.ask("/old/a/b", "1", `{"a":1}`)
			alice.ask("/new/a", "2", `[]`)
			alice.ask("/old/slow", "3", `[]`)
			alice.ask("/old/missing", "4", `[]`)
		},
		want: []string{
			`alice {"status":200,"reason":"/new/a/b  true","id":"1","data":{"data":{"a":1},"moved":true,"status":200}}`,
			`alice {"status":200,"reason":"/new/a  <nil>","id":"2","data":[]}`,
			`alice {"status":202,"reason":"somebody is still at it","id":"3","data":{"data":null,"moved":true,"status":202}}`,
			`alice {"status":404,"reason":"no","id":"4","data":{"data":null,"moved":true,"status":404}}`,
		},
	}, {
		name: "asker",
		manifest: func() *Manifest {
			return manifest(EventRequest, EventReply, EventReturned).push("param", "data", "status", "reason").can(PeerRead, PeerSend, Async)
		},
		handler: asker.Handle,
		path:    "/ask/:username/:uuid",
		play: func(r *rig, alice, bob *conn) {
			alice.ask("/ask/carol/1", "1", `"?"`)
			go alice.ask("/ask/bob/1", "2", `"?"`) // a handler in the program waits there
			synctest.Wait()
			r.answer(bob, `{"status":100,"reason":"wait","id":%s}`, `{"status":200,"reason":"yes","id":%s,"data":{"n":1}}`)
			go alice.ask("/ask/bob/1", "3", `null`)
			synctest.Wait()
			r.answer(bob, `{"status":486,"reason":"busy","id":%s}`)
			go alice.ask("/ask/bob/1", "4", `null`)
			synctest.Wait()
			_ = bob.link.Peer().Close(0, "")
			synctest.Wait()
		},
		want: []string{
			`alice {"status":404,"reason":"nobody to ask","id":"1"}`,
			`alice {"status":100,"reason":"asking","id":"2"}`,
			`bob {"method":"question","path":"/questions","id":ID,"data":"?"}`,
			`alice {"status":200,"reason":"bob says \"yes\"","id":"2","data":{"n":1}}`,
			`alice {"status":100,"reason":"asking","id":"3"}`,
			`bob {"method":"question","path":"/questions","id":ID,"data":null}`,
			`alice {"status":486,"reason":"busy","id":"3"}`,
			`alice {"status":100,"reason":"asking","id":"4"}`,
			`bob {"method":"question","path":"/questions","id":ID,"data":null}`,
			`bob close 1000 normal closure`,
			`alice {"status":410,"reason":"peer offline","id":"4"}`,
		},
	},
}

var idPattern = regexp.MustCompile(`"id":("[^"]*"|\d+)`)

// answer lets a peer answer its last request.
func (r *rig) answer(c *conn, messages ...string) {
	c.mu.Lock()
	id := idPattern.FindStringSubmatch(c.list[len(c.list)-1])[1]
	c.mu.Unlock()
	for _, m := range messages {
		c.tell(m, id)
		synctest.Wait()
	}
}

// One source file behaves the same as a handler in the program and as a module.
func TestGoGuests(t *testing.T) {
	for _, c := range conversations {
		for _, native := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/native=%v", c.name, native), func(t *testing.T) {
				var file []byte
				if !native {
					file = goGuest(t, c.name, c.manifest())
				}
				sim(t, func(t *testing.T, r *rig) {
					handler := c.handler
					if !native {
						handler = r.loadFile(file).Handle
					}
					if got := r.converse(&c, handler); !slices.Equal(got, c.want) {
						t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(c.want, "\n\t"))
					}
				})
			})
		}
	}
}

// see answers with what it sees of a request.
func see(req *core.Request, _ core.Next) error {
	return req.Reply(200, fmt.Sprintf("%s %s %v", req.Path(), req.BasePath(), req.Get("moved")), req.Data())
}

func TestGoAuthorizer(t *testing.T) {
	for _, native := range []bool{true, false} {
		t.Run(fmt.Sprintf("native=%v", native), func(t *testing.T) {
			r := newRig(t)
			accept := core.Accept(authorizer.Accept)
			if !native {
				accept = r.loadFile(goGuest(t, "authorizer", manifest(EventConnect).push("query:token"))).Accept(nil)
			}
			for query, want := range map[string]string{
				"alice:sesame": "alice/phone map[role:user] <nil>",
				"alice:wrong":  "/ map[] 401 wrong token",
				"":             "/ map[] 401 wrong token",
			} {
				id, err := accept(&core.ConnectRequest{Query: map[string][]string{"token": {query}, "uuid": {"phone"}}})
				if got := fmt.Sprintf("%s/%s %v %v", id.Username, id.UUID, id.Data, err); got != want {
					t.Errorf("%q: got %s, want %s", query, got, want)
				}
			}
		})
	}
}
