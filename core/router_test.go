package core

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

// A routingTest makes an application and says what becomes of requests, given as "method /path".
type routingTest struct {
	name    string
	options Options
	make    func(app *App, j *journal)
	want    [][2]string
}

func testRouting(t *testing.T, tests []routingTest) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			j := &journal{}
			app := New(test.options)
			test.make(app, j)
			a := j.record(t, app)
			for _, w := range test.want {
				method, path, _ := strings.Cut(w[0], " ")
				a.ask(method, path)
				// That nothing has handled the request is said so often that 404 must do.
				got := j.take()
				if before, ok := strings.CutSuffix(got, fmt.Sprintf("404 no handler for %s at %s", method, path)); ok {
					got = before + "404"
				}
				if got != w[1] {
					t.Errorf("%s\n got %s\nwant %s", w[0], got, w[1])
				}
			}
		})
	}
}

func TestUse(t *testing.T) {
	slashes := regexp.MustCompile
	testRouting(t, []routingTest{
		{
			name: "a prefix that ends at a slash",
			make: func(app *App, j *journal) { app.Use("/services", j.show("s")) },
			want: [][2]string{
				{"message /services", "s[/services|/], 404"},
				{"message /services/", "s[/services|/], 404"},
				{"message /services/multiconference", "s[/services|/multiconference], 404"},
				{"message /services/multiconference/1/", "s[/services|/multiconference/1/], 404"},
				{"message /services//1", "s[/services|//1], 404"},
				{"session /SERVICES/x", "s[/SERVICES|/x], 404"},
				{"anything-at_all.1 /services", "s[/services|/], 404"},
				{"message /servicesx", "404"},
				{"message /service", "404"},
				{"message /x/services", "404"},
				{"message /", "404"},
			},
		}, {
			name: "the root matches everything and hides nothing",
			make: func(app *App, j *journal) { app.Use("/", j.show("s")) },
			want: [][2]string{
				{"message /", "s[|/], 404"},
				{"message /a", "s[|/a], 404"},
				{"message //a", "s[|//a], 404"},
				{"message /%zz", "s[|/%zz], 404"},
			},
		}, {
			name: "a slash at the end of the mount's path",
			make: func(app *App, j *journal) { app.Use("/a/", j.show("s")) },
			want: [][2]string{
				{"message /a", "s[/a|/], 404"},
				{"message /a/", "s[/a|/], 404"},
				{"message /a/b", "s[/a|/b], 404"},
			},
		}, {
			name: "what is hidden is restored afterwards",
			make: func(app *App, j *journal) {
				app.Use("/a", j.show("1"), j.show("2"))
				app.Use("/", j.show("3"))
				app.Use("/a/b", j.show("4"))
				app.All("/a/b/c", j.show("5"))
			},
			want: [][2]string{
				{"message /a/b/c", "1[/a|/b/c], 2[/a|/b/c], 3[|/a/b/c], 4[/a/b|/c], 5[|/a/b/c], 404"},
			},
		}, {
			name: "path patterns",
			make: func(app *App, j *journal) {
				app.Use("/abcd", j.pass("1"))
				app.Use("/abc?d", j.pass("2"))
				app.Use("/ab+cd", j.pass("3"))
				app.Use("/services/:service", j.show("4"))
			},
			want: [][2]string{
				{"message /abcd", "1, 2, 3, 404"},
				{"message /abd/x", "2, 404"},
				{"message /abcd/x", "1, 2, 3, 404"},
				{"message /abbbbbcd", "3, 404"},
				{"message /abcde", "404"},
				{"message /services", "404"},
				{"message /services/chat", "4[/services/chat|/ service=chat], 404"},
				{"message /services/chat%2F1/x", "4[/services/chat%2F1|/x service=chat/1], 404"},
			},
		}, {
			name: "regular expressions and lists of patterns",
			make: func(app *App, j *journal) {
				app.UseOn(Regexp(slashes(`/abc|/xyz`)), j.show("1"))
				app.UseOn(AnyOf(Path("/abcd"), Path("/xyza"), Regexp(slashes(`/lmn|/pqr`))), j.show("2"))
				app.UseOn(Regexp(slashes(`/n(\d+)(?:/(?P<rest>.+))?`)), j.show("3"))
			},
			want: [][2]string{
				{"message /abc", "1[/abc|/], 404"},
				{"message /xyz/1", "1[/xyz|/1], 404"},
				{"message /abcd", "2[/abcd|/], 404"},
				{"message /xyza/1", "2[/xyza|/1], 404"},
				{"message /lmn", "2[/lmn|/], 404"},
				{"message /pqr/1/2", "2[/pqr|/1/2], 404"},
				{"message /x/abc", "404"},
				{"message /x/pqr", "404"},
				{"message /n42", "3[/n42|/ 0=42], 404"},
				{"message /n42/a/b", "3[/n42/a/b|/ 0=42 rest=a/b], 404"},
			},
		}, {
			name: "order is the order of registration",
			make: func(app *App, j *journal) {
				app.Use("/", j.pass("1"))
				app.All("/a", j.pass("2"))
				app.Use("/a", j.pass("3"), j.pass("4"))
				app.Message("/:x", j.pass("5"))
				app.Use("/a", j.reply("6"))
				app.Use("/a", j.pass("7"))
			},
			want: [][2]string{
				{"message /a", "1, 2, 3, 4, 5, 6, 200 6"},
				{"session /a", "1, 2, 3, 4, 6, 200 6"},
				{"message /b", "1, 5, 404"},
			},
		},
	})
}

