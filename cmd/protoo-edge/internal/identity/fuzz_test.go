package identity

import (
	"crypto"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"

	"github.com/protoo-go/protoo/core"
)

// No text is a token but those that we have signed.
func FuzzToken(f *testing.F) {
	good := sign(f, jose.ES256, p256Key, "a", map[string]any{"sub": "alice", "exp": int64(9999999999)})
	f.Add(good)
	f.Add(sign(f, jose.HS256, secret, "", map[string]any{"sub": "eve", "exp": int64(9999999999)}))
	f.Add("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.")
	f.Add("..")
	f.Add(`{"protected":"","payload":"","signature":""}`)
	v := &verifier{usual, parsed(f, jwks(f, map[string]crypto.Signer{"a": p256Key, "b": edwardsKey}))}
	f.Fuzz(func(t *testing.T, token string) {
		g, err := v.decide(t.Context(), &attempt{token: token, uuid: "phone"})
		switch {
		case err == nil && (token != good || g.username != "alice"):
			t.Errorf("%q lets %+v in", token, g)
		case err != nil && len(token) > 16 && strings.Contains(err.Error(), token):
			t.Errorf("the reason has the token: %v", err)
		}
		if _, ok := errors.AsType[*denial](err); err != nil && !ok {
			t.Errorf("got error %v, want a denial", err)
		}
	})
}

// What a token says, once it is signed.
func FuzzPayload(f *testing.F) {
	f.Add(`{"sub":"alice","exp":9999999999}`, "sub", "", "")
	f.Add(`{"protoo":{"u":"alice","d":7,"data":{"a":[1,2e400]}},"exp":9999999999,"iat":1,"nbf":-1}`, "protoo.u", "protoo.d", "protoo.data")
	f.Add(`{"a.b":{"c":"x"},"a":{"b":{"c":"y"}},"exp":1e18}`, "a.b.c", "a.b.c", "a")
	f.Add(`[]`, "a", "a", "a")
	f.Fuzz(func(t *testing.T, payload, username, uuid, data string) {
		for _, path := range []string{username, uuid, data} {
			if path != "" && !ValidClaimPath(path) {
				return
			}
		}
		o := usual
		o.Username, o.UUID, o.Data = username, uuid, data
		g, err := (&verifier{o: o}).read([]byte(payload), "phone")
		if err != nil {
			if _, ok := errors.AsType[*denial](err); !ok {
				t.Errorf("got error %v, want a denial", err)
			}
			return
		}
		for _, name := range []string{g.username, g.uuid} {
			if checkName(name) != nil {
				t.Errorf("%q is no name", name)
			}
		}
		if g.expires.IsZero() || time.Now().After(g.expires.Add(time.Second)) {
			t.Errorf("it has expired at %v", g.expires)
		}
	})
}

// What an authority publishes, or an operator has in a file.
func FuzzKeys(f *testing.F) {
	f.Add(publicPEM(f, p256Key))
	f.Add(jwks(f, map[string]crypto.Signer{"a": p256Key, "b": edwardsKey}))
	f.Add(jwk(f, jose.JSONWebKey{Key: secret}))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"","y":""}]}`))
	f.Add(secret)
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeys(text)
		if err == nil && (len(keys) == 0 || len(keys) > maxKeys) {
			t.Errorf("%d keys", len(keys))
		}
		for _, k := range keys {
			if err == nil && len(k.algorithms) == 0 {
				t.Errorf("a key of type %T for nothing", k.public)
			}
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add(200, `{"username":"alice","uuid":"phone","expires":9999999999,"data":{"a":1}}`)
	f.Add(200, `{"username":""}`)
	f.Add(401, `{"reason":"\u0000ä\ud800"}`)
	f.Add(302, ``)
	f.Fuzz(func(t *testing.T, status int, text string) {
		g, err := readAnswer(status, []byte(text), "phone")
		if err == nil && (status != 200 || checkName(g.username) != nil) {
			t.Errorf("status %d lets %+v in", status, g)
		}
		if d, ok := errors.AsType[*denial](err); ok {
			if len(d.reason) > 123 || !utf8.ValidString(d.reason) || strings.ContainsAny(d.reason, "\r\n\x00") || d.status < 400 || d.status > 499 {
				t.Errorf("refused with %d %q", d.status, d.reason)
			}
		}
	})
}

func FuzzHandshake(f *testing.F) {
	f.Add("Bearer x", "y", "phone")
	f.Add("Basic YTpi", "", "")
	f.Add("bearer", "a b", "\xff")
	f.Fuzz(func(t *testing.T, authorization, token, uuid string) {
		a := newAttempt(&core.ConnectRequest{
			Header: map[string][]string{"Authorization": {authorization}},
			Query:  map[string][]string{"token": {token}, "uuid": {uuid}},
		}, "token")
		if a.uuid != uuid || len(a.token) > max(len(authorization), len(token)) || a.basic && a.token != "" {
			t.Errorf("got %+v", a)
		}
	})
}
