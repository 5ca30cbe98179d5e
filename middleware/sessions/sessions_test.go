package sessions

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/middleware/internal/peertest"
)

// world has a manager, mounted at /sessions, and alice and bob, with one device each.
type world struct {
	*peertest.World
	m          *Manager
	alice, bob *peertest.Client
	states     []State // of all sessions
}

func run(t *testing.T, co core.Options, o Options, test func(*world)) {
	t.Helper()
	peertest.Run(t, co, func(pw *peertest.World) {
		w := &world{World: pw, m: New(pw.App, o)}
		pw.App.Use("/sessions", w.m.Handle)
		w.m.OnState(func(s *Session, state State) {
			w.states = append(w.states, state)
			if s.State() != state {
				t.Errorf("State is %v while a listener is told of %v", s.State(), state)
			}
		})
		w.alice, w.bob = w.Connect("alice", "1"), w.Connect("bob", "1")
		test(w)
	})
}

// ring lets alice call bob, whose device rings. The session's path is $path.
func (w *world) ring() {
	w.Helper()
	w.alice.Send(`{"method":"session","path":"/sessions/bob/1","id":1,"data":{"sdp":"offer"}}`)
	w.alice.Expect(`{"status":100,"reason":"connecting","id":1,"data":{"sessionPath":"$path"}}`)
	w.bob.Expect(`{"method":"session","path":"$path","id":1,"data":{"sdp":"offer"},"sender":{"username":"alice","uuid":"1"}}`)
	w.bob.Send(`{"status":180,"reason":"ringing","id":1}`)
	w.alice.Expect(`{"status":180,"reason":"ringing","id":1}`)
}

// call lets alice call bob, who accepts.
func (w *world) call() {
	w.Helper()
	w.ring()
	w.bob.Send(`{"status":200,"reason":"OK","id":1,"data":{"sdp":"answer"}}`)
	w.alice.Expect(`{"status":200,"reason":"OK","id":1,"data":{"sdp":"answer"}}`)
}

// over checks that the session at $path has ended, after these states, and left nothing behind.
func (w *world) over(states ...State) {
	w.Helper()
	w.alice.Expect()
	w.bob.Expect()
	if !slices.Equal(w.states, states) {
		w.Errorf("states %v, want %v", w.states, states)
	}
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	if len(w.m.sessions) > 0 || len(w.m.parties) > 0 {
		w.Errorf("%d sessions of %d peers are left, want none", len(w.m.sessions), len(w.m.parties))
	}
}

func TestCall(t *testing.T) {
	for _, by := range []string{"caller", "callee"} {
		t.Run("ended by "+by, func(t *testing.T) {
			run(t, core.Options{}, Options{}, func(w *world) {
				w.call()
				if path := w.Value("path"); !strings.HasPrefix(path, "/sessions/") || len(path) < len("/sessions/")+22 {
					t.Errorf("path %q, want /sessions/ and at least 128 bits in base 64", path)
				}

				w.alice.Send(`{"method":"hold","path":"$path","id":"a","data":{"on" : true}}`)
				w.bob.Expect(`{"method":"hold","path":"$path","id":"a","data":{"on" : true},"sender":{"username":"alice","uuid":"1"}}`)
				w.bob.Send(`{"status":100,"reason":"wait","id":"a"}`, `{"status":200,"reason":"held","id":"a","data":null}`)
				w.alice.Expect(`{"status":100,"reason":"wait","id":"a"}`, `{"status":200,"reason":"held","id":"a","data":null}`)

				w.bob.Send(`{"method":"session","path":"$path","id":1,"data":"renegotiate"}`)
				w.alice.Expect(`{"method":"session","path":"$path","id":1,"data":"renegotiate","sender":{"username":"bob","uuid":"1"}}`)
				w.alice.Send(`{"status":488,"reason":"no","id":1}`)
				w.bob.Expect(`{"status":488,"reason":"no","id":1}`)

				if n := w.m.Count(); n != 1 {
					t.Errorf("Count is %d, want 1", n)
				}
				from, to, name := w.alice, w.bob, "alice"
				if by == "callee" {
					from, to, name = to, from, "bob"
				}
				from.Send(`{"method":"end","path":"$path","id":9,"data":{"reason":"bye"}}`)
				from.Expect(`{"status":200,"reason":"session ended","id":9}`)
				to.Expect(`{"method":"end","path":"$path","id":9,"data":{"reason":"bye"},"sender":{"username":"` + name + `","uuid":"1"}}`)
				to.Send(`{"status":200,"reason":"OK","id":9}`)
				w.over(Connecting, Progress, Open, Closed)

				for _, c := range []*peertest.Client{w.alice, w.bob} {
					c.Send(`{"method":"end","path":"$path","id":10}`)
					c.Expect(`{"status":404,"reason":"no handler for end at $path","id":10}`)
				}
			})
		})
	}
}

