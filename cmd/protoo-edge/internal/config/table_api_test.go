package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/api"
)

const apiFile = `
api:
  addr: 127.0.0.1:7777
  key: correct-horse-battery-staple
  keys:
    - {name: billing, key: billing-horse-battery-staple, allow: [send, peers]}
    - name: "2"
      sha256: C4BBCB1FBEC99D65BF59D85C8CB62EE2DB963F0FE106F483D9AFA73BD4E39A8A
webhooks:
  urls: ["https://example.com/hooks?a=1", "http://127.0.0.1:8080/"]
  events: [offline]
  secrets: [whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA]
middleware:
  - {use: http, path: /orders, url: https://back.example.com/, timeout: 2s}
`

func TestAPI(t *testing.T) {
	c := parse(t, apiFile)
	var got []string
	for _, k := range c.APIKeys() {
		got = append(got, fmt.Sprint(k.Name, " ", hex.EncodeToString(k.Hash[:4]), " ", k.Allow))
	}
	hash := func(key string) string { h := api.Hash(key); return hex.EncodeToString(h[:4]) }
	want := []string{
		"default " + hash("correct-horse-battery-staple") + " []",
		"billing " + hash("billing-horse-battery-staple") + " [send peers]",
		"2 c4bbcb1f []",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got the keys %q, want %q", got, want)
	}
	if w := c.Webhooks; len(w.URLs) != 2 || !slices.Equal(w.Events, []string{"offline"}) || len(w.Secrets) != 2 {
		t.Errorf("got %+v", w)
	}
	if m := c.Middleware[0]; m.HTTP.URL != "https://back.example.com/" || m.HTTP.Concurrency != 64 || m.Path != "/orders" {
		t.Errorf("got %+v", m)
	}
	// What is printed means the same, but for secrets, which it does not have.
	text := printed(t, c)
	for _, secret := range []string{"horse", "whsec"} {
		if strings.Contains(text, secret) {
			t.Errorf("printed with a secret:\n%s", text)
		}
	}
	again, err := load(Sources{File: "edge.yaml", Environ: []string{
		"PROTOO_API_KEY=correct-horse-battery-staple",
		"PROTOO_WEBHOOKS_SECRETS=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw,whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	}}, []byte(strings.ReplaceAll(strings.ReplaceAll(text, "  key: \"********\"", ""), "  secrets: \"********\"", "")))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if fmt.Sprint(again.APIKeys()) != fmt.Sprint(c.APIKeys()) || fmt.Sprint(again.Webhooks) != fmt.Sprint(c.Webhooks) {
		t.Errorf("printed and read again as %+v", again)
	}
}

func TestAPIMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"api: {addr: \":7777\"}":                                        `edge.yaml:1:13: api.addr: is set, but there is no key: set api.key or api.keys`,
		"api: {key: short}":                                             `edge.yaml:1:12: api.key: expected at least 20 characters without spaces, got something else`,
		"api: {keys: all}":                                              `edge.yaml:1:13: api.keys: expected a list of entries such as {name: billing, sha256: 64 hexadecimal digits, allow: [send]}, got something else`,
		"api: {keys: [all]}":                                            `edge.yaml:1:14: api.keys[0]: expected an entry such as {name: billing, sha256: 64 hexadecimal digits}`,
		"api: {keys: [{name: a, key: short}]}":                          `edge.yaml:1:29: api.keys[0].key: expected at least 20 characters without spaces, got something else`,
		"api: {keys: [{name: a}]}":                                      `edge.yaml:1:15: api.keys[0].key: expected either key or sha256`,
		"api: {keys: [{nam: a}]}":                                       `edge.yaml:1:15: api.keys[0].nam: unknown key; did you mean api.keys[0].name?`,
		"api: {keys: [{key: correct-horse-battery-staple}]}":            `edge.yaml:1:15: api.keys[0].name: missing; it is what the log says`,
		"api: {keys: [{name: a b, key: correct-horse-battery-staple}]}": `edge.yaml:1:21: api.keys[0].name: expected 1 to 64 characters of A-Z a-z 0-9 _ . -, got "a b"`,
		"api: {keys: [{name: a, key: correct-horse-battery-staple, allow: [sned]}]}":                                        `edge.yaml:1:67: api.keys[0].allow: expected operations: send, broadcast, peers, disconnect, revoke, reload, drain, got "sned"`,
		"api:\n  keys:\n  - {name: a, key: correct-horse-battery-staple}\n  - {name: a, key: correct-horse-battery-stable}": `edge.yaml:4:6: api.keys: two keys have the name a`,
		"api: {addr: 127.0.0.1:8080, key: correct-horse-battery-staple}":                                                    `edge.yaml:1:13: api.addr: is the same as addr; each needs an address of its own`,
		"api: {tls: {cert: x.pem}}":                          `edge.yaml:1:19: api.tls.cert: is set, but api.tls.key is not`,
		"webhooks: {urls: [https://a.example/]}":             `edge.yaml:1:18: webhooks.urls: what is sent has to be signed: set webhooks.secrets, to whsec_ and what openssl rand -base64 32 prints`,
		"webhooks: {urls: [\"https://a:b@c/\"]}":             `edge.yaml:1:19: webhooks.urls: expected URLs such as https://example.com/hooks, got "https://a:b@c/"`,
		"webhooks: {secrets: [whsec_short]}":                 `edge.yaml:1:22: webhooks.secrets: expected up to 4 secrets, each whsec_ and 24 to 64 bytes in base64, got something else`,
		"webhooks: {events: [on]}":                           `edge.yaml:1:21: webhooks.events: expected events: online, offline, got "on"`,
		"middleware: [{use: http}]":                          `edge.yaml:1:15: middleware[0].url: missing; expected a URL such as https://example.com/requests`,
		"middleware: [{use: http, url: example}]":            `edge.yaml:1:31: middleware[0].url: expected a URL such as https://example.com/requests, got "example"`,
		"middleware: [{use: http, url: https://a.example/}]": `edge.yaml:1:15: middleware[0]: what is sent has to be signed: set webhooks.secrets, to whsec_ and what openssl rand -base64 32 prints`,
	} {
		_, err := load(Sources{File: "edge.yaml"}, []byte(text))
		if err == nil || err.Error() != want {
			t.Errorf("%s: got\n%v\nwant\n%s", text, err, want)
		}
	}
}

