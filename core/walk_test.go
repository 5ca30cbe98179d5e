package core

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// later returns h so that it runs on another goroutine, after the handler has returned.
func later(h Handler) Handler {
	return func(req *Request, next Next) error {
		go func() {
			if err := h(req, next); err != nil {
				next(err)
			}
		}()
		return nil
	}
}

func TestNextFromAnotherGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		app := New(Options{})
		r := app.NewRouter(RouterOptions{})
		r.Param(func(req *Request, next Next, value string) error {
			return later(func(req *Request, next Next) error {
				j.add("p<%s>", value)
				next()
				return nil
			})(req, next)
		}, "id")
		r.Use("/:id", later(j.show("1")), later(j.show("2")))
		r.Message("/:id/x", later(j.show("3")), later(j.pass("4", SkipRoute)), j.pass("5"))
		r.Use("/", later(j.pass("6", fs.ErrExist)))
		r.Catch("/7", func(err error, req *Request, next Next) error {
			return later(func(*Request, Next) error {
				j.add("7(%v)[%s|%s]", err, req.BasePath(), req.Path())
				next()
				return nil
			})(req, next)
		})
		r.Use("/", later(j.pass("8", SkipRouter)), j.pass("9"))
		app.Use("/users/:name", later(j.show("0")), r.Handle)
		app.Use("/", later(j.show("end")))
		a := j.record(t, app)
		a.ask("message", "/users/alice/7/x")
		synctest.Wait()
		expect(t, j, "0[/users/alice|/7/x name=alice], p<7>, 1[/users/alice/7|/x id=7], 2[/users/alice/7|/x id=7], "+
			"3[/users/alice|/7/x id=7], 4, 6, 7(file already exists)[/users/alice/7|/x], 8, end[|/users/alice/7/x], "+
			"404 no handler for message at /users/alice/7/x")
	})
}

func TestTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		app := New(Options{})
		answer := make(chan string)
		app.Message("/", func(req *Request, _ Next) error {
			go func() {
				if err := req.Reply(200, <-answer); err != nil {
					t.Error(err)
				}
			}()
			return nil
		})
		app.Use("/", j.pass("after"))
		a := j.record(t, app)
		a.ask("message", "/")
		synctest.Wait()
		expect(t, j, "")
		answer <- "late"
		synctest.Wait()
		expect(t, j, "200 late")
	})
}

func TestNextTwice(t *testing.T) {
	for _, test := range []struct {
		name    string
		handler Handler
		want    string
	}{
		{"next, next", func(_ *Request, next Next) error {
			next()
			next()
			return nil
		}, "end, 200 end, !core: next called twice"},
		{"next, next with an error", func(_ *Request, next Next) error {
			next()
			next(fs.ErrExist)
			return nil
		}, "end, 200 end, !core: next called twice\nfile already exists"},
		{"next, return of an error", func(_ *Request, next Next) error {
			next()
			return fs.ErrExist
		}, "end, 200 end, !core: next called twice\nfile already exists"},
		{"next, panic", func(_ *Request, next Next) error {
			next()
			panic("late")
		}, "end, 200 end, !core: next called twice\npanic: late"},
		{"next with an error, next", func(_ *Request, next Next) error {
			next(fs.ErrExist)
			next()
			return nil
		}, "!file already exists, 500 file already exists, !core: next called twice"},
		{"three times", func(_ *Request, next Next) error {
			next()
			next(SkipRoute)
			next()
			return nil
		}, "end, 200 end, !core: next called twice\ncore: skip route, !core: next called twice"},
		{"after a final response, twice", func(req *Request, next Next) error {
			if err := req.Reply(200, "ok"); err != nil {
				return err
			}
			next()
			next()
			return nil
		}, "200 ok, !core: next called twice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			j := &journal{}
			app := New(Options{})
			app.OnRouteError(func(err error, req *Request) {
				if req.OriginalPath() != "/a" {
					t.Errorf("the error is about %v", req)
				}
			})
			app.Use("/a", test.handler)
			app.Use("/", j.reply("end"))
			j.record(t, app).ask("message", "/a")
			expect(t, j, test.want)
		})
	}

	t.Run("long after the request has gone on", func(t *testing.T) {
		j := &journal{}
		app := New(Options{})
		var first Next
		app.Use("/", func(_ *Request, next Next) error {
			first = next
			next()
			return nil
		}, func(*Request, Next) error { return nil })
		a := j.record(t, app)
		a.ask("message", "/a")
		first()
		expect(t, j, "!core: next called twice")
	})

	t.Run("at the same time", func(t *testing.T) {
		j := &journal{}
		app := New(Options{})
		const calls = 16
		var all sync.WaitGroup
		app.Use("/", func(_ *Request, next Next) error {
			for range calls {
				all.Go(func() { next() })
			}
			return nil
		})
		app.Use("/", j.pass("end"))
		app.OnRouteError(func(err error, _ *Request) {
			if !errors.Is(err, ErrNextTwice) {
				t.Errorf("got %v, want ErrNextTwice", err)
			}
			j.add("twice")
		})
		newAsker(t, app, func(m *message) { j.add("%d", m.status) }).ask("message", "/")
		all.Wait()
		got := j.take()
		if strings.Count(got, "end") != 1 || strings.Count(got, "404") != 1 || strings.Count(got, "twice") != calls-1 {
			t.Errorf("got %s, want end and 404 once and twice %d times", got, calls-1)
		}
	})
}

