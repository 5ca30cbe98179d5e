package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func newP256() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func jwk(t testing.TB, k jose.JSONWebKey) []byte {
	t.Helper()
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestParseKeys(t *testing.T) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate := must(x509.CreateCertificate(rand.Reader, template, template, p256Key.Public(), p256Key))
	small := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
	small.N.SetBit(small.N, 0, 1)
	p224 := must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	set := jwks(t, map[string]crypto.Signer{"a": rsaKey, "b": p256Key})
	for _, tt := range []struct {
		name string
		text []byte
		want int    // keys
		err  string // that contains this
	}{
		{"PEM", publicPEM(t, rsaKey), 1, ""},
		{"several", append(publicPEM(t, rsaKey), publicPEM(t, edwardsKey)...), 2, ""},
		{"PKCS 1", block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)), 1, ""},
		{"certificate", block("CERTIFICATE", certificate), 1, ""},
		{"set", set, 2, ""},
		{"JWK", jwk(t, jose.JSONWebKey{Key: edwardsKey.Public(), KeyID: "e"}), 1, ""},
		{"secret JWK", jwk(t, jose.JSONWebKey{Key: secret, KeyID: "s"}), 1, ""},
		{"secret", append(secret, '\n'), 1, ""},
		{"others in the set", []byte(`{"keys":[{"kty":"odd"},` + string(jwk(t, jose.JSONWebKey{Key: p256Key.Public(), Use: "enc"})) + `,` +
			string(jwk(t, jose.JSONWebKey{Key: p256Key.Public()})) + `]}`), 1, ""},

		{"empty", nil, 0, "0 bytes, at least 32"},
		{"short secret", []byte("0123456789abcdef0123456789abcde"), 0, "31 bytes, at least 32"},
		{"short secret JWK", jwk(t, jose.JSONWebKey{Key: secret[:31]}), 0, "31 bytes"},
		{"private PEM", block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(p256Key))), 0, "a private key"},
		{"private JWK", jwk(t, jose.JSONWebKey{Key: p256Key}), 0, "a private key"},
		{"private in a set", []byte(`{"keys":[` + string(jwk(t, jose.JSONWebKey{Key: p256Key})) + `,` + string(jwk(t, jose.JSONWebKey{Key: rsaKey.Public()})) + `]}`), 0, "a private key"},
		{"weak RSA", block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(small))), 0, "1024 bits, expected 2048"},
		{"P-224", publicPEM(t, p224), 0, "a curve other than"},
		{"something else in PEM", block("DH PARAMETERS", []byte{1}), 0, `"DH PARAMETERS"`},
		{"broken PEM", []byte("-----BEGIN PUBLIC KEY-----\nxx"), 0, "not PEM"},
		{"text behind PEM", append(publicPEM(t, rsaKey), "hello"...), 0, "not PEM"},
		{"empty set", []byte(`{"keys":[]}`), 0, "no keys"},
		{"unusable set", []byte(`{"keys":[{"kty":"odd"}]}`), 0, "no key that can be used"},
		{"other JSON", []byte(`{"a":1}`), 0, "no keys"},
		{"broken JSON", []byte(`{"keys":`), 0, "neither a JWK nor a JWKS"},
		{"wrong algorithm", jwk(t, jose.JSONWebKey{Key: p256Key.Public(), Algorithm: "RS256"}), 0, "does not go with its kind"},
		{"too many", []byte(`{"keys":[` + strings.Repeat(`{"kty":"odd"},`, maxKeys) + `{}]}`), 0, "more than 64 keys"},
		{"too many in PEM", bytes.Repeat(publicPEM(t, p256Key), maxKeys+1), 0, "more than 64 keys"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			keys, err := parseKeys(tt.text)
			if tt.err == "" && (err != nil || len(keys) != tt.want) {
				t.Errorf("got %d keys and error %v, want %d", len(keys), err, tt.want)
			}
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got error %v, want %q", err, tt.err)
			}
		})
	}
}

func TestSecretSizes(t *testing.T) {
	for size, want := range map[int]int{31: 0, 32: 1, 47: 1, 48: 2, 63: 2, 64: 3} {
		k, _ := newKey("", make([]byte, size))
		if len(k.algorithms) != want {
			t.Errorf("a secret of %d bytes is for %v", size, k.algorithms)
		}
	}
}

func TestReadKeys(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, text []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, tt := range []struct {
		file   string
		secret bool
		err    string
	}{
		{write("secret", secret), true, ""},
		{write("public", publicPEM(t, rsaKey)), false, ""},
		{write("huge", make([]byte, maxKeyBytes+1)), false, "more than 1048576 bytes"},
		{filepath.Join(dir, "none"), false, "no such file"},
	} {
		secret, err := VerifyKeys(tt.file)
		if secret != tt.secret || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: got %v, %v", filepath.Base(tt.file), secret, err)
		}
	}
}

func TestFind(t *testing.T) {
	all := map[string]any{
		"a": 1, "b": map[string]any{"c": 2, "c.d": 3, "e": map[string]any{"f": 4}}, "b.c": 5, "https://example.com/x": map[string]any{"y": 6}, "n": nil,
	}
	for path, want := range map[string]any{
		"a": 1, "b.c": 5, "b.c.d": 3, "b.e.f": 4, "https://example.com/x.y": 6, "n": nil,
		"a.b": "none", "b.x": "none", "": "none", ".": "none", "b.": "none", "n.x": "none",
	} {
		got, found := find(all, path)
		if !found {
			got = "none"
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: got %v, want %v", path, got, want)
		}
	}
	for path, want := range map[string]bool{"a": true, "a.b": true, "": false, ".a": false, "a.": false, "a..b": false, strings.Repeat("a.", 16) + "a": false} {
		if got := ValidClaimPath(path); got != want {
			t.Errorf("ValidClaimPath(%q) is %v", path, got)
		}
	}
}