func TestAcceptAtOnce(t *testing.T) {
	run(t, core.Options{}, Options{}, func(w *world) {
		w.alice.Send(`{"method":"session","path":"/sessions/bob/1","id":1}`)
		w.bob.Expect(`{"method":"session","path":"$path","id":1,"sender":{"username":"alice","uuid":"1"}}`)
		w.bob.Send(`{"status":200,"reason":"OK","id":1}`)
		w.alice.Expect(
			`{"status":100,"reason":"connecting","id":1,"data":{"sessionPath":"$path"}}`,
			`{"status":200,"reason":"OK","id":1}`)
		w.bob.Send(`{"method":"end","path":"$path","id":2}`)
		w.bob.Expect(`{"status":200,"reason":"session ended","id":2}`)
		w.alice.Expect(`{"method":"end","path":"$path","id":2,"sender":{"username":"bob","uuid":"1"}}`)
		w.over(Connecting, Open, Closed)
	})
}

func TestReject(t *testing.T) {
	run(t, core.Options{}, Options{}, func(w *world) {
		w.ring()
		w.bob.Send(`{"status":486,"reason":"busy","id":1,"data":{"until":"noon"}}`)
		w.alice.Expect(`{"status":486,"reason":"busy","id":1,"data":{"until":"noon"}}`)
		w.over(Connecting, Progress, Closed)
	})
}

func TestEndWhileRinging(t *testing.T) {
	t.Run("caller cancels", func(t *testing.T) {
		run(t, core.Options{}, Options{}, func(w *world) {
			w.ring()
			w.alice.Send(`{"method":"end","path":"$path","id":2,"data":"changed my mind"}`)
			w.alice.Expect(`{"status":200,"reason":"session ended","id":2}`, `{"status":487,"reason":"canceled","id":1}`)
			w.bob.Expect(`{"method":"end","path":"$path","id":2,"data":"changed my mind","sender":{"username":"alice","uuid":"1"}}`)
			w.bob.Send(`{"status":200,"reason":"too late","id":1}`)
			w.over(Connecting, Progress, Closed)
			if n := w.App.Stats().StrayResponses; n != 1 {
				t.Errorf("%d stray responses, want 1: the late answer", n)
			}
		})
	})
	t.Run("callee rejects", func(t *testing.T) {
		run(t, core.Options{}, Options{}, func(w *world) {
			w.ring()
			w.bob.Send(`{"method":"end","path":"$path","id":2,"data":{"reason":"not now"}}`)
			w.bob.Expect(`{"status":200,"reason":"session ended","id":2}`)
			w.alice.Expect(`{"status":603,"reason":"declined","id":1,"data":{"reason":"not now"}}`)
			w.bob.Send(`{"status":200,"reason":"too late","id":1}`)
			w.over(Connecting, Progress, Closed)
		})
	})
}

// Candidates are found while the device rings, by both.
func TestRequestsWhileRinging(t *testing.T) {
	run(t, core.Options{}, Options{}, func(w *world) {
		w.ring()
		w.alice.Send(`{"method":"candidate","path":"$path","id":2,"data":1}`, `{"method":"candidate","path":"$path","id":3,"data":2}`)
		w.bob.Expect(
			`{"method":"candidate","path":"$path","id":2,"data":1,"sender":{"username":"alice","uuid":"1"}}`,
			`{"method":"candidate","path":"$path","id":3,"data":2,"sender":{"username":"alice","uuid":"1"}}`)
		w.bob.Send(`{"method":"candidate","path":"$path","id":1,"data":3}`)
		w.alice.Expect(`{"method":"candidate","path":"$path","id":1,"data":3,"sender":{"username":"bob","uuid":"1"}}`)
		w.alice.Send(`{"status":200,"reason":"","id":1}`)
		w.bob.Expect(`{"status":200,"reason":"","id":1}`)
		w.bob.Send(`{"status":200,"reason":"","id":2}`, `{"status":200,"reason":"OK","id":1}`)
		w.alice.Expect(`{"status":200,"reason":"","id":2}`, `{"status":200,"reason":"OK","id":1}`)
		if want := []State{Connecting, Progress, Open}; !slices.Equal(w.states, want) {
			t.Errorf("states %v, want %v", w.states, want)
		}
	})
}