func TestSetPath(t *testing.T) {
	set := func(j *journal, path string) Handler {
		return func(req *Request, next Next) error {
			if err := req.SetPath(path); err != nil {
				j.add("(%v)", err)
			}
			next()
			return nil
		}
	}
	testRouting(t, []routingTest{
		{
			name: "the layers that follow see it",
			make: func(app *App, j *journal) {
				app.Use("/old", set(j, "/x"), j.show("1"))
				app.Message("/old", set(j, "/new/:y"), j.show("2"))
				app.Message("/old", j.show("3"))
				app.Message("/new/:id", set(j, "/news"))
				app.Use("/new", j.show("4"))
				app.Use("/news", j.show("5"))
			},
			want: [][2]string{
				{"message /old", "1[/old|/x], 404 no handler for message at /old/x"},
				{"message /old/1", "1[/old|/x], 404 no handler for message at /old/x"},
				{"message /new/1", "5[/news|/], 404 no handler for message at /news"},
			},
		}, {
			name: "in a router it replaces what the router sees",
			make: func(app *App, j *journal) {
				r := app.NewRouter(RouterOptions{})
				r.Message("/a", set(j, "/b"))
				r.Message("/a", j.pass("1"))
				r.Message("/b", j.show("2"))
				app.Use("/r", r.Handle, j.show("3"))
				app.Use("/", j.show("4"))
				app.Message("/r/b", j.pass("5"))
			},
			want: [][2]string{
				{"message /r/a", "2[/r|/b], 3[/r|/b], 4[|/r/b], 5, 404 no handler for message at /r/b"},
			},
		}, {
			name: "it must be a valid path",
			make: func(app *App, j *journal) {
				app.Use("/", set(j, ""), set(j, "x"), j.show("1"))
			},
			want: [][2]string{
				{"message /a", `(core: path "" does not start with a slash), (core: path "x" does not start with a slash), 1[|/a], 404`},
			},
		}, {
			name: "by a param handler, of a route",
			make: func(app *App, j *journal) {
				app.Param(func(req *Request, next Next, value string) error {
					if err := req.SetPath("/users/" + strings.ToLower(value)); err != nil {
						return err
					}
					next()
					return nil
				}, "name")
				app.Message("/users/:name", j.show("1"))
				app.Message("/users/:name", j.show("2"))
			},
			want: [][2]string{
				{"message /users/Alice", "1[|/users/alice name=Alice], 2[|/users/alice name=alice], 404 no handler for message at /users/alice"},
			},
		}, {
			name: "by a param handler, of a mount: that layer is for another path",
			make: func(app *App, j *journal) {
				rewrite := func(path string) ParamHandler {
					return func(req *Request, next Next, value string) error {
						if err := req.SetPath(path); err != nil {
							return err
						}
						next()
						return nil
					}
				}
				app.Param(rewrite("/x"), "shorter")
				app.Param(rewrite("/long/longer/longest"), "longer")
				app.Param(rewrite("/c/2/kept"), "kept")
				app.Param(rewrite("/d/22"), "longer_segment")
				app.Use("/a/:shorter", j.show("1"))
				app.Use("/b/:longer", j.show("2"))
				app.Use("/c/:kept", j.show("3"))
				app.Use("/d/:longer_segment", j.show("4"))
				app.Use("/", j.show("end"))
			},
			want: [][2]string{
				{"message /a/1/2", "end[|/x], 404 no handler for message at /x"},
				{"message /b/1/2", "end[|/long/longer/longest], 404 no handler for message at /long/longer/longest"},
				{"message /c/2/3", "3[/c/2|/kept kept=2], end[|/c/2/kept], 404 no handler for message at /c/2/kept"},
				{"message /d/2", "end[|/d/22], 404 no handler for message at /d/22"},
				{"message /c/22/3", "end[|/c/2/kept], 404 no handler for message at /c/2/kept"},
			},
		},
	})

	t.Run("it must stay within the bounds of a path", func(t *testing.T) {
		app := New(Options{})
		app.Use("/users", func(req *Request, _ Next) error {
			for _, path := range []string{"/" + strings.Repeat("a", 4096), "/\x00", "/\xff"} {
				if err := req.SetPath(path); err == nil || req.OriginalPath() != "/users/1" {
					t.Errorf("SetPath(%.20q) returned %v, the path is %.20q", path, err, req.OriginalPath())
				}
			}
			return req.Reply(200, "ok")
		})
		newAsker(t, app, func(*message) {}).ask("message", "/users/1")
	})
}

