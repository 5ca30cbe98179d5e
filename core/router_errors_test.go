package core

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

func TestErrorHandlers(t *testing.T) {
	testRouting(t, []routingTest{
		{
			name: "only they run while an error is pending",
			make: func(app *App, j *journal) {
				app.Catch("/", j.catch("early"))
				app.Use("/", j.pass("1", fs.ErrExist), j.pass("2"))
				app.All("*", j.pass("3"))
				r := app.NewRouter(RouterOptions{})
				r.Catch("/", j.catch("child"))
				app.Use("/", r.Handle)
				app.Catch("/b", j.catch("b"))
				app.Catch("/a", j.catch("a"), j.catch("a2"))
				app.All("*", j.pass("4"))
				app.Catch("/", j.catch("late"))
			},
			want: [][2]string{
				{"message /a/x", "1, a(file already exists), 4, 404"},
				{"message /c", "1, late(file already exists), 404"},
			},
		}, {
			name: "may replace the error",
			make: func(app *App, j *journal) {
				app.Message("/", j.pass("1", fs.ErrExist), j.pass("2"))
				app.Catch("/", j.catch("c", fs.ErrClosed))
				app.Catch("/", func(err error, _ *Request, _ Next) error { return Error(410, "gone: "+err.Error()) })
			},
			want: [][2]string{{"message /", "1, c(file already exists), !410 gone: file already closed, 410 gone: file already closed"}},
		}, {
			name: "may reply or panic",
			make: func(app *App, j *journal) {
				app.Use("/", j.pass("1", fs.ErrExist))
				app.Catch("/reply", func(err error, req *Request, _ Next) error { return req.Reply(409, err.Error()) })
				app.Catch("/panic", func(error, *Request, Next) error { panic("again") })
			},
			want: [][2]string{
				{"message /reply", "1, 409 file already exists"},
				{"message /panic", "1, !panic: again, 500 panic: again"},
			},
		}, {
			name: "see path and parameters as middleware does",
			make: func(app *App, j *journal) {
				app.Use("/", j.pass("1", fs.ErrExist))
				app.CatchOn(AnyOf(Path("/a/:x"), Path("/b")), func(err error, req *Request, next Next) error {
					j.add("c[%s|%s%s]", req.BasePath(), req.Path(), paramText(req))
					next()
					return nil
				})
				app.Use("/", j.show("2"))
			},
			want: [][2]string{
				{"message /a/1/z", "1, c[/a/1|/z x=1], 2[|/a/1/z], 404"},
				{"message /b", "1, c[/b|/], 2[|/b], 404"},
			},
		}, {
			name: "a mounted router's error reaches its own handlers, then its parent's",
			make: func(app *App, j *journal) {
				r := app.NewRouter(RouterOptions{})
				r.Use("/", j.pass("1", fs.ErrExist))
				r.Catch("/own", j.catch("own"))
				r.Use("/", j.pass("2"))
				app.Use("/r", r.Handle, j.pass("3"))
				app.Catch("/", j.catch("parent"))
				app.Use("/", j.pass("4"))
			},
			want: [][2]string{
				{"message /r/own", "1, own(file already exists), 2, 3, 4, 404"},
				{"message /r/x", "1, parent(file already exists), 4, 404"},
			},
		}, {
			name: "they see errors after the final response, next without one ends",
			make: func(app *App, j *journal) {
				replied := func(req *Request, next Next) error {
					if err := req.Reply(200, "ok"); err != nil {
						return err
					}
					next(fs.ErrExist)
					return nil
				}
				app.Use("/clear", replied)
				app.Catch("/clear", j.catch("c"))
				app.Use("/keep", replied)
				app.Catch("/keep", j.catch("k", fs.ErrClosed))
				app.Use("/", replied)
			},
			want: [][2]string{
				{"message /clear", "200 ok, c(file already exists)"},
				{"message /keep", "200 ok, k(file already exists), !file already closed"},
				{"message /", "200 ok, !file already exists"},
			},
		},
	})
}

