package identity

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// usual is how most tests read tokens.
var usual = JWT{Username: "sub", Leeway: 30 * time.Second, RequireExpiry: true}

func decide(t testing.TB, v *verifier, token string) (*grant, Outcome) {
	t.Helper()
	g, err := v.decide(t.Context(), &attempt{token: token, uuid: "phone"})
	if err == nil {
		return g, OK
	}
	d, ok := errors.AsType[*denial](err)
	if !ok {
		t.Fatalf("got error %v, want a denial", err)
	}
	if len(token) > 8 && strings.Contains(d.Error(), token[:8]) {
		t.Errorf("the reason has a part of the token: %v", d)
	}
	return nil, d.outcome
}

func parsed(t testing.TB, text []byte) fixed {
	t.Helper()
	keys, err := parseKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestAlgorithms(t *testing.T) {
	pems := map[string][]byte{
		"secret": secret, "rsa": publicPEM(t, rsaKey), "p256": publicPEM(t, p256Key), "p384": publicPEM(t, p384Key),
		"p521": publicPEM(t, p521Key), "ed25519": publicPEM(t, edwardsKey),
	}
	signers := []struct {
		algorithm jose.SignatureAlgorithm
		key       any
		good      string // of pems
	}{
		{jose.HS256, secret, "secret"}, {jose.HS384, secret, "secret"}, {jose.HS512, secret, "secret"},
		{jose.RS256, rsaKey, "rsa"}, {jose.RS384, rsaKey, "rsa"}, {jose.RS512, rsaKey, "rsa"},
		{jose.PS256, rsaKey, "rsa"}, {jose.PS384, rsaKey, "rsa"}, {jose.PS512, rsaKey, "rsa"},
		{jose.ES256, p256Key, "p256"}, {jose.ES384, p384Key, "p384"}, {jose.ES512, p521Key, "p521"},
		{jose.EdDSA, edwardsKey, "ed25519"},
	}
	for _, s := range signers {
		signed := sign(t, s.algorithm, s.key, "", claims(nil))
		for name, text := range pems {
			want := UnknownKey
			if name == s.good {
				want = OK
			}
			if _, got := decide(t, &verifier{usual, parsed(t, text)}, signed); got != want {
				t.Errorf("%s with the key %s: got %v, want %v", s.algorithm, name, got, want)
			}
		}
		// All keys in one set.
		all := slices.Concat(pems["rsa"], pems["p256"], pems["p384"], pems["p521"], pems["ed25519"])
		if s.good != "secret" {
			if _, got := decide(t, &verifier{usual, parsed(t, all)}, signed); got != OK {
				t.Errorf("%s with all keys: got %v", s.algorithm, got)
			}
		}
	}
}

// Tokens that try to have their algorithm decide what a key is.
func TestAlgorithmConfusion(t *testing.T) {
	text := publicPEM(t, rsaKey)
	v := &verifier{usual, parsed(t, text)}
	for name, secret := range map[string][]byte{"the file": text, "the file without its end": bytes.TrimSpace(text)} {
		if _, got := decide(t, v, sign(t, jose.HS256, secret, "", claims(nil))); got != UnknownKey {
			t.Errorf("a public key as a secret, %s: got %v", name, got)
		}
	}
	encode := base64.RawURLEncoding.EncodeToString
	payload := encode([]byte(`{"sub":"alice","exp":9999999999}`))
	good := strings.Split(sign(t, jose.RS256, rsaKey, "", claims(nil)), ".")
	for _, algorithm := range []string{"none", "None", "NONE", "", "HS256 ", "RS1", "ES256K", "dir", "A128KW"} {
		header := encode([]byte(`{"alg":"` + algorithm + `","typ":"JWT"}`))
		for _, signature := range []string{"", "AAAA", good[2]} {
			if _, got := decide(t, v, header+"."+payload+"."+signature); got == OK {
				t.Errorf("algorithm %q with signature %q was taken", algorithm, signature)
			}
		}
	}
	// A key that the token brings along.
	var o jose.SignerOptions
	o.EmbedJWK = true
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p256Key}, &o))
	own := must(must(signer.Sign([]byte(`{"sub":"alice","exp":9999999999}`))).CompactSerialize())
	if _, got := decide(t, v, own); got != UnknownKey {
		t.Errorf("a token with its own key: got %v", got)
	}
	// A key of a set may be for one algorithm only.
	jwk := must((&jose.JSONWebKey{Key: rsaKey.Public(), KeyID: "r", Algorithm: "PS256"}).MarshalJSON())
	v = &verifier{usual, parsed(t, jwk)}
	if _, got := decide(t, v, sign(t, jose.RS256, rsaKey, "r", claims(nil))); got != UnknownKey {
		t.Errorf("RS256 with a key for PS256: got %v", got)
	}
	if _, got := decide(t, v, sign(t, jose.PS256, rsaKey, "r", claims(nil))); got != OK {
		t.Errorf("PS256: got %v", got)
	}
}

