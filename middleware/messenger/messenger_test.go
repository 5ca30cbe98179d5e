package messenger_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/middleware/internal/peertest"
	"github.com/protoo-go/protoo/middleware/messenger"
)

// run tests a messenger mounted at /users.
func run(t *testing.T, o core.Options, test func(*peertest.World)) {
	t.Helper()
	peertest.Run(t, o, func(w *peertest.World) {
		w.App.Use("/users", messenger.New(w.App, messenger.Options{}).Handle)
		test(w)
	})
}

func TestOneTarget(t *testing.T) {
	run(t, core.Options{}, func(w *peertest.World) {
		alice, bob := w.Connect("alice", "1"), w.Connect("bob", "1")
		alice.Send(`{"method":"message","path":"/users/bob","id":7,"data":{"text" : "h\u0069","n":1.50}}`)
		bob.Expect(`{"method":"message","path":"/users/bob","id":7,"data":{"text" : "h\u0069","n":1.50},"sender":{"username":"alice","uuid":"1"}}`)
		alice.Expect()

		bob.Send(`{"status":183,"reason":"reading","id":7}`)
		alice.Expect(`{"status":183,"reason":"reading","id":7}`)
		bob.Send(`{"status":299,"reason":"read","id":7,"data":[1, 2]}`)
		alice.Expect(`{"status":299,"reason":"read","id":7,"data":[1, 2]}`)

		alice.Send(`{"method":"message","path":"/users/bob/1","id":"x"}`)
		bob.Expect(`{"method":"message","path":"/users/bob/1","id":"x","sender":{"username":"alice","uuid":"1"}}`)
		bob.Send(`{"status":403,"reason":"no","id":"x"}`)
		alice.Expect(`{"status":403,"reason":"no","id":"x"}`)
		bob.Expect()
	})
}

func TestSeveralTargets(t *testing.T) {
	run(t, core.Options{}, func(w *peertest.World) {
		alice := w.Connect("alice", "1")
		devices := []*peertest.Client{w.Connect("bob", "1"), w.Connect("bob", "2"), w.Connect("bob", "3")}
		other := w.Connect("bobby", "1")
		alice.Send(`{"method":"message","path":"/users/bob","id":1,"data":"hi"}`)
		alice.Expect(`{"status":200,"reason":"message sent to 3 peers","id":1}`)
		for _, bob := range devices {
			bob.Expect(`{"method":"message","path":"/users/bob","id":"$id","data":"hi","sender":{"username":"alice","uuid":"1"}}`)
			bob.Send(`{"status":200,"reason":"ok","id":"$id"}`, `{"status":404,"reason":"?","id":"$id"}`)
		}
		alice.Expect()
		other.Expect()
		if stray := w.App.Stats().StrayResponses; stray != 0 {
			t.Errorf("%d stray responses, want none: the answers were to be expected", stray)
		}

		devices[1].Disconnect()
		devices[0].SetSlow(true)
		alice.Send(`{"method":"message","path":"/users/bob","id":2}`)
		alice.Expect(`{"status":200,"reason":"message sent to 1 peers","id":2}`)
		devices[2].Expect(`{"method":"message","path":"/users/bob","id":"$_","sender":{"username":"alice","uuid":"1"}}`)
	})
}

func TestSeveralTargetsAllSlow(t *testing.T) {
	run(t, core.Options{DropWhenSlow: true}, func(w *peertest.World) {
		alice := w.Connect("alice", "1")
		for _, uuid := range []string{"1", "2"} {
			w.Connect("bob", uuid).SetSlow(true)
		}
		alice.Send(`{"method":"message","path":"/users/bob","id":1}`)
		alice.Expect(`{"status":503,"reason":"peers too slow","id":1}`)
	})
}

func TestSender(t *testing.T) {
	run(t, core.Options{}, func(w *peertest.World) {
		here := w.Connect("alice", "here")
		here.Send(`{"method":"message","path":"/users/alice","id":1}`)
		here.Expect(`{"method":"message","path":"/users/alice","id":1,"sender":{"username":"alice","uuid":"here"}}`)
		here.Send(`{"status":200,"reason":"talking to myself","id":1}`)
		here.Expect(`{"status":200,"reason":"talking to myself","id":1}`)

		there, mallory := w.Connect("alice", "there"), w.Connect("mallory", "1")
		here.Send(`{"method":"message","path":"/users/alice","id":2}`)
		want := `{"method":"message","path":"/users/alice","id":"$_","sender":{"username":"alice","uuid":"here"}}`
		here.Expect(want, `{"status":200,"reason":"message sent to 2 peers","id":2}`)
		there.Expect(want)

		mallory.Send(`{"method":"message","path":"/users/alice/here","id":3,"sender":{"username":"alice","uuid":"there"}}`)
		here.Expect(`{"method":"message","path":"/users/alice/here","id":3,"sender":{"username":"mallory","uuid":"1"}}`)
	})
}

