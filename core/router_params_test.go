package core

import (
	"io/fs"
	"regexp"
	"testing"
)

func TestMergeParams(t *testing.T) {
	testRouting(t, []routingTest{
		{
			name: "params belong to their layer",
			make: func(app *App, j *journal) {
				r := app.NewRouter(RouterOptions{})
				r.Use("/", j.show("use"))
				r.Message("/:b", j.show("route"))
				r.Use("/", j.show("use"))
				app.Use("/:a", r.Handle, j.show("after"))
				app.Use("/", j.show("end"))
			},
			want: [][2]string{
				{"message /1/2", "use[/1|/2], route[/1|/2 b=2], use[/1|/2], after[/1|/2 a=1], end[|/1/2], 404"},
			},
		}, {
			name: "the parent's are merged, the child's win",
			make: func(app *App, j *journal) {
				inner := app.NewRouter(RouterOptions{MergeParams: true})
				inner.Message("/:c", j.show("inner"))
				r := app.NewRouter(RouterOptions{MergeParams: true})
				r.Use("/", j.show("use"))
				r.Use("/:x/:b", inner.Handle)
				r.Use("/:y", j.show("other"))
				app.Use("/:a/:x", r.Handle, j.show("after"))
			},
			want: [][2]string{
				{"message /1/2/3/4/5", "use[/1/2|/3/4/5 a=1 x=2], inner[/1/2/3/4|/5 a=1 b=4 c=5 x=3], " +
					"other[/1/2/3|/4/5 a=1 x=2 y=3], after[/1/2|/3/4/5 a=1 x=2], 404"},
			},
		}, {
			name: "one that did not take part hides nothing",
			make: func(app *App, j *journal) {
				r := app.NewRouter(RouterOptions{MergeParams: true})
				r.Message("/:x?", j.show("r"))
				app.Use("/:x", r.Handle)
			},
			want: [][2]string{
				{"message /1/2", "r[/1|/2 x=2], 404"},
				{"message /1", "r[/1|/ x=1], 404"},
			},
		}, {
			name: "numbered ones are names like any others",
			make: func(app *App, j *journal) {
				r := app.NewRouter(RouterOptions{MergeParams: true})
				r.Message("/*", j.show("r"))
				app.UseOn(Regexp(regexp.MustCompile(`/(a)(\d)`)), r.Handle)
			},
			want: [][2]string{{"message /a1/b", "r[/a1|/b 0=b 1=1], 404"}},
		}, {
			name: "only from the router around",
			make: func(app *App, j *journal) {
				inner := app.NewRouter(RouterOptions{MergeParams: true})
				inner.Message("/:c", j.show("inner"))
				r := app.NewRouter(RouterOptions{})
				r.Use("/:b", inner.Handle)
				app.Use("/:a", r.Handle)
			},
			want: [][2]string{{"message /1/2/3", "inner[/1/2|/3 b=2 c=3], 404"}},
		},
	})
}