func TestAPIInProduction(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key.pem")
	if err := os.WriteFile(key, nil, 0o644); err != nil { //nolint:gosec // what everybody can read is what is tested
		t.Fatal(err)
	}
	for addr, want := range map[string]bool{"127.0.0.1:7777": true, "[::1]:7777": true, "localhost:7777": true, ":7777": false, "0.0.0.0:7777": false, "10.0.0.1:7777": false, "api.example.com:7777": false} {
		c := New()
		c.Env, c.API.Addr, c.API.Key = Production, addr, "correct-horse-battery-staple"
		if got := len(c.checkAPI()) == 0; got != want {
			t.Errorf("%s: got %v", addr, got)
		}
		c.API.TLS.Cert, c.API.TLS.Key = "cert.pem", filepath.Join(dir, "none.pem")
		if mistakes := c.checkAPI(); len(mistakes) != 0 {
			t.Errorf("%s: %v", addr, mistakes)
		}
		c.API.TLS.Key = key
		if mistakes := c.checkAPI(); len(mistakes) != 1 && runtime.GOOS != "windows" {
			t.Errorf("%s: got %v about a key that everybody can read", addr, mistakes)
		}
	}
	// The file has keys in it, so not everybody may read it.
	name := filepath.Join(dir, "edge.yaml")
	if err := os.WriteFile(name, []byte("env: production\nidentity: {type: wasm}\n"+apiFile), 0o644); err != nil { //nolint:gosec // as above
		t.Fatal(err)
	}
	_, err := Load(Sources{File: name})
	if mistakes, ok := errors.AsType[Mistakes](err); !ok || !strings.Contains(mistakes.Error(), "chmod o-rwx "+name) && runtime.GOOS != "windows" {
		t.Errorf("got %v", err)
	}
}

// TestAPIKeysAreLive replaces keys and secrets by a reload.
func TestAPIKeysAreLive(t *testing.T) {
	c := parse(t, apiFile)
	next := parse(t, strings.NewReplacer("name: billing, key: billing", "name: invoices, key: invoices", "correct", "another", "AAAAAAAA, ", "BBBBBBBB").Replace(apiFile))
	applied, restart := c.Apply(next)
	var keys []string
	for _, change := range applied {
		keys = append(keys, change.Key)
		if strings.Contains(fmt.Sprint(change), "horse") {
			t.Errorf("got %v", change)
		}
	}
	if !slices.Equal(keys, []string{"api.key", "api.keys"}) || len(restart) > 0 {
		t.Errorf("applied %v, needs a restart for %v", applied, restart)
	}
	if fmt.Sprint(c.APIKeys()) != fmt.Sprint(next.APIKeys()) {
		t.Errorf("got %v, want %v", c.APIKeys(), next.APIKeys())
	}
	without := parse(t, "api: {addr: 127.0.0.1:7777, key: another-horse-battery-staple}\n"+strings.SplitAfter(apiFile, "8A\n")[1])
	c.Apply(without)
	if len(c.APIKeys()) != 1 {
		t.Errorf("got %v", c.APIKeys())
	}
}