func TestNoTarget(t *testing.T) {
	run(t, core.Options{}, func(w *peertest.World) {
		alice := w.Connect("alice", "1")
		w.Connect("bob", "1")
		for _, path := range []string{"/users/nobody", "/users/bob/2", "/users/BOB", "/users/nobody/1", "/users/__proto__"} {
			alice.Send(`{"method":"message","path":"` + path + `","id":1}`)
			alice.Expect(`{"status":404,"reason":"peer not found","id":1}`)
		}
		for _, request := range []string{`"message","path":"/users"`, `"message","path":"/users/bob/1/x"`, `"session","path":"/users/bob"`} {
			alice.Send(`{"method":` + request + `,"id":1}`)
			alice.Expect(`{"status":404,"reason":"no handler for $_","id":1}`)
		}
	})
}

func TestNames(t *testing.T) {
	run(t, core.Options{}, func(w *peertest.World) {
		alice := w.Connect("alice", "1")
		for path, name := range map[string]string{
			"/users/a%2Fb":             "a/b",
			"/users/%E2%82%AC":         "€",
			"/users/€":                 "€",
			"/users/__proto__":         "__proto__",
			"/users/constructor/":      "constructor",
			"/USERS/Bob%20the%20first": "Bob the first",
			"/users/%25":               "%",
			"/users/+":                 "+",
		} {
			c := w.Connect(name, "a/b")
			for _, path := range []string{path, strings.TrimSuffix(path, "/") + "/a%2fb"} {
				alice.Send(`{"method":"message","path":"` + path + `","id":1}`)
				c.Expect(`{"method":"message","path":"` + path + `","id":1,"sender":{"username":"alice","uuid":"1"}}`)
				c.Send(`{"status":200,"reason":"","id":1}`)
				alice.Expect(`{"status":200,"reason":"","id":1}`)
			}
			c.Disconnect()
		}
		alice.Send(`{"method":"message","path":"/users/%zz","id":1}`)
		alice.Expect(`{"status":400,"reason":"$_","id":1}`)
		w.RouteErrors()
	})
}

func TestTargetLeaves(t *testing.T) {
	run(t, core.Options{}, func(w *peertest.World) {
		alice, bob := w.Connect("alice", "1"), w.Connect("bob", "1")
		alice.Send(`{"method":"message","path":"/users/bob","id":1}`)
		bob.Disconnect()
		alice.Expect(`{"status":410,"reason":"peer offline","id":1}`)
		alice.Send(`{"method":"message","path":"/users/bob","id":2}`)
		alice.Expect(`{"status":404,"reason":"peer not found","id":2}`)

		w.Connect("bob", "1")
		alice.Send(`{"method":"message","path":"/users/bob","id":3}`)
		time.Sleep(10 * time.Second)
		alice.Expect(`{"status":408,"reason":"sending timeout","id":3}`)
	})
}

func TestGracePeriod(t *testing.T) {
	run(t, core.Options{GracePeriod: time.Second}, func(w *peertest.World) {
		alice, bob := w.Connect("alice", "1"), w.Connect("bob", "1")
		bob.Disconnect()
		alice.Send(`{"method":"message","path":"/users/bob","id":1}`)
		alice.Expect()
		bob = w.Connect("bob", "1")
		bob.Expect(`{"method":"message","path":"/users/bob","id":1,"sender":{"username":"alice","uuid":"1"}}`)
		bob.Send(`{"status":200,"reason":"back","id":1}`)
		alice.Expect(`{"status":200,"reason":"back","id":1}`)
	})
}

func TestPath(t *testing.T) {
	peertest.Run(t, core.Options{}, func(w *peertest.World) {
		w.App.Use("/", messenger.New(w.App, messenger.Options{Path: "/to/:username?"}).Handle)
		alice, bob := w.Connect("alice", "1"), w.Connect("bob", "1")
		alice.Send(`{"method":"message","path":"/to/bob","id":1}`)
		bob.Expect(`{"method":"message","path":"/to/bob","id":1,"sender":{"username":"alice","uuid":"1"}}`)
		// Leaving the name out must not reach everybody.
		alice.Send(`{"method":"message","path":"/to","id":2}`)
		alice.Expect(`{"status":404,"reason":"peer not found","id":2}`)
		bob.Expect()
	})
	for _, path := range []string{"/everybody", "/:user", "/:username(["} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("New with path %q did not panic", path)
				}
			}()
			messenger.New(core.New(core.Options{}), messenger.Options{Path: path})
		}()
	}
}

// One user with many devices is written to without end while they come and go.
func TestManyAtOnce(t *testing.T) {
	run(t, core.Options{MaxRequests: -1}, func(w *peertest.World) {
		const messages = 500
		alice := w.Connect("alice", "1")
		stop := make(chan struct{})
		for _, uuid := range []string{"1", "2", "3", "4"} {
			go func() {
				for {
					select {
					case <-stop:
						return
					default:
						w.Connect("bob", uuid).Disconnect()
					}
				}
			}()
		}
		for range messages {
			alice.Send(`{"method":"message","path":"/users/bob","id":1}`)
		}
		close(stop)
		synctest.Wait()
		if n := len(alice.Received()); n != messages {
			t.Errorf("%d messages got %d final responses", messages, n)
		}
	})
}