func TestRoutes(t *testing.T) {
	testRouting(t, []routingTest{
		{
			name: "the whole path",
			make: func(app *App, j *journal) {
				app.Message("/users/:username/:uuid?", j.show("m"))
				app.Session("/users/:username/:uuid?", j.show("s"))
				app.Method("end", "/users/:username/:uuid?", j.show("e"))
			},
			want: [][2]string{
				{"message /users/alice", "m[|/users/alice username=alice], 404"},
				{"session /users/alice/1", "s[|/users/alice/1 username=alice uuid=1], 404"},
				{"end /users/alice/1/", "e[|/users/alice/1/ username=alice uuid=1], 404"},
				{"Message /users/alice", "404"}, // methods are case-sensitive
				{"other /users/alice", "404"},
				{"message /users", "404"},
				{"message /users/alice/1/2", "404"},
			},
		}, {
			name: "all methods",
			make: func(app *App, j *journal) {
				app.All("*", j.show("all"))
				app.All("/", j.reply("root"))
			},
			want: [][2]string{
				{"message /a/b", "all[|/a/b 0=/a/b], 404"},
				{"x /", "all[|/ 0=/], root, 200 root"},
			},
		}, {
			name: "several handlers",
			make: func(app *App, j *journal) {
				app.Message("/a", j.pass("1"), j.pass("2"), j.reply("3"), j.pass("4"))
			},
			want: [][2]string{{"message /a", "1, 2, 3, 200 3"}},
		}, {
			name: "a route with handlers for several methods",
			make: func(app *App, j *journal) {
				app.Route("/users/:username/:uuid?").
					All(j.pass("all")).
					Message(j.pass("m1"), j.pass("m2")).
					Session(j.reply("s")).
					Method("other", j.pass("o")).
					All(j.pass("end")).
					Message(j.reply("m3"))
			},
			want: [][2]string{
				{"message /users/alice", "all, m1, m2, end, m3 username=alice, 200 m3"},
				{"session /users/alice", "all, s username=alice, 200 s"},
				{"other /users/alice/1", "all, o, end, 404"},
				{"unknown /users/alice", "all, end, 404"},
			},
		}, {
			name: "a route without a handler for the method is passed over",
			make: func(app *App, j *journal) {
				app.Route("/a")
				app.Param(j.param("p"), "x")
				app.Session("/:x", j.pass("1"))
				app.Message("/a", j.reply("2"))
			},
			want: [][2]string{{"message /a", "2, 200 2"}},
		}, {
			name: "regular expressions and lists of patterns",
			make: func(app *App, j *journal) {
				app.RouteOn(AnyOf(Path("/a/:x"), Regexp(regexp.MustCompile(`^/(b)/(\d*)$`)))).Message(j.show("1"))
				// In a route it may match anywhere, as in Express.
				app.RouteOn(Regexp(regexp.MustCompile(`/q`))).All(j.show("2"))
			},
			want: [][2]string{
				{"message /a/1", "1[|/a/1 x=1], 404"},
				{"message /b/1", "1[|/b/1 0=b 1=1], 404"},
				{"message /b/x", "404"},
				{"message /b/", "1[|/b/ 0=b 1=], 404"},
				{"message /a/q", "1[|/a/q x=q], 2[|/a/q], 404"},
			},
		},
	})
}