func TestRegisteringWhileServing(t *testing.T) {
	t.Run("a request sees the stack as it was", func(t *testing.T) {
		j := &journal{}
		app := New(Options{})
		r := app.NewRouter(RouterOptions{})
		n := 0
		app.Use("/", func(_ *Request, next Next) error {
			n++
			app.Use("/", j.pass(fmt.Sprintf("app%d", n)))
			r.Use("/", j.pass(fmt.Sprintf("r%d", n)))
			next()
			return nil
		}, r.Handle)
		a := j.record(t, app)
		a.ask("message", "/")
		expect(t, j, "r1, 404 no handler for message at /")
		a.ask("message", "/")
		expect(t, j, "r1, r2, app1, 404 no handler for message at /")
	})

	t.Run("from many goroutines", func(t *testing.T) {
		const writers, layers = 4, 50
		app := New(Options{})
		r := app.NewRouter(RouterOptions{})
		app.Use("/r", r.Handle)
		route := r.Route("/shared")
		var all sync.WaitGroup
		pass := func(_ *Request, next Next) error { next(); return nil }
		for w := range writers {
			all.Go(func() {
				for i := range layers {
					r.Use(fmt.Sprintf("/%d/%d", w, i), pass)
					route.Message(pass)
					r.Param(func(_ *Request, next Next, _ string) error { next(); return nil }, "x")
					app.Message("/:x", pass)
					app.Catch("/", func(_ error, _ *Request, next Next) error { next(); return nil })
				}
			})
			all.Go(func() {
				a := &asker{t: t, loop: NewLoop(func() {}), answer: func(m *message) {
					if m.status != 404 {
						t.Errorf("got %d, want 404", m.status)
					}
				}}
				var err error
				if a.link, err = app.Connect(Identity{Username: "bob", UUID: fmt.Sprint(w)}, a); err != nil {
					t.Error(err)
					return
				}
				for i := range layers {
					a.ask("message", fmt.Sprintf("/r/%d/%d", w, i))
					a.ask("message", "/r/shared")
				}
			})
		}
		all.Wait()

		var mu sync.Mutex
		seen := map[string]int{}
		r.Use("/", func(req *Request, next Next) error {
			mu.Lock()
			defer mu.Unlock()
			seen[req.Path()]++
			return nil
		})
		last := newAsker(t, app, func(*message) {})
		for w := range writers {
			for i := range layers {
				last.ask("message", fmt.Sprintf("/r/%d/%d", w, i))
			}
		}
		if len(seen) != writers*layers {
			t.Errorf("%d paths came through, want %d", len(seen), writers*layers)
		}
		if got := len(r.stack.Load().layers); got != writers*layers+2 {
			t.Errorf("the router has %d layers, want %d", got, writers*layers+2)
		}
	})
}

// Registering one layer after the other, without requests in between, must not copy all of them each time.
func TestRegistrationIsLinear(t *testing.T) {
	const layers = 4096
	pass := func(_ *Request, next Next) error { next(); return nil }
	app := New(Options{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range layers {
		app.Message("/"+strconv.Itoa(i)+"/:x", pass)
	}
	runtime.ReadMemStats(&after)
	// Copying them would take layers/2 words, 16 KiB, for each.
	if perLayer := (after.TotalAlloc - before.TotalAlloc) / layers; perLayer > 4096 {
		t.Errorf("registering one of %d layers takes %d bytes", layers, perLayer)
	}
}
