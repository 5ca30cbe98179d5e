package core

import (
	"fmt"
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
				app.UseOn(Regexp(regexp.MustCompile(`/abc|/xyz`)), j.show("1"))
				app.UseOn(AnyOf(Path("/abcd"), Path("/xyza"), Regexp(regexp.MustCompile(`/lmn|/pqr`))), j.show("2"))
				app.UseOn(Regexp(regexp.MustCompile(`/n(\d+)(?:/(?P<rest>.+))?`)), j.show("3"))
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