func TestMatchingSettings(t *testing.T) {
	all := func(app *App, j *journal) {
		app.All("/Users", j.pass("route"))
		app.All("/files/", j.pass("slash"))
		app.Use("/Users", j.pass("use"))
	}
	testRouting(t, []routingTest{
		{
			name: "default",
			make: all,
			want: [][2]string{
				{"message /Users", "route, use, 404"},
				{"message /users/", "route, use, 404"},
				{"message /files", "slash, 404"},
				{"message /FILES/", "slash, 404"},
			},
		}, {
			name:    "case-sensitive",
			options: Options{CaseSensitiveRouting: true},
			make:    all,
			want: [][2]string{
				{"message /Users", "route, use, 404"},
				{"message /Users/", "route, use, 404"},
				{"message /users", "404"},
				{"message /files", "slash, 404"},
				{"message /FILES", "404"},
			},
		}, {
			name:    "strict",
			options: Options{StrictRouting: true},
			make:    all,
			want: [][2]string{
				{"message /Users", "route, use, 404"},
				{"message /users", "route, use, 404"},
				{"message /users/", "use, 404"},
				{"message /files", "404"},
				{"message /files/", "slash, 404"},
			},
		}, {
			name: "settings are for what is added afterwards",
			make: func(app *App, j *journal) {
				app.All("/a", j.pass("1"))
				early := app.NewRouter(RouterOptions{})
				app.Enable(SettingCaseSensitiveRouting)
				app.Set(SettingStrictRouting, true)
				app.All("/a", j.pass("2"))
				late := app.NewRouter(RouterOptions{})
				app.Disable(SettingCaseSensitiveRouting)
				app.Disable(SettingStrictRouting)
				app.All("/a", j.pass("3"))
				early.All("/a", j.pass("early"))
				late.All("/a", j.pass("late"))
				app.Use("/", early.Handle, late.Handle)
			},
			want: [][2]string{
				{"message /a", "1, 2, 3, early, late, 404"},
				{"message /A", "1, 3, early, 404"},
				{"message /a/", "1, 3, early, 404"},
			},
		}, {
			name:    "routers inherit the settings and may add to them",
			options: Options{StrictRouting: true},
			make: func(app *App, j *journal) {
				for i, o := range []RouterOptions{{}, {CaseSensitive: true}, {Strict: true}} {
					r := app.NewRouter(o)
					r.All("/a", j.pass(fmt.Sprint(i)))
					app.Use("/r", r.Handle)
				}
			},
			want: [][2]string{
				{"message /r/a", "0, 1, 2, 404"},
				{"message /r/A", "0, 2, 404"},
				{"message /r/a/", "404"},
			},
		},
	})
}

