package config

import (
	"slices"
	"strings"
	"testing"
)

// Modules of the command line stand in front of what the file has.
func TestModuleFlags(t *testing.T) {
	c := parse(t, "middleware: [{use: echo}]", Flag{ModuleFlag, "/rooms/:room=rooms.wasm,kv,log"}, Flag{ModuleFlag, "/=a=b.wasm,connect"})
	if len(c.Middleware) != 3 || c.Middleware[2].Use != "echo" || len(c.Wasms()) != 2 {
		t.Fatalf("got %+v", c.Middleware)
	}
	rooms, door := c.Middleware[0], c.Middleware[1]
	if rooms.Path != "/rooms/:room" || rooms.Wasm.File != "rooms.wasm" || !slices.Equal(rooms.Wasm.Grants, []string{"kv", "log"}) || rooms.Wasm.Connect {
		t.Errorf("got %+v", rooms)
	}
	if door.Path != "/" || door.Wasm.File != "a=b.wasm" || len(door.Wasm.Grants) != 0 || !door.Wasm.Connect || door.Origin.Flag != "wasm" {
		t.Errorf("got %+v", door)
	}
	// What is printed means the same.
	again := parse(t, printed(t, c))
	if !slices.EqualFunc(again.Middleware, c.Middleware, (*Middleware).Equal) {
		t.Errorf("printed\n%s", printed(t, c))
	}
}

// What a module may is applied. Which one it is, and where it is mounted, is not: another would get its store.
func TestApplyModules(t *testing.T) {
	const before = "middleware: [{use: echo}, {use: wasm, path: /a, file: a.wasm}]"
	for _, tt := range []struct {
		name, after string
		applied     bool
	}{
		{"another file", "middleware: [{use: echo}, {use: wasm, path: /a, file: b.wasm}]", false},
		{"a digest", "middleware: [{use: echo}, {use: wasm, path: /a, file: a.wasm, sha256: " + strings.Repeat("0", 64) + "}]", true},
		{"a grant", "middleware: [{use: echo}, {use: wasm, path: /a, file: a.wasm, grants: [kv]}]", true},
		{"settings", "middleware: [{use: echo}, {use: wasm, path: /a, file: a.wasm, settings: {a: 1}, limits: {instances: 3, pending_timeout: 1s}}]", true},
		{"another path", "middleware: [{use: echo}, {use: wasm, path: /b, file: a.wasm}]", false},
		{"connect", "middleware: [{use: echo}, {use: wasm, path: /a, file: a.wasm, connect: true}]", false},
		{"order", "middleware: [{use: wasm, path: /a, file: a.wasm}, {use: echo}]", false},
		{"one less", "middleware: [{use: echo}]", false},
		{"another kind", "middleware: [{use: echo}, {use: presence, path: /a}]", false},
		{"another echo", "middleware: [{use: echo, path: /e}, {use: wasm, path: /a, file: b.wasm}]", false},
	} {
		c, next := parse(t, before), parse(t, tt.after)
		applied, restart := c.Apply(next)
		changes := restart
		want := parse(t, before)
		if tt.applied {
			changes, want = applied, next
		}
		if len(applied)+len(restart) != 1 || len(changes) != 1 || changes[0].Key != "middleware" ||
			!slices.EqualFunc(c.Middleware, want.Middleware, (*Middleware).Equal) {
			t.Errorf("%s: applied %v, needs a restart %v", tt.name, applied, restart)
		}
	}
}

