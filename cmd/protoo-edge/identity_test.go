package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/core"
)

// An issuer makes tokens.
type issuer struct{ key *ecdsa.PrivateKey }

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{key}
}

// token returns one for alice, who has an hour, with changes.
func (i *issuer) token(t *testing.T, changes map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{"sub": "alice", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}
	maps.Copy(claims, changes)
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return secret(token)
}

// pem returns the public half of the key.
func (i *issuer) pem(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(i.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// jwks publishes it.
func (i *issuer) jwks(t *testing.T) *httptest.Server {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: "k", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) }))
	t.Cleanup(s.Close)
	return s
}

// newBackEnd lets those in whose token is good.
func newBackEnd(t *testing.T, good string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Token, UUID string }
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked.Token != good {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"reason":"not you"}`)
			return
		}
		fmt.Fprintf(w, `{"username":"alice","uuid":%q}`, asked.UUID)
	}))
	t.Cleanup(s.Close)
	return s
}

// certificateHash is that of the self-made certificate.
func (e *edge) certificateHash(t *testing.T) [sha256.Size]byte {
	t.Helper()
	res, err := http.Get("http://" + e.addr + "/certificate-hashes.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var told struct{ Hashes []string }
	if err := json.NewDecoder(res.Body).Decode(&told); err != nil || len(told.Hashes) == 0 {
		t.Fatalf("got %v, %v", told, err)
	}
	hash, err := base64.StdEncoding.DecodeString(told.Hashes[0])
	if err != nil {
		t.Fatal(err)
	}
	return [sha256.Size]byte(hash)
}

// A caller is somebody who connects.
type caller struct {
	query  url.Values
	header http.Header
	first  string // the token of the first request
}

// connectAs connects over one of the transports. It returns the error of Dial, or the one that the connection ends with before its first answer.
func (e *edge) connectAs(t *testing.T, transport string, k caller) (*client.Client, error) {
	t.Helper()
	o := client.Options{Header: k.header}
	target := e.url
	if transport == "webtransport" {
		target = "https://" + e.addr
		o.CertificateHashes = [][sha256.Size]byte{e.certificateHash(t)}
	}
	if k.first != "" {
		o.Introduce = func(context.Context) (*core.Request, error) {
			return core.NewRequest("authenticate", "/token", map[string]string{"token": k.first}), nil
		}
	}
	c, err := client.Dial(t.Context(), target+"/protoo?"+k.query.Encode(), o)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		_ = c.Close(0, "")
		<-c.Done()
	})
	if _, err := c.Request(t.Context(), "message", "/echo", "hello"); err != nil {
		<-c.Done()
		return nil, c.Err()
	}
	return c, nil
}

func TestIdentityTypes(t *testing.T) {
	dir := t.TempDir()
	issuer := newIssuer(t)
	writeFile(t, dir, "keys.pem", issuer.pem(t))
	good, expired := issuer.token(t, nil), issuer.token(t, map[string]any{"exp": 1e9})
	stranger := newIssuer(t).token(t, nil)
	query := func(token string) caller { return caller{query: url.Values{"token": {token}, "uuid": {"phone"}}} }
	header := func(value string) caller {
		return caller{query: url.Values{"uuid": {"phone"}}, header: http.Header{"Authorization": {value}}}
	}
	first := func(token string) caller { return caller{query: url.Values{"uuid": {"phone"}}, first: token} }
	password := secret("correct horse battery")
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:"+password))
	for _, tt := range []struct {
		name, config string
		good         []caller
		bad          map[string]caller // by what the client learns
	}{
		{"jwt with a file", "{type: jwt, jwt: {keys: keys.pem}}",
			[]caller{query(good), header("Bearer " + good)},
			map[string]caller{
				"401 token expired": query(expired), "401 the token has a bad signature": header("Bearer " + stranger),
				"401 missing token":                              first(good),
				"400 missing uuid: connect with ?uuid=DEVICE":    {query: url.Values{"token": {good}}},
				"401 the token is malformed":                     query("x"),
				"401 the token is signed with a key that is not": query(hmacToken(t, issuer.pem(t))),
			}},
		{"jwt in the first message", "{type: jwt, jwt: {keys: keys.pem}, first_message: {enabled: true}}",
			[]caller{query(good), first(good)},
			map[string]caller{"401 token expired": query(expired), "connection closed: 4401 token expired": first(expired)}},
		{"jwt with a URL", "{type: jwt, jwt: {jwks_url: '" + issuer.jwks(t).URL + "'}}",
			[]caller{query(good)}, map[string]caller{"401 the token has a bad signature": query(stranger)}},
		{"static", "{type: static, static: {users: ['alice:" + password + "']}}",
			[]caller{query(password), header("Bearer " + password), header(basic)},
			map[string]caller{"401 no such user, or another secret": query("correct horse")}},
		{"http", "{type: http, http: {url: '" + newBackEnd(t, good).URL + "'}, first_message: {enabled: true}}",
			[]caller{query(good), first(good)},
			map[string]caller{"401 not you": query(stranger), "connection closed: 4401 not you": first(stranger)}},
		{"http without a back end", "{type: http, http: {url: 'http://127.0.0.1:1/'}}",
			nil, map[string]caller{"503 nobody can be let in at the moment": query(good)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := startEdge(t, "--config", writeFile(t, dir, "edge.yaml", "identity: "+tt.config+"\n"), "--log-level", "debug")
			for _, transport := range []string{"websocket", "webtransport"} {
				for i, k := range tt.good {
					if _, err := e.connectAs(t, transport, k); err != nil {
						t.Errorf("%s, %d: %v", transport, i, err)
					}
				}
				for want, k := range tt.bad {
					if _, err := e.connectAs(t, transport, k); err == nil || !strings.Contains(err.Error(), want) {
						t.Errorf("%s: got %v, want %s", transport, err, want)
					}
					if _, why, first := strings.Cut(want, ": 4401 "); first {
						e.waitForLog(t, "msg=\"first request refused\"")
						e.waitForLog(t, "error=\"401 "+why+"\"")
					}
				}
			}
		})
	}
}

// TestOrigins has one list for both transports. What is no page sends no origin.
func TestOrigins(t *testing.T) {
	e := startEdge(t, "--origins", "https://*.example.com")
	for _, transport := range []string{"websocket", "webtransport"} {
		for origin, good := range map[string]bool{
			"": true, "http://" + e.addr: true, "https://app.example.com": true, "http://app.example.com": false, "https://example.org": false, "null": false,
		} {
			k := caller{query: url.Values{"username": {"alice"}, "uuid": {transport}}, header: http.Header{}}
			if origin != "" {
				k.header.Set("Origin", origin)
			}
			if _, err := e.connectAs(t, transport, k); (err == nil) != good || err != nil && !strings.Contains(err.Error(), "403 Invalid Origin") {
				t.Errorf("%s from %q: got %v", transport, origin, err)
			}
		}
	}
}

// hmacToken is signed with what everybody knows.
func hmacToken(t *testing.T, public string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(public)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(`{"sub":"alice","exp":9999999999}`))
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return secret(token)
}

// closed returns how a client has ended.
func closed(c *client.Client) client.CloseError {
	<-c.Done()
	if end, ok := errors.AsType[*client.CloseError](c.Err()); ok {
		return *end
	}
	return client.CloseError{Reason: fmt.Sprint(c.Err())}
}

// TestIdentityReload replaces the keys. Who is in stays in, until the token is revoked.
func TestIdentityReload(t *testing.T) {
	dir := t.TempDir()
	old, next := newIssuer(t), newIssuer(t)
	writeFile(t, dir, "keys.pem", old.pem(t))
	key := secret("an-api-key-of-the-tests-for-identity-0123456789")
	e := startEdge(t, "--config", writeFile(t, dir, "edge.yaml", fmt.Sprintf(`