func TestTimeout(t *testing.T) {
	tests := []struct {
		name   string
		chosen time.Duration
		want   time.Duration
	}{
		{"default", 0, 120 * time.Second},
		{"chosen by middleware", 30 * time.Second, 30 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			peertest.Run(t, core.Options{}, func(pw *peertest.World) {
				w := &world{World: pw, m: New(pw.App, Options{})}
				w.App.Use("/sessions", func(req *core.Request, next core.Next) error {
					req.SetTimeout(tt.chosen)
					next()
					return nil
				}, w.m.Handle)
				w.m.OnState(func(_ *Session, state State) { w.states = append(w.states, state) })
				w.alice, w.bob = w.Connect("alice", "1"), w.Connect("bob", "1")
				w.ring()
				time.Sleep(tt.want - time.Nanosecond)
				w.alice.Expect()
				time.Sleep(time.Nanosecond)
				w.alice.Expect(`{"status":408,"reason":"sending timeout","id":1}`)
				w.bob.Expect(`{"method":"end","path":"$path","id":"$_","data":{"reason":"timeout"}}`)
				w.over(Connecting, Progress, Closed)
			})
		})
	}
}

func TestPartyLeaves(t *testing.T) {
	const end = `{"method":"end","path":"$path","id":"$_","data":{"reason":"peer offline"}}`
	for _, grace := range []time.Duration{0, 5 * time.Second} {
		leave := func(c *peertest.Client) {
			c.Disconnect()
			time.Sleep(grace)
		}
		t.Run(fmt.Sprintf("grace period %v", grace), func(t *testing.T) {
			o := core.Options{GracePeriod: grace}
			t.Run("caller, ringing", func(t *testing.T) {
				run(t, o, Options{}, func(w *world) {
					w.ring()
					leave(w.alice)
					w.bob.Expect(end)
					w.bob.Send(`{"status":200,"reason":"too late","id":1}`)
					w.over(Connecting, Progress, Closed)
				})
			})
			t.Run("callee, ringing", func(t *testing.T) {
				run(t, o, Options{}, func(w *world) {
					w.ring()
					leave(w.bob)
					w.alice.Expect(`{"status":410,"reason":"peer offline","id":1}`)
					w.over(Connecting, Progress, Closed)
				})
			})
			t.Run("caller, open", func(t *testing.T) {
				run(t, o, Options{}, func(w *world) {
					w.call()
					leave(w.alice)
					w.bob.Expect(end)
					w.over(Connecting, Progress, Open, Closed)
				})
			})
			t.Run("callee, open", func(t *testing.T) {
				run(t, o, Options{}, func(w *world) {
					w.call()
					w.alice.Send(`{"method":"hold","path":"$path","id":2}`)
					leave(w.bob)
					w.alice.Expect(`{"status":410,"reason":"peer offline","id":2}`, end)
					w.bob.Received()
					w.over(Connecting, Progress, Open, Closed)

					// Who comes later is somebody else, whatever their name.
					w.bob = w.Connect("bob", "1")
					w.bob.Send(`{"method":"hold","path":"$path","id":3}`)
					w.bob.Expect(`{"status":404,"reason":"no handler for hold at $path","id":3}`)
				})
			})
			t.Run("closed by the application", func(t *testing.T) {
				run(t, o, Options{}, func(w *world) {
					w.call()
					if err := w.alice.Peer.Close(0, ""); err != nil {
						t.Fatal(err)
					}
					w.bob.Expect(end)
					w.over(Connecting, Progress, Open, Closed)
				})
			})
		})
	}
}