func TestPublicKeys(t *testing.T) {
	for text, ok := range map[string]bool{
		"":                                     true,
		strings.Repeat("A", 43) + "=":          true,
		strings.Repeat("A", 43):                false,
		strings.Repeat("A", 40) + "AA==":       false,
		"not base64" + strings.Repeat("A", 34): false,
	} {
		_, err := Load(Sources{Flags: []Flag{{"wasm-public-keys", text}}})
		if (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The flag says of a module what an entry of the file says.
func TestModuleFlagKeys(t *testing.T) {
	for _, tt := range []struct{ flag, file string }{
		{"/=a.wasm", "path: /, file: a.wasm"},
		{"/=a.wasm,,kv,", "path: /, file: a.wasm, grants: [kv]"},
		{"/=a.wasm,limits.fuel=1000000,limits.memory=4MiB,kv,limits.pending_timeout=1s", "path: /, file: a.wasm, grants: [kv], limits: {fuel: 1000000, memory: 4MiB, pending_timeout: 1s}"},
		{"/=a.wasm,on_error=skip,connect", "path: /, file: a.wasm, on_error: skip, connect: true"},
		{"/=a.wasm,connect=true", "path: /, file: a.wasm, connect: true"},
		{"/=a.wasm,kv,settings={per_minute: 30, of: [a, b], text: 'x=y', \"json\":{\"é\":null,\"t\":\"\\u00e9\"}},log,kv", ""},
		{`/=a.wasm,kv,settings={"per_minute": 30, "of": ["a", "b"]}`, "path: /, file: a.wasm, grants: [kv], settings: {per_minute: 30, of: [a, b]}"},
		{"/=a.wasm,settings={}", "path: /, file: a.wasm, settings: {}"},
		{"/=a.wasm,sha256=" + strings.Repeat("0a", 32), "path: /, file: a.wasm, sha256: " + strings.Repeat("0a", 32)},
	} {
		c, err := load(Sources{Flags: []Flag{{ModuleFlag, tt.flag}}}, nil)
		if tt.file == "" { // settings are the last
			if err == nil {
				t.Errorf("%s: got %s", tt.flag, c.Middleware[0].Wasm.Settings)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.flag, err)
			continue
		}
		want, err := load(Sources{}, []byte("middleware: [{use: wasm, "+tt.file+"}]"))
		if err != nil {
			t.Fatal(err)
		}
		if !c.Middleware[0].Equal(want.Middleware[0]) {
			t.Errorf("%s: got\n%s", tt.flag, printed(t, c))
		}
		again := parse(t, printed(t, c))
		if !slices.EqualFunc(again.Middleware, c.Middleware, (*Middleware).Equal) {
			t.Errorf("%s: printed\n%s", tt.flag, printed(t, c))
		}
	}
}

func TestModuleFlagMistakes(t *testing.T) {
	const capabilities = "async, clock, kv, log, metrics, peer.read, peer.send, random"
	for flag, want := range map[string]string{
		"":                                     `expected PATH=FILE[,GRANT...][,KEY=VALUE...], such as /rooms=limiter.wasm,kv,log,on_error=skip, got ""`,
		"/rooms":                               `expected PATH=FILE[,GRANT...][,KEY=VALUE...], such as /rooms=limiter.wasm,kv,log,on_error=skip, got "/rooms"`,
		"/=,kv":                                `expected PATH=FILE[,GRANT...][,KEY=VALUE...], such as /rooms=limiter.wasm,kv,log,on_error=skip, got "/=,kv"`,
		"rooms=a.wasm":                         `path: expected a path such as /, got "rooms"`,
		"/=a.wasm,kvv":                         `expected a grant (` + capabilities + `), connect, or KEY=VALUE, got "kvv"; did you mean kv?`,
		"/=a.wasm,on_eror":                     `expected a grant (` + capabilities + `), connect, or KEY=VALUE, got "on_eror"; did you mean on_error?`,
		"/=a.wasm,fly":                         `expected a grant (` + capabilities + `), connect, or KEY=VALUE, got "fly"`,
		"/=a.wasm,on_error":                    `on_error: expected fail or skip, got nothing`,
		"/=a.wasm,settings":                    `settings: expected a section, got nothing`,
		"/=a.wasm,kv,log,kv":                   `kv: given twice`,
		"/=a.wasm,connect,connect":             `connect: given twice`,
		"/=a.wasm,on_eror=skip":                `unknown key "on_eror"; did you mean on_error?`,
		"/=a.wasm,limits.fule=3":               `unknown key "limits.fule"; did you mean limits.fuel?`,
		"/=a.wasm,fuel=3":                      `unknown key "fuel"; did you mean limits.fuel?`,
		"/=a.wasm,setings={a: 1}":              `unknown key "setings"; did you mean settings?`,
		"/=a.wasm,speed=3":                     `unknown key "speed"; expected sha256, connect, limits.memory, limits.fuel, limits.init_fuel, limits.frame, limits.file, limits.instances, limits.pending_timeout, settings, on_error`,
		"/=a.wasm,grants=kv":                   `unknown key "grants"; expected sha256, connect, limits.memory, limits.fuel, limits.init_fuel, limits.frame, limits.file, limits.instances, limits.pending_timeout, settings, on_error`,
		"/=a.wasm,limits={fuel: 3}":            `limits: expected a key below it: limits.memory, limits.fuel, limits.init_fuel, limits.frame, limits.file, limits.instances, limits.pending_timeout`,
		"/=a.wasm,limits.fuel=many":            `limits.fuel: expected a whole number from 1 to 2147483647, got "many"`,
		"/=a.wasm,limits.memory=1":             `limits.memory: expected a size from 64KiB to 1GiB, such as 65536, 64KiB or 1MiB, got "1"`,
		"/=a.wasm,on_error=skip,on_error=fail": `on_error: given twice`,
		"/=a.wasm,on_error=ignore":             `on_error: expected fail or skip, got "ignore"`,
		"/=a.wasm,settings=":                   `settings: expected a section in braces, such as {a: 1, b: text}, got ""`,
		"/=a.wasm,settings=[1, 2]":             `settings: expected a section in braces, such as {a: 1, b: text}, got "[1, 2]"`,
		"/=a.wasm,settings=fast":               `settings: expected a section in braces`,
		"/=a.wasm,settings={a: 1":              `settings: not YAML: `,
		"/=a.wasm,settings={a: 1, a: 2}":       `settings: a: given twice, first in line 1`,
	} {
		_, err := load(Sources{Flags: []Flag{{ModuleFlag, flag}}}, nil)
		if err == nil || !strings.HasPrefix(err.Error(), "--wasm: "+want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want %s", flag, err, want)
		}
	}
}