func TestKeyNames(t *testing.T) {
	v := &verifier{usual, parsed(t, jwks(t, map[string]crypto.Signer{"a": p256Key, "b": rsaKey}))}
	for _, tt := range []struct {
		name      string
		algorithm jose.SignatureAlgorithm
		key       any
		id        string
		want      Outcome
	}{
		{"its name", jose.ES256, p256Key, "a", OK},
		{"no name", jose.ES256, p256Key, "", OK},
		{"another's name", jose.ES256, p256Key, "b", UnknownKey},
		{"an unknown name", jose.ES256, p256Key, "c", UnknownKey},
		{"a false signature", jose.ES256, must(newP256()), "a", BadSignature},
	} {
		if _, got := decide(t, v, sign(t, tt.algorithm, tt.key, tt.id, claims(nil))); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	nameless := &verifier{usual, parsed(t, publicPEM(t, p256Key))}
	if _, got := decide(t, nameless, sign(t, jose.ES256, p256Key, "whatever", claims(nil))); got != OK {
		t.Errorf("a named key among nameless ones: got %v", got)
	}
}

func TestClaims(t *testing.T) {
	full := usual
	full.Issuer, full.Audience, full.UUID, full.Data = "https://id.example", []string{"edge", "other"}, "protoo.device", "https://example.com/data"
	good := map[string]any{
		"iss": "https://id.example", "aud": []string{"x", "edge"}, "jti": "t1", "protoo": map[string]any{"device": "tablet"},
		"https://example.com/data": map[string]any{"role": "admin", "level": 3, "list": []any{1, "a"}},
	}
	with := func(name string, value any) map[string]any {
		c := claims(good)
		c[name] = value
		if value == nil {
			delete(c, name)
		}
		return c
	}
	for _, tt := range []struct {
		name   string
		claims map[string]any
		want   Outcome
	}{
		{"all", with("x", 1), OK},
		{"another issuer", with("iss", "https://evil.example"), WrongIssuer},
		{"no issuer", with("iss", nil), WrongIssuer},
		{"another audience", with("aud", "else"), WrongAudience},
		{"one audience", with("aud", "other"), OK},
		{"no audience", with("aud", nil), WrongAudience},
		{"audience is a number", with("aud", 1), Malformed},
		{"no expiry", with("exp", nil), WrongClaims},
		{"expiry is a text", with("exp", "tomorrow"), Malformed},
		{"expiry is huge", with("exp", 1e300), Malformed},
		{"no username", with("sub", nil), WrongClaims},
		{"empty username", with("sub", ""), WrongClaims},
		{"long username", with("sub", strings.Repeat("x", 257)), WrongClaims},
		{"no uuid", with("protoo", nil), WrongClaims},
		{"uuid is an object", with("protoo", map[string]any{"device": map[string]any{}}), WrongClaims},
		{"uuid is an integer", with("protoo", map[string]any{"device": 42}), OK},
		{"uuid is a fraction", with("protoo", map[string]any{"device": 4.2}), WrongClaims},
		{"data is a list", with("https://example.com/data", []int{1}), WrongClaims},
		{"no data", with("https://example.com/data", nil), OK},
		{"long id", with("jti", strings.Repeat("x", 257)), Malformed},
		{"id is a number", with("jti", 1), Malformed},
	} {
		v := &verifier{full, parsed(t, secret)}
		if _, got := decide(t, v, sign(t, jose.HS256, secret, "", tt.claims)); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	g, _ := decide(t, &verifier{full, parsed(t, secret)}, sign(t, jose.HS256, secret, "", claims(good)))
	want := map[string]any{"role": "admin", "level": 3.0, "list": []any{1.0, "a"}}
	if g.username != "alice" || g.uuid != "tablet" || g.tokenID != "t1" || !reflect.DeepEqual(g.data, want) {
		t.Errorf("got %+v", g)
	}
	if g, _ := decide(t, &verifier{usual, parsed(t, secret)}, token(t, map[string]any{"sub": 42})); g != nil {
		t.Errorf("a subject that is a number was taken: %+v", g)
	}
}

func TestTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now() // has no fraction of a second
		lax := usual
		lax.RequireExpiry = false
		for _, tt := range []struct {
			name   string
			o      JWT
			claims map[string]any
			want   Outcome
		}{
			{"expires now", usual, map[string]any{"exp": now.Unix()}, OK},
			{"expired within the leeway", usual, map[string]any{"exp": now.Unix() - 30}, OK},
			{"expired", usual, map[string]any{"exp": now.Unix() - 31}, Expired},
			{"never expires", lax, map[string]any{"exp": nil}, OK},
			{"begins within the leeway", usual, map[string]any{"nbf": now.Unix() + 30}, OK},
			{"begins later", usual, map[string]any{"nbf": now.Unix() + 31}, NotYetValid},
			{"issued within the leeway", usual, map[string]any{"iat": now.Unix() + 30}, OK},
			{"issued later", usual, map[string]any{"iat": now.Unix() + 31}, NotYetValid},
			{"fractions", usual, map[string]any{"exp": float64(now.Unix()) + 0.5}, OK},
		} {
			g, got := decide(t, &verifier{tt.o, parsed(t, secret)}, token(t, tt.claims))
			if got != tt.want {
				t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
			}
			if tt.name == "never expires" && g != nil && !g.expires.IsZero() {
				t.Errorf("%s: until %v", tt.name, g.expires)
			}
		}
		g, _ := decide(t, &verifier{usual, parsed(t, secret)}, token(t, map[string]any{"exp": now.Unix() + 60}))
		if want := now.Add(90 * time.Second); !g.expires.Equal(want) {
			t.Errorf("expires at %v, want %v", g.expires, want)
		}
	})
}