func TestPartyReconnects(t *testing.T) {
	t.Run("within the grace period", func(t *testing.T) {
		run(t, core.Options{GracePeriod: 5 * time.Second}, Options{}, func(w *world) {
			w.ring()
			w.alice.Disconnect()
			w.bob.Send(`{"status":200,"reason":"OK","id":1}`, `{"method":"hold","path":"$path","id":2}`)
			time.Sleep(4 * time.Second)
			w.alice = w.Connect("alice", "1")
			w.alice.Expect(`{"status":200,"reason":"OK","id":1}`,
				`{"method":"hold","path":"$path","id":2,"sender":{"username":"bob","uuid":"1"}}`)
			w.bob.Disconnect()
			w.alice.Send(`{"method":"end","path":"$path","id":3}`)
			w.alice.Expect(`{"status":200,"reason":"session ended","id":3}`)
			w.bob = w.Connect("bob", "1")
			w.bob.Expect(`{"method":"end","path":"$path","id":3,"sender":{"username":"alice","uuid":"1"}}`)
			w.over(Connecting, Progress, Open, Closed)
		})
	})
	t.Run("by taking over", func(t *testing.T) {
		run(t, core.Options{}, Options{}, func(w *world) {
			w.call()
			old := w.bob
			w.bob = w.Connect("bob", "1")
			w.alice.Send(`{"method":"hold","path":"$path","id":2}`)
			w.bob.Expect(`{"method":"hold","path":"$path","id":2,"sender":{"username":"alice","uuid":"1"}}`)
			old.Disconnect()
			w.bob.Send(`{"status":200,"reason":"","id":2}`)
			w.alice.Expect(`{"status":200,"reason":"","id":2}`)
		})
	})
}

func TestStrangers(t *testing.T) {
	run(t, core.Options{}, Options{}, func(w *world) {
		w.ring()
		strangers := []*peertest.Client{w.Connect("mallory", "1"), w.Connect("alice", "2"), w.Connect("bob", "2")}
		for _, method := range []string{"hold", "end", "session", "message"} {
			for _, c := range strangers {
				c.Send(`{"method":"` + method + `","path":"$path","id":1,"sender":{"username":"alice","uuid":"1"}}`)
				c.Expect(`{"status":403,"reason":"not a party to this session","id":1}`)
				// An answer to a request that was sent to another.
				c.Send(`{"status":200,"reason":"OK","id":1}`)
			}
		}
		w.alice.Expect()
		w.bob.Expect()
		if n := w.m.Count(); n != 1 {
			t.Errorf("Count is %d, want 1", n)
		}
		w.alice.Send(`{"method":"hold","path":"$path","id":2,"sender":{"username":"carol","uuid":"1"}}`)
		w.bob.Expect(`{"method":"hold","path":"$path","id":2,"sender":{"username":"alice","uuid":"1"}}`)
	})
}

// A path is a session's when it is the same letter for letter, although routes are not that strict.
func TestOtherPaths(t *testing.T) {
	run(t, core.Options{}, Options{}, func(w *world) {
		w.call()
		path := w.Value("path")
		id := strings.TrimPrefix(path, "/sessions/")
		for _, other := range []string{
			path[:len(path)-1], path + "A", path + "/", strings.ToLower(path), "/Sessions/" + id,
			fmt.Sprintf("/sessions/%%%02X%s", id[0], id[1:]), "/sessions/", "/sessions", "/sessions/undefined",
			path + "/1",
		} {
			w.alice.Send(`{"method":"end","path":"` + other + `","id":1}`)
			w.alice.Expect(`{"status":404,"reason":"no handler for $_","id":1}`)
		}
		w.bob.Expect()
	})
}

func TestNotFound(t *testing.T) {
	tests := []struct{ path, to, want string }{
		{"", "/nobody/1", `404,"reason":"peer not found"`},
		{"", "/bob/2", `404,"reason":"peer not found"`},
		{"", "/BOB/1", `404,"reason":"peer not found"`},
		{"", "/__proto__/1", `404,"reason":"peer not found"`},
		{"", "/alice/1", `400,"reason":"a peer cannot call itself"`},
		{"", "/bob", `404,"reason":"no handler for session at /sessions/bob"`},
		{"", "/carol", `404,"reason":"no handler for session at /sessions/carol"`},
		{"", "/%zz/1", `400,"reason":"$_"`},
		{"/:username/:uuid?", "/carol", `484,"reason":"user has 2 devices, the path must name one"`},
		{"/:username/:uuid?", "/nobody", `404,"reason":"peer not found"`},
		{"/:username?", "/", `404,"reason":"peer not found"`},
	}
	for _, tt := range tests {
		t.Run(tt.path+" "+tt.to, func(t *testing.T) {
			run(t, core.Options{}, Options{Path: tt.path}, func(w *world) {
				w.Connect("carol", "1")
				w.Connect("carol", "2")
				w.alice.Send(`{"method":"session","path":"/sessions` + tt.to + `","id":1}`)
				w.alice.Expect(`{"status":` + tt.want + `,"id":1}`)
				w.over()
				if strings.Contains(tt.to, "%zz") {
					w.RouteErrors()
				}
			})
		})
	}
}