func TestMountedRouters(t *testing.T) {
	testRouting(t, []routingTest{
		{
			name: "see the rest of the path",
			make: func(app *App, j *journal) {
				inner := app.NewRouter(RouterOptions{})
				inner.Use("/", j.show("inner"))
				inner.Message("/", j.show("root"))
				inner.Message("/:x", j.show("param"))
				outer := app.NewRouter(RouterOptions{})
				outer.Use("/", j.show("before"))
				outer.Use("/devices", inner.Handle)
				outer.Use("/", j.show("after"))
				app.Use("/users/:user", outer.Handle)
				app.Use("/", j.show("end"))
			},
			want: [][2]string{
				{"message /users/a/devices/1", "before[/users/a|/devices/1], inner[/users/a/devices|/1], " +
					"param[/users/a/devices|/1 x=1], after[/users/a|/devices/1], end[|/users/a/devices/1], 404"},
				{"message /users/a/devices", "before[/users/a|/devices], inner[/users/a/devices|/], " +
					"root[/users/a/devices|/], after[/users/a|/devices], end[|/users/a/devices], 404"},
				{"message /users/a/", "before[/users/a|/], after[/users/a|/], end[|/users/a/], 404"},
			},
		}, {
			name: "stop when they reply",
			make: func(app *App, j *journal) {
				r := app.NewRouter(RouterOptions{})
				r.Message("/:x", j.reply("r"))
				app.Use("/users", r.Handle)
				app.Use("/", j.pass("end"))
			},
			want: [][2]string{
				{"message /users/1", "r x=1, 200 r"},
				{"session /users/1", "end, 404"},
			},
		}, {
			name: "work as handlers of routes and can be mounted often",
			make: func(app *App, j *journal) {
				r := app.NewRouter(RouterOptions{})
				r.Use("/", j.show("r"))
				app.Message("/a/:x", r.Handle, j.show("route"))
				app.Use("/a", r.Handle, r.Handle)
			},
			want: [][2]string{
				{"message /a/b", "r[|/a/b], route[|/a/b x=b], r[/a|/b], r[/a|/b], 404"},
			},
		}, {
			name: "an empty one passes on",
			make: func(app *App, j *journal) {
				app.Use("/a", app.NewRouter(RouterOptions{}).Handle)
				app.Use("/", j.reply("end"))
			},
			want: [][2]string{{"message /a/b", "end, 200 end"}},
		},
	})
}

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
					j.add("%s[%s|%s%s]", value, req.BasePath(), req.Path(), paramText(req.Params()))
					next()
					return nil
				}, "a")
				r := app.NewRouter(RouterOptions{})
				r.Param(func(req *Request, next Next, value string) error {
					j.add("%s[%s|%s%s]", value, req.BasePath(), req.Path(), paramText(req.Params()))
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
					j.add("c[%s|%s%s]", req.BasePath(), req.Path(), paramText(req.Params()))
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
						for _, skip := range []error{SkipRoute, SkipRouter} {
							app.Message("/"+fmt.Sprintf("%.15s", skip)[len("core: skip r"):], func(req *Request, next Next) error {
								if err := req.Reply(200, "ok"); err != nil {
									return err
								}
								return skip
							})
						}
						app.Use("/", j.pass("x"))
					},
					want: [][2]string{{"message /out", "200 ok"}},
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
	make := func(app *App, j *journal) {
		app.Use("/", j.pass("1"))
		app.Session("/a/:x", j.pass("2")) // whatever its method
		app.Use("/b/:x", j.pass("3"))
		app.Use("/", j.pass("4"))
		app.Catch("/c", j.catch("c"))
		app.Catch("/caught", j.catch("d"))
	}
	for _, test := range []struct{ path, want string }{
		{"/a/%zz", "1, !, 400 "},
		{"/a/%", "1, !, 400 "},
		{"/a/%4", "1, !, 400 "},
		{"/a/%ff", "1, !, 400 "},       // not UTF-8
		{"/a/%c0%80", "1, !, 400 "},    // overlong
		{"/a/%ed%a0%80", "1, !, 400 "}, // a surrogate
		{"/b/%zz/x", "1, !, 400 "},
		{"/x/%zz", "1, 4, 404"}, // nobody wants it decoded
		{"/a/%41", "1, 4, 404"},
	} {
		t.Run(test.path, func(t *testing.T) {
			j := &journal{}
			app := New(Options{})
			make(app, j)
			app.OnRouteError(func(err error, _ *Request) { j.add("!") })
			a := newAsker(t, app, func(m *message) {
				if m.status != 400 {
					m.reason = ""
				}
				j.add("%d%s", m.status, strings.Repeat(" ", min(len(m.reason), 1)))
			})
			a.ask("message", test.path)
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

func TestRegistrationMistakes(t *testing.T) {
	j := &journal{}
	pass := j.pass("pass")
	app := New(Options{})
	for _, test := range []struct {
		name string
		call func()
		want string
	}{
		{"Use without handlers", func() { app.Use("/") }, "Use needs"},
		{"Use with nil", func() { app.Use("/", j.reply("half"), nil) }, "nil handler"},
		{"Use with a bad path", func() { app.Use("/:x(", pass) }, "core: "},
		{"Catch without handlers", func() { app.Catch("/") }, "Catch needs"},
		{"Catch with nil", func() { app.Catch("/", nil) }, "nil error handler"},
		{"Catch with a bad path", func() { app.Catch("/:x(?=y)", func(error, *Request, Next) error { return nil }) }, "core: "},
		{"Route with a bad path", func() { app.Route("/(") }, "core: "},
		{"Message without handlers", func() { app.Message("/") }, "Message needs"},
		{"Session without handlers", func() { app.Session("/") }, "Session needs"},
		{"All without handlers", func() { app.All("/") }, "All needs"},
		{"All with nil", func() { app.All("/", j.reply("half"), nil) }, "nil handler"},
		{"Method without handlers", func() { app.Method("end", "/") }, "Method needs"},
		{"Method with a bad name", func() { app.Method("a b", "/", pass) }, "core: "},
		{"Method without a name", func() { app.Route("/").Method("", pass) }, "core: "},
		{"Param without names", func() { app.Param(func(*Request, Next, string) error { return nil }) }, "Param needs"},
		{"Param with nil", func() { app.Param(nil, "x") }, "nil param handler"},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer func() {
				text, _ := recover().(string)
				if !strings.HasPrefix(text, "core: ") || !strings.Contains(text, test.want) {
					t.Errorf("panic(%q), want one with %q", text, test.want)
				}
			}()
			test.call()
		})
	}
	// What was refused must not have left half of itself behind.
	j.record(t, app).ask("message", "/")
	expect(t, j, "404 no handler for message at /")
}
