package wasm

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A host runs guests in its own way.
type host struct {
	name string
	inGo bool // whether the guest is; the others are in assembler
	// load makes a guest ready to be instantiated.
	load func(o options) (loaded, error)
}

// options say what a guest does and what it may.
type options struct {
	runaway string        // instead of the usual
	limit   time.Duration // of a call, by the means that the host documents; 0 is none. Ours has its fuel in any case
	watch   bool          // the guest wants to see responses, for a host that asks
	fresh   bool          // an instance for every request, for a host that chooses that itself
}

// memoryPages is how large a guest's memory can become: 16 MiB, as programs in Go need.
const memoryPages = 256

type loaded interface {
	instance(ctx context.Context) (subject, error)
	close() error
}

// A subject is an instance that is shown requests and responses, one at a time.
type subject interface {
	request(r *request) error
	response(status int) error
	close() error
}

// hosts are ours, two of others, and minimal ones that we have written in the shape of other ABIs.
var hosts = []host{
	{"protoo", false, loadProtoo},
	{"protoo, Go", true, loadProtooGo},
	{"Extism", false, loadExtism},
	{"go-plugin", true, loadGoPlugin},
	{"proxy-wasm-shaped", false, loadShape(proxyShape)},
	{"http-wasm-shaped", false, loadShape(httpShape)},
	{"waPC-shaped", false, loadShape(wapcShape)},
}

// ours tells whether limits cannot be turned off.
func (h *host) ours() bool { return strings.HasPrefix(h.name, "protoo") }

func newRequest() *request {
	return &request{method: "message", path: "/rooms/42", id: "1", room: "42", data: `{"text":"` + strings.Repeat("x", 220) + `"}`, peer: "alice"}
}

// variant is how a guest in assembler does what options say.
func (o options) variant() variant {
	for _, r := range runaways {
		if r.name == o.runaway {
			return r.build
		}
	}
	if o.runaway == "spin" {
		return spins
	}
	return nil
}

var goGuests = struct {
	sync.Mutex
	dir string
}{}

// goGuest builds a guest in Go, once, and returns its file.
func goGuest(name string) (string, error) {
	goGuests.Lock()
	defer goGuests.Unlock()
	if goGuests.dir == "" {
		if dir := os.Getenv(guestsEnv); dir != "" { // those of the process that has started this one
			goGuests.dir = dir
		} else if dir, err := os.MkdirTemp("", "guests-"); err != nil {
			return "", err
		} else {
			goGuests.dir = dir
		}
	}
	file := filepath.Join(goGuests.dir, name+".wasm")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-buildmode=c-shared", "-o", file, "./guest/"+name)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	return file, cmd.Run()
}

// guestsEnv names the folder with the guests in Go, for processes that tests start.
const guestsEnv = "RIVALS_WASM_GUESTS"

func mustLoad(tb testing.TB, h *host, o options) loaded {
	tb.Helper()
	l, err := h.load(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.close(); err != nil {
			tb.Error(err)
		}
	})
	return l
}

// Every guest has looked at all fields, changes the path and sees the response, with limits and without, again and again.
func TestHosts(t *testing.T) {
	for _, h := range hosts {
		t.Run(h.name, func(t *testing.T) {
			if testing.Short() && h.inGo {
				t.Skip("builds a guest in Go")
			}
			all := []options{{}, {limit: time.Minute}, {fresh: true}}
			if h.inGo {
				all = all[:1] // the others take seconds to compile
			}
			for _, o := range all {
				l := mustLoad(t, &h, o)
				for range 2 {
					s, err := l.instance(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					for range 3 {
						r := newRequest()
						if err := s.request(r); err != nil || r.path != wantPath {
							t.Errorf("%+v: got %s, %v, want %s", o, r.path, err, wantPath)
						}
						if err := s.response(200); err != nil {
							t.Error(err)
						}
					}
					if err := s.close(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}