func TestNames(t *testing.T) {
	run(t, core.Options{}, Options{}, func(w *world) {
		for path, name := range map[string]string{"a%2Fb": "a/b", "__proto__": "__proto__", "€": "€", "100%25": "100%"} {
			c := w.Connect(name, name)
			w.alice.Send(`{"method":"session","path":"/sessions/` + path + `/` + path + `","id":1}`)
			w.alice.Expect(`{"status":100,"reason":"connecting","id":1,"data":{"sessionPath":"$_"}}`)
			c.Expect(`{"method":"session","path":"$_","id":1,"sender":{"username":"alice","uuid":"1"}}`)
			c.Send(`{"status":400,"reason":"","id":1}`)
			w.alice.Expect(`{"status":400,"reason":"","id":1}`)
		}
	})
}

// The path of a session begins with wherever the manager is mounted.
func TestMounted(t *testing.T) {
	tests := []struct{ mount, path, to string }{
		{"/", "", "/bob/1"},
		{"/tenants/:tenant/calls", "", "/tenants/acme/calls/bob/1"},
		{"/sessions", "/with/:username", "/sessions/with/bob"},
		{"/sessions", "/:username", "/sessions/bob"},
	}
	for _, tt := range tests {
		t.Run(tt.mount+tt.path, func(t *testing.T) {
			peertest.Run(t, core.Options{}, func(w *peertest.World) {
				m := New(w.App, Options{Path: tt.path})
				w.App.Use(tt.mount, m.Handle)
				alice, bob := w.Connect("alice", "1"), w.Connect("bob", "1")
				alice.Send(`{"method":"session","path":"` + tt.to + `","id":1}`)
				bob.Expect(`{"method":"session","path":"$path","id":1,"sender":{"username":"alice","uuid":"1"}}`)
				alice.Expect(`{"status":100,"reason":"connecting","id":1,"data":{"sessionPath":"$path"}}`)
				base, _, _ := strings.Cut(strings.TrimSuffix(tt.to, "/1"), "/bob")
				base = strings.TrimSuffix(base, "/with")
				if path := w.Value("path"); strings.LastIndexByte(path, '/') != len(base) || !strings.HasPrefix(path, base) {
					t.Errorf("path %q, want one right below %q", path, base)
				}
				bob.Send(`{"method":"end","path":"$path","id":1}`)
				bob.Expect(`{"status":200,"reason":"session ended","id":1}`)
				alice.Expect(`{"status":603,"reason":"declined","id":1}`)
			})
		})
	}
}

// A path that is too long to hold a session's identifier is refused.
func TestLongMount(t *testing.T) {
	peertest.Run(t, core.Options{}, func(w *peertest.World) {
		m := New(w.App, Options{})
		w.App.Use("/*/sessions", m.Handle)
		alice := w.Connect("alice", "1")
		w.Connect("b", "1")
		alice.Send(`{"method":"session","path":"/` + strings.Repeat("x", 2030) + `/sessions/b/1","id":1}`)
		alice.Expect(`{"status":400,"reason":"$_","id":1}`)
		w.RouteErrors()
		if m.Count() != 0 {
			t.Errorf("Count is %d, want 0", m.Count())
		}
	})
}

func TestNewPanics(t *testing.T) {
	for _, path := range []string{"/x", "/:user/:uuid", "/:username(["} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("New with path %q did not panic", path)
				}
			}()
			New(core.New(core.Options{}), Options{Path: path})
		}()
	}
}