// looseEnd returns another last character for a token, of which readers that are not strict see no difference.
func looseEnd(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, token[len(token)-1])+1])
}

func TestMalformedTokens(t *testing.T) {
	v := &verifier{usual, parsed(t, secret)}
	good := token(t, nil)
	parts := strings.Split(good, ".")
	for _, bad := range []string{
		".", "..", "...", "a.b.c", good + ".", "." + good, parts[0] + "." + parts[1], parts[0] + "..", good + "=",
		" " + good, good + "\n", good[:len(good)-1] + looseEnd(good), `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		parts[0] + "." + parts[1] + "." + parts[2][:10], strings.Repeat("A", 8000),
	} {
		if _, got := decide(t, v, bad); got != Malformed && got != BadSignature {
			t.Errorf("%.60q: got %v", bad, got)
		}
	}
	if _, got := decide(t, v, ""); got != Missing {
		t.Errorf("no token: got %v", got)
	}
	for _, payload := range []string{"", "null", "[]", "1", `{"sub":"alice"`, `{"sub":"alice","exp":9999999999}{}`, `{"sub":"alice","exp":9999999999,"exp":1}`} {
		signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: secret}, nil))
		text := must(must(signer.Sign([]byte(payload))).CompactSerialize())
		if _, got := decide(t, v, text); got != Malformed {
			t.Errorf("payload %q: got %v", payload, got)
		}
	}
	critical := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: secret}, new(jose.SignerOptions).WithCritical("odd").WithHeader("odd", 1)))
	text := must(must(critical.Sign([]byte(`{"sub":"alice","exp":9999999999}`))).CompactSerialize())
	if _, got := decide(t, v, text); got != BadSignature && got != Malformed {
		t.Errorf("a critical header that is not known: got %v", got)
	}
}