identity: {type: jwt, jwt: {keys: keys.pem}}
api: {addr: "127.0.0.1:0", keys: [{name: tests, key: %s}]}
`, key)))
	call := func(path, body string) string {
		t.Helper()
		status, answer := post(t, newHTTPClient(t), e.apiURL(t)+path, key, body)
		return fmt.Sprint(status, " ", answer)
	}
	in := func(i *issuer, transport, uuid string) (*client.Client, error) {
		t.Helper()
		return e.connectAs(t, transport, caller{query: url.Values{"token": {i.token(t, map[string]any{"jti": "id of " + uuid})}, "uuid": {uuid}}})
	}
	alice, err := in(old, "websocket", "phone")
	if err != nil {
		t.Fatal(err)
	}
	tablet, err := in(old, "webtransport", "tablet")
	if err != nil {
		t.Fatal(err)
	}

	writeFile(t, dir, "keys.pem", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
	if got := call("/v1/reload", "{}"); !strings.Contains(got, "keys.pem: ") || !strings.HasPrefix(got, "4") {
		t.Errorf("a broken file: got %s", got)
	}
	if _, err := in(old, "websocket", "laptop"); err != nil {
		t.Errorf("after a broken file: %v", err)
	}
	writeFile(t, dir, "keys.pem", next.pem(t))
	if got := call("/v1/reload", "{}"); !strings.HasPrefix(got, "200 ") {
		t.Errorf("got %s", got)
	}
	if _, err := in(old, "websocket", "laptop"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a token of the old key: got %v", err)
	}
	for _, transport := range []string{"websocket", "webtransport"} {
		if _, err := in(next, transport, "new "+transport); err != nil {
			t.Errorf("%s, a token of the new key: %v", transport, err)
		}
	}
	// In place of the old token, without a new connection.
	fresh := map[string]string{"token": next.token(t, map[string]any{"jti": "fresh"})}
	if _, err := alice.Request(t.Context(), "authenticate", "/token", fresh); err != nil {
		t.Errorf("a fresh token: %v", err)
	}

	if got := call("/v1/revoke", `{"tokenId":"id of tablet"}`); !strings.HasPrefix(got, "200 ") {
		t.Errorf("got %s", got)
	}
	if got := closed(tablet); got != (client.CloseError{Code: 4403, Reason: "revoked"}) {
		t.Errorf("the client got %v", got)
	}
	if got := call("/v1/revoke", `{"tokenId":"id of phone"}`); !strings.HasPrefix(got, "200 ") {
		t.Errorf("got %s", got)
	}
	if _, err := alice.Request(t.Context(), "message", "/echo", 1); err != nil {
		t.Errorf("the old token of somebody with a fresh one was revoked: %v", err)
	}
	if got := call("/v1/revoke", `{"username":"alice"}`); !strings.HasPrefix(got, "200 ") {
		t.Errorf("got %s", got)
	}
	if got := closed(alice); got != (client.CloseError{Code: 4403, Reason: "revoked"}) {
		t.Errorf("the client got %v", got)
	}
}

// TestTokenExpires on a clock that cannot be simulated: the rest of time is in the tests of the package identity.
func TestTokenExpires(t *testing.T) {
	dir := t.TempDir()
	issuer := newIssuer(t)
	writeFile(t, dir, "keys.pem", issuer.pem(t))
	e := startEdge(t, "--config", writeFile(t, dir, "edge.yaml", "identity: {type: jwt, jwt: {keys: keys.pem, leeway: 0s}}\n"))
	for _, transport := range []string{"websocket", "webtransport"} {
		token := issuer.token(t, nil)
		c, err := e.connectAs(t, transport, caller{query: url.Values{"token": {token}, "uuid": {transport}}})
		if err != nil {
			t.Fatal(err)
		}
		// A fresh token may be shorter-lived than the one before. On a busy machine it has to live longer to arrive in time.
		for life := 2 * time.Second; ; life *= 2 {
			short := map[string]string{"token": issuer.token(t, map[string]any{"exp": time.Now().Add(life).Unix()})}
			_, err := c.Request(t.Context(), "authenticate", "/token", short)
			if err == nil {
				break
			}
			if !strings.Contains(err.Error(), "token expired") || life > time.Minute {
				t.Fatal(err)
			}
		}
		if got := closed(c); got != (client.CloseError{Code: 4401, Reason: "token expired"}) {
			t.Errorf("%s: the client got %v", transport, got)
		}
	}
}

func TestIdentityMistakes(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "empty.pem", "")
	for _, tt := range []struct{ config, want string }{
		{"identity: {type: jwt}", "edge.yaml:1:18: identity.type: is jwt, but there are no keys: set identity.jwt.keys, identity.jwt.secret or identity.jwt.jwks_url"},
		{"identity: {type: jwt, jwt: {keys: empty.pem}}", "edge.yaml:1:35: identity.jwt.keys: " + dir + "/empty.pem: a secret has 0 bytes, at least 32 are needed"},
		{"identity: {type: jwt, jwt: {keys: empty.pem, jwks_url: 'https://x/'}}", "edge.yaml:1:56: identity.jwt.jwks_url: is set, and so is identity.jwt.keys: the keys are in one place"},
		{"identity: {type: jwt, jwt: {jwks_url: 'http://example.com/'}}", "edge.yaml:1:39: identity.jwt.jwks_url: expected a URL that begins with https://, or with http:// and is on this machine, got \"http://example.com/\""},
		{"identity: {type: jwt, jwt: {secret: short}}", "edge.yaml:1:37: identity.jwt.secret: expected a secret of at least 32 bytes, got something else"},
		{"identity: {type: static}", "edge.yaml:1:18: identity.type: is static, but identity.static.users is empty"},
		{"identity: {type: static, static: {users: ['alice:s3cret']}}", "edge.yaml:1:43: identity.static.users: expected NAME:SECRET with a secret of at least 8 bytes, got something else"},
		{"identity: {type: http}", "edge.yaml:1:18: identity.type: is http, but identity.http.url is not set"},
		{"identity: {query: uuid}", "edge.yaml:1:19: identity.query: is uuid, which is the parameter for the device"},
		{"identity: {jwt: {username: a..b}}", "edge.yaml:1:28: identity.jwt.username: expected a claim such as sub or protoo.device, got \"a..b\""},
	} {
		file := writeFile(t, dir, "edge.yaml", tt.config+"\n")
		got := runCommand(t, "", "check", "--config", file)
		if want := dir + "/" + tt.want + "\n"; got.code != exitFailure || got.stdout != want {
			t.Errorf("%s\n got %s\nwant %s", tt.config, got.stdout, want)
		}
	}
	// A secret that everybody can read is one of development only; a public key may be read.
	for _, tt := range []struct {
		text string
		mode os.FileMode
		want string
	}{
		{strings.Repeat("s3cret", 6), 0o644, "--identity-jwt-keys: it is a secret that everybody on this machine can read, which is refused in production: chmod o-rwx " + dir + "/key\n"},
		{strings.Repeat("s3cret", 6), 0o600, "ok\n"},
		{newIssuer(t).pem(t), 0o644, "ok\n"},
	} {
		if runtime.GOOS == "windows" {
			break // has no such permissions
		}
		key := writeFile(t, dir, "key", tt.text)
		if err := os.Chmod(key, tt.mode); err != nil {
			t.Fatal(err)
		}
		if got := runCommand(t, "", "check", "--env", "production", "--identity-type", "jwt", "--identity-jwt-keys", key); got.stdout != tt.want {
			t.Errorf("%v: got %+v, want %s", tt.mode, got, tt.want)
		}
	}
	// What is secret is printed nowhere.
	file := writeFile(t, dir, "edge.yaml", "identity:\n  type: static\n  jwt: {secret: "+strings.Repeat("s3cret", 6)+"}\n  static: {users: ['alice:s3cret-s3cret', 'bob:s3cret-s3cret-2']}\n  http: {secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz}\n")
	got := runCommand(t, "", "print", "--config", file)
	if got.code != exitOK || strings.Contains(got.stdout, "s3cret") || strings.Contains(got.stdout, "MDEyMz") || !strings.Contains(got.stdout, `users: "********"`) {
		t.Errorf("got %+v", got)
	}
}