// Both call each other at the same moment: two sessions, of which one side drops its own.
func TestGlare(t *testing.T) {
	run(t, core.Options{}, Options{}, func(w *world) {
		w.alice.Send(`{"method":"session","path":"/sessions/bob/1","id":1}`)
		w.bob.Send(`{"method":"session","path":"/sessions/alice/1","id":1}`)
		w.alice.Expect(
			`{"status":100,"reason":"connecting","id":1,"data":{"sessionPath":"$ours"}}`,
			`{"method":"session","path":"$theirs","id":1,"sender":{"username":"bob","uuid":"1"}}`)
		w.bob.Expect(
			`{"method":"session","path":"$ours","id":1,"sender":{"username":"alice","uuid":"1"}}`,
			`{"status":100,"reason":"connecting","id":1,"data":{"sessionPath":"$theirs"}}`)
		w.bob.Send(`{"method":"end","path":"$theirs","id":2}`, `{"status":200,"reason":"OK","id":1}`)
		w.bob.Expect(
			`{"status":200,"reason":"session ended","id":2}`,
			`{"status":487,"reason":"canceled","id":1}`)
		w.alice.Expect(
			`{"method":"end","path":"$theirs","id":2,"sender":{"username":"bob","uuid":"1"}}`,
			`{"status":200,"reason":"OK","id":1}`)
		if n := w.m.Count(); n != 1 {
			t.Errorf("Count is %d, want 1", n)
		}
	})
}

func TestMaxSessions(t *testing.T) {
	for _, tt := range []struct{ option, want int }{{0, 64}, {3, 3}, {-1, 500}} {
		t.Run(fmt.Sprint(tt.option), func(t *testing.T) {
			run(t, core.Options{}, Options{MaxSessions: tt.option}, func(w *world) {
				const calls = 500
				for range calls {
					w.alice.Send(`{"method":"session","path":"/sessions/bob/1","id":1}`)
				}
				connecting, refused := 0, 0
				for _, frame := range w.alice.Received() {
					switch {
					case strings.Contains(frame, `"status":100,"reason":"connecting"`):
						connecting++
					case frame == `{"status":429,"reason":"too many sessions","id":1}`:
						refused++
					default:
						t.Fatalf("alice has received %s", frame)
					}
				}
				if connecting != tt.want || refused != calls-tt.want {
					t.Errorf("%d calls were connected and %d refused, want %d and %d", connecting, refused, tt.want, calls-tt.want)
				}
				if n := len(w.bob.Received()); n != tt.want {
					t.Errorf("bob's device rings %d times, want %d", n, tt.want)
				}

				// Who is called that often can still call, and is still called by others.
				w.bob.Send(`{"method":"session","path":"/sessions/alice/1","id":1}`)
				w.bob.Expect(`{"status":100,"reason":"connecting","id":1,"data":{"sessionPath":"$path"}}`)
				w.alice.Received()
				if tt.option >= 0 {
					w.bob.Send(`{"status":486,"reason":"stop it","id":1}`)
					w.alice.Expect(`{"status":486,"reason":"stop it","id":1}`)
					w.alice.Send(`{"method":"session","path":"/sessions/bob/1","id":2}`)
					w.alice.Expect(`{"status":100,"reason":"connecting","id":2,"data":{"sessionPath":"$_"}}`)
				}
				w.alice.Disconnect()
				w.bob.Disconnect()
				if n := w.m.Count(); n != 0 {
					t.Errorf("Count is %d after both have left, want 0", n)
				}
			})
		})
	}
}

func TestEndByApplication(t *testing.T) {
	const end = `{"method":"end","path":"$path","id":"$_","data":{"reason":"out of credit"}}`
	run(t, core.Options{}, Options{}, func(w *world) {
		var session *Session
		w.m.OnState(func(s *Session, state State) {
			session = s
			if state == Closed {
				s.End("once more")
			}
		})
		w.ring()
		if session.Path() != w.Value("path") || session.Caller() != w.alice.Peer || session.Callee() != w.bob.Peer {
			t.Errorf("session at %s from %v to %v", session.Path(), session.Caller(), session.Callee())
		}
		session.End("out of credit")
		session.End("again")
		w.alice.Expect(`{"status":487,"reason":"canceled","id":1}`)
		w.bob.Expect(end)
		w.over(Connecting, Progress, Closed)
	})
	run(t, core.Options{}, Options{}, func(w *world) {
		w.m.OnState(func(s *Session, state State) {
			if state == Open {
				s.End("out of credit")
			}
		})
		w.alice.Send(`{"method":"session","path":"/sessions/bob/1","id":1}`)
		w.bob.Expect(`{"method":"session","path":"$path","id":1,"sender":{"username":"alice","uuid":"1"}}`)
		w.bob.Send(`{"status":200,"reason":"OK","id":1}`)
		w.bob.Expect(end)
		w.alice.Expect(
			`{"status":100,"reason":"connecting","id":1,"data":{"sessionPath":"$path"}}`,
			`{"status":200,"reason":"OK","id":1}`,
			end)
		w.over(Connecting, Open, Closed)
	})
}

