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