func TestParamHandlers(t *testing.T) {
	testRouting(t, []routingTest{
		{
			name: "run before the layer, in the order of the keys",
			make: func(app *App, j *journal) {
				app.Param(j.param("second"), "b")
				app.Param(j.param("first"), "a", "c")
				app.Param(j.param("third"), "c", "b")
				app.Message("/:a/:b/:c?", j.pass("handler"))
			},
			want: [][2]string{
				{"message /1/2/3", "first<1>, second<2>, third<2>, first<3>, third<3>, handler, 404"},
				{"message /1/2", "first<1>, second<2>, third<2>, handler, 404"},
			},
		}, {
			name: "see the parameters, the decoded value, and the path before the mount hides it",
			make: func(app *App, j *journal) {
				app.Param(func(req *Request, next Next, value string) error {
					j.add("%s[%s|%s%s]", value, req.BasePath(), req.Path(), paramText(req))
					next()
					return nil
				}, "a")
				r := app.NewRouter(RouterOptions{})
				r.Param(func(req *Request, next Next, value string) error {
					j.add("%s[%s|%s%s]", value, req.BasePath(), req.Path(), paramText(req))
					next()
					return nil
				}, "b")
				r.Use("/:b", j.show("use"))
				app.Use("/:a/:z?", r.Handle)
			},
			want: [][2]string{
				{"message /%C3%A9/2/3/4", "é[|/%C3%A9/2/3/4 a=é z=2], 3[/%C3%A9/2|/3/4 b=3], use[/%C3%A9/2/3|/4 b=3], 404"},
			},
		}, {
			name: "once for the same name and value",
			make: func(app *App, j *journal) {
				app.Param(j.param("p"), "username")
				app.Message("/user/:username", j.pass("1"))
				app.Message("/user/:username", j.pass("2"))
				app.Use("/:username", j.pass("3"))
				app.Message("/user/:username", j.pass("4"))
			},
			want: [][2]string{
				{"message /user/user", "p<user>, 1, 2, 3, 4, 404"},
				// Another value comes between: what the handler has stored may be about that one.
				{"message /user/alice", "p<alice>, 1, 2, p<user>, 3, p<alice>, 4, 404"},
			},
		}, {
			name: "once for a name that a pattern has twice: the last value counts",
			make: func(app *App, j *journal) {
				app.Param(j.param("p"), "x")
				app.Message("/:x/:x", j.show("1"))
			},
			want: [][2]string{{"message /1/2", "p<2>, 1[|/1/2 x=2], 404"}},
		}, {
			name: "not inherited by mounted routers, nor from them",
			make: func(app *App, j *journal) {
				r := app.NewRouter(RouterOptions{MergeParams: true})
				r.Message("/:x", j.pass("r"))
				r.Param(j.param("child"), "y")
				app.Param(j.param("parent"), "x")
				app.Use("/:y", r.Handle)
				app.Message("/1/:x", j.pass("app"))
			},
			want: [][2]string{{"message /1/2", "r, parent<2>, app, 404"}},
		}, {
			name: "each router remembers for itself, however often it is mounted",
			make: func(app *App, j *journal) {
				r := app.NewRouter(RouterOptions{})
				r.Param(j.param("child"), "x")
				r.Use("/:x", j.pass("r"))
				app.Param(j.param("parent"), "x")
				app.Use("/", r.Handle, r.Handle)
				app.Use("/:x", j.pass("app"))
			},
			want: [][2]string{{"message /1", "child<1>, r, r, parent<1>, app, 404"}},
		}, {
			name: "can reply",
			make: func(app *App, j *journal) {
				r := app.NewRouter(RouterOptions{})
				r.Param(func(req *Request, next Next, service string) error {
					if service != "conference" && service != "echo" {
						return req.Reply(404, "service not available")
					}
					next()
					return nil
				}, "service")
				r.Session("/:service", j.reply("r"))
				app.Use("/services", r.Handle)
			},
			want: [][2]string{
				{"session /services/echo", "r service=echo, 200 r"},
				{"session /services/mail", "404 service not available"},
			},
		}, {
			name: "can fail, and fail again where they are not run again",
			make: func(app *App, j *journal) {
				app.Param(j.param("p", Error(403, "no")), "x")
				app.Message("/:x", j.pass("1"))
				app.Message("/:x", j.pass("2"))
				app.Catch("/", j.catch("c"))
				app.Message("/:x", j.pass("3"))
				app.Catch("/", j.catch("d"))
				app.Message("/:y", j.pass("4"))
			},
			want: [][2]string{{"message /1", "p<1>, c(403 no), d(403 no), 4, 404"}},
		}, {
			name: "can panic",
			make: func(app *App, j *journal) {
				app.Param(func(*Request, Next, string) error { panic("lost") }, "x")
				app.Message("/:x", j.pass("1"))
			},
			want: [][2]string{{"message /1", "!panic: lost, 500 panic: lost"}},
		}, {
			name: "can skip the layer, and skip it again where they are not run again",
			make: func(app *App, j *journal) {
				app.Param(j.param("p", SkipRoute), "x")
				app.Param(j.param("q"), "x")
				app.Message("/:x", j.pass("1"))
				app.Use("/:x", j.pass("2"))
				app.Message("/:y", j.pass("3"))
				app.Use("/", j.pass("4"))
			},
			want: [][2]string{{"message /1", "p<1>, 3, 4, 404"}},
		}, {
			name: "can skip the router, and skip it again where they are not run again",
			make: func(app *App, j *journal) {
				r := app.NewRouter(RouterOptions{})
				r.Param(j.param("p", SkipRouter), "x")
				r.Use("/", j.pass("0"))
				r.Message("/:x", j.pass("1"))
				r.Use("/", j.pass("2"))
				r.Catch("/", j.catch("c"))
				app.Use("/", r.Handle, r.Handle, j.pass("end"))
				app.Catch("/", j.catch("d"))
			},
			want: [][2]string{{"message /1", "0, p<1>, 0, end, 404"}},
		}, {
			name: "run before error handlers and leave the error to them",
			make: func(app *App, j *journal) {
				app.Param(j.param("p"), "x")
				app.Param(j.param("q", fs.ErrExist), "y")
				app.Param(j.param("s", SkipRoute), "z")
				app.Use("/", j.pass("1", fs.ErrNotExist))
				app.Catch("/:x", j.catch("c", fs.ErrPermission))
				app.Catch("/:y", j.catch("d"))
				app.Catch("/:z", j.catch("e"))
				app.Catch("/", j.catch("f"))
			},
			want: [][2]string{
				{"message /1", "1, p<1>, c(file does not exist), q<1>, s<1>, f(permission denied), 404"},
			},
		}, {
			name: "do not keep an error from its handler after the final response",
			make: func(app *App, j *journal) {
				app.Param(j.param("p"), "x")
				app.Use("/", func(req *Request, next Next) error {
					if err := req.Reply(200, "ok"); err != nil {
						return err
					}
					return fs.ErrNotExist
				})
				app.Catch("/:x", j.catch("c", fs.ErrExist))
			},
			want: [][2]string{{"message /1", "200 ok, p<1>, c(file does not exist), !file already exists"}},
		},
	})
}