// A caller that cannot be told has no session.
func TestLostResponses(t *testing.T) {
	t.Run("100", func(t *testing.T) {
		run(t, core.Options{DropWhenSlow: true}, Options{}, func(w *world) {
			w.alice.SetSlow(true)
			w.alice.Send(`{"method":"session","path":"/sessions/bob/1","id":1}`)
			w.over(Connecting, Closed)
		})
	})
	t.Run("200", func(t *testing.T) {
		run(t, core.Options{DropWhenSlow: true}, Options{}, func(w *world) {
			w.ring()
			w.alice.SetSlow(true)
			w.bob.Send(`{"status":200,"reason":"OK","id":1}`)
			w.bob.Expect(`{"method":"end","path":"$path","id":"$_","data":{"reason":"answer lost"}}`)
			w.over(Connecting, Progress, Closed)
		})
	})
	t.Run("200 after the application's own answer", func(t *testing.T) {
		run(t, core.Options{}, Options{}, func(w *world) {
			var setup *core.Request
			w.m.Param(func(req *core.Request, next core.Next, _ string) error {
				setup = req
				next()
				return nil
			}, "username")
			w.ring()
			if err := setup.Reply(408, "no patience"); err != nil {
				t.Fatal(err)
			}
			w.alice.Expect(`{"status":408,"reason":"no patience","id":1}`)
			w.bob.Send(`{"status":200,"reason":"OK","id":1}`)
			const end = `{"method":"end","path":"$path","id":"$_","data":{"reason":"answer lost"}}`
			w.bob.Expect(end)
			w.alice.Expect(end)
			w.over(Connecting, Progress, Closed)
		})
	})
	t.Run("200 to a caller that is leaving", func(t *testing.T) {
		peertest.Run(t, core.Options{}, func(pw *peertest.World) {
			w := &world{World: pw}
			// This listener runs before the manager's.
			w.App.OnOffline(func(*core.Peer) { w.bob.Send(`{"status":200,"reason":"OK","id":1}`) })
			w.m = New(w.App, Options{})
			w.App.Use("/sessions", w.m.Handle)
			w.m.OnState(func(_ *Session, state State) { w.states = append(w.states, state) })
			w.alice, w.bob = w.Connect("alice", "1"), w.Connect("bob", "1")
			w.ring()
			w.alice.Disconnect()
			w.bob.Expect(`{"method":"end","path":"$path","id":"$_","data":{"reason":"peer offline"}}`)
			w.over(Connecting, Progress, Closed)
		})
	})
}

func TestListenersThatFail(t *testing.T) {
	run(t, core.Options{}, Options{}, func(w *world) {
		oops := errors.New("oops")
		later := 0
		w.m.OnState(func(*Session, State) { panic(oops) })
		w.m.OnState(func(*Session, State) { later++ })
		w.call()
		w.alice.Disconnect()
		w.alice.Received()
		w.bob.Received()
		w.over(Connecting, Progress, Open, Closed)
		panics := w.RouteErrors()
		for _, err := range panics {
			if !errors.Is(err, oops) {
				t.Errorf("OnRouteError is told of %v, want %v", err, oops)
			}
		}
		if len(panics) != 4 || later != 4 {
			t.Errorf("%d panics and %d calls of the other listener, want 4 and 4", len(panics), later)
		}
	})
}

func TestStateString(t *testing.T) {
	for state, want := range map[State]string{Connecting: "connecting", Progress: "progress", Open: "open", Closed: "closed", 4: "State(4)", -1: "State(-1)"} {
		if got := state.String(); got != want {
			t.Errorf("State %d is %q, want %q", int(state), got, want)
		}
	}
}