func TestSkips(t *testing.T) {
	returns := func(j *journal, name string, err error) Handler {
		return func(*Request, Next) error {
			j.add("%s", name)
			return err
		}
	}
	for _, how := range []struct {
		name string
		do   func(j *journal, name string, err error) Handler
	}{
		{"given to next", func(j *journal, name string, err error) Handler { return j.pass(name, err) }},
		{"returned", returns},
	} {
		t.Run(how.name, func(t *testing.T) {
			testRouting(t, []routingTest{
				{
					name: "SkipRoute leaves the route",
					make: func(app *App, j *journal) {
						app.Route("/a").All(j.pass("1"), how.do(j, "2", SkipRoute), j.pass("3")).Message(j.pass("4"))
						app.Message("/a", j.pass("5"))
					},
					want: [][2]string{{"message /a", "1, 2, 5, 404"}},
				}, {
					name: "SkipRoute in middleware is next",
					make: func(app *App, j *journal) {
						app.Use("/", how.do(j, "1", SkipRoute), j.pass("2"))
						app.Message("/a", j.pass("3"))
					},
					want: [][2]string{{"message /a", "1, 2, 3, 404"}},
				}, {
					name: "SkipRouter leaves the router",
					make: func(app *App, j *journal) {
						r := app.NewRouter(RouterOptions{})
						r.Use("/use", how.do(j, "1", SkipRouter))
						r.Message("/route", how.do(j, "2", SkipRouter), j.pass("3"))
						r.Use("/", j.pass("4"))
						app.Use("/r", r.Handle, j.pass("5"))
						app.Use("/", j.show("6"))
					},
					want: [][2]string{
						{"message /r/use", "1, 5, 6[|/r/use], 404"},
						{"message /r/route", "2, 5, 6[|/r/route], 404"},
						{"message /r/x", "4, 5, 6[|/r/x], 404"},
					},
				}, {
					name: "SkipRouter in the application's own router ends the walk",
					make: func(app *App, j *journal) {
						app.Use("/", how.do(j, "1", SkipRouter), j.pass("2"))
					},
					want: [][2]string{{"message /a", "1, 404"}},
				}, {
					name: "no error handler sees them",
					make: func(app *App, j *journal) {
						app.Message("/a", how.do(j, "1", SkipRoute))
						app.Catch("/", j.catch("c"))
						r := app.NewRouter(RouterOptions{})
						r.Use("/", how.do(j, "2", SkipRouter))
						r.Catch("/", j.catch("d"))
						app.Use("/", r.Handle)
						app.Catch("/", j.catch("e"))
					},
					want: [][2]string{{"message /a", "1, 2, 404"}},
				}, {
					name: "after the final response they do nothing",
					make: func(app *App, j *journal) {
						reply := func(req *Request, next Next) error {
							if err := req.Reply(200, "ok"); err != nil {
								return err
							}
							next()
							return nil
						}
						replySkip := func(skip error) Handler {
							return func(req *Request, next Next) error {
								if err := req.Reply(200, "ok"); err != nil {
									return err
								}
								return how.do(j, "1", skip)(req, next)
							}
						}
						app.Message("/route", replySkip(SkipRoute))
						app.Message("/router", replySkip(SkipRouter))
						app.Message("/next", reply)
						app.Use("/", j.pass("2"))
					},
					want: [][2]string{
						{"message /route", "200 ok, 1"},
						{"message /router", "200 ok, 1"},
						{"message /next", "200 ok"},
					},
				}, {
					name: "in an error handler they clear the error",
					make: func(app *App, j *journal) {
						app.Use("/", j.pass("1", fs.ErrExist))
						app.Catch("/route", j.catch("c", SkipRoute))
						app.Catch("/router", j.catch("d", SkipRouter))
						app.Use("/", j.pass("2"))
					},
					want: [][2]string{
						{"message /route", "1, c(file already exists), 2, 404"},
						{"message /router", "1, d(file already exists), 404"},
					},
				}, {
					name: "wrapped they are errors like others",
					make: func(app *App, j *journal) {
						app.Message("/a", how.do(j, "1", fmt.Errorf("because: %w", SkipRoute)))
						app.Catch("/", j.catch("c"))
					},
					want: [][2]string{{"message /a", "1, c(because: core: skip route), 404"}},
				},
			})
		})
	}
}

func TestBadPercentEncoding(t *testing.T) {
	for _, test := range []struct{ path, want string }{
		{"/a/%zz", "1, 400"},
		{"/a/%", "1, 400"},
		{"/a/%4", "1, 400"},
		{"/a/%ff", "1, 400"},       // not UTF-8
		{"/a/%c0%80", "1, 400"},    // overlong
		{"/a/%ed%a0%80", "1, 400"}, // a surrogate
		{"/b/%zz/x", "1, 400"},
		{"/c/%zz", "1, 4, 404"}, // nobody wants it decoded
		{"/a/%41", "1, 4, 404"},
	} {
		t.Run(test.path, func(t *testing.T) {
			j := &journal{}
			app := New(Options{})
			app.Use("/", j.pass("1"))
			app.Session("/a/:x", j.pass("2")) // whatever its method
			app.Use("/b/:x", j.pass("3"))
			app.Use("/", j.pass("4"))
			app.Catch("/c", j.catch("5"))
			newAsker(t, app, func(m *message) {
				j.add("%d", m.status)
				if m.status == 400 && !strings.Contains(m.reason, "%") {
					t.Errorf("the reason %q does not say what is wrong", m.reason)
				}
			}).ask("message", test.path)
			expect(t, j, test.want)
		})
	}

	testRouting(t, []routingTest{
		{
			name: "it goes through the error handlers",
			make: func(app *App, j *journal) {
				app.Session("/a/:x", j.pass("1"))
				app.Use("/", j.pass("2"))
				app.Catch("/a", func(err error, req *Request, next Next) error {
					j.add("c[%s|%s]", req.BasePath(), req.Path())
					next()
					return nil
				})
				app.Use("/", j.pass("3"))
			},
			want: [][2]string{{"message /a/%zz", "c[/a|/%zz], 3, 404"}},
		}, {
			name: "it does not take the place of the error that is pending",
			make: func(app *App, j *journal) {
				app.Use("/", j.pass("1", fs.ErrExist))
				app.Catch("/:x", j.catch("c"))
				app.Catch("/", j.catch("d"))
			},
			want: [][2]string{{"message /%zz", "1, d(file already exists), 404"}},
		},
	})
}
