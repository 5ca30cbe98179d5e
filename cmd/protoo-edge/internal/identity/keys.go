package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// Bounds of a set of keys.
const (
	maxKeys     = 64
	maxKeyBytes = 1 << 20
	maxRSA      = 8192 // bits; a signature of larger keys costs too much to check
	minRSA      = 2048 // RFC 7518, section 3.3
)

// A key is one that signatures are checked with. Which algorithms it is for follows from what it is, and never from a token: so nobody can
// pass off a public key as a secret.
type key struct {
	id         string
	public     any
	algorithms []jose.SignatureAlgorithm
}

// algorithms are all that a token may have. None is not among them.
var algorithms = []jose.SignatureAlgorithm{
	jose.HS256, jose.HS384, jose.HS512,
	jose.RS256, jose.RS384, jose.RS512,
	jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512,
	jose.EdDSA,
}

// newKey returns a key with the algorithms of its kind (RFC 7518, section 3).
func newKey(id string, public any) (key, error) {
	k := key{id: id, public: public}
	switch p := public.(type) {
	case []byte:
		// A secret has at least the size of the hash.
		for i, size := range [...]int{32, 48, 64} {
			if len(p) >= size {
				k.algorithms = append(k.algorithms, algorithms[i])
			}
		}
		if k.algorithms == nil {
			return k, fmt.Errorf("a secret has %d bytes, at least 32 are needed", len(p))
		}
	case *rsa.PublicKey:
		if n := p.N.BitLen(); n < minRSA || n > maxRSA {
			return k, fmt.Errorf("an RSA key has %d bits, expected %d to %d", n, minRSA, maxRSA)
		}
		k.algorithms = algorithms[3:9]
	case *ecdsa.PublicKey:
		switch p.Curve {
		case elliptic.P256():
			k.algorithms = []jose.SignatureAlgorithm{jose.ES256}
		case elliptic.P384():
			k.algorithms = []jose.SignatureAlgorithm{jose.ES384}
		case elliptic.P521():
			k.algorithms = []jose.SignatureAlgorithm{jose.ES512}
		default:
			return k, errors.New("an EC key has a curve other than P-256, P-384 and P-521")
		}
	case ed25519.PublicKey:
		k.algorithms = []jose.SignatureAlgorithm{jose.EdDSA}
	default:
		return k, fmt.Errorf("a key of type %T, expected RSA, EC, Ed25519 or a secret", public)
	}
	return k, nil
}

// readKeys reads keys from a file.
func readKeys(file string) ([]key, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text := make([]byte, maxKeyBytes+1)
	n := 0
	for n < len(text) && err == nil {
		var more int
		more, err = f.Read(text[n:])
		n += more
	}
	if n > maxKeyBytes {
		return nil, fmt.Errorf("%s: more than %d bytes", file, maxKeyBytes)
	}
	keys, err := parseKeys(text[:n])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return keys, nil
}

// parseKeys reads public keys or certificates in PEM, a JWK, a JWKS (RFC 7517), or a secret, which is all of the text but for white space
// around it.
func parseKeys(text []byte) ([]key, error) {
	text = bytes.TrimSpace(text)
	switch {
	case bytes.HasPrefix(text, []byte("-----BEGIN ")):
		return parsePEM(text)
	case bytes.HasPrefix(text, []byte("{")):
		return parseJWKS(text)
	}
	k, err := newKey("", bytes.Clone(text))
	return []key{k}, err
}

func parsePEM(text []byte) ([]key, error) {
	var keys []key
	for len(text) > 0 {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil, errors.New("something that is not PEM behind what is")
		}
		public, err := parseBlock(block)
		if err != nil {
			return nil, err
		}
		k, err := newKey("", public)
		if err != nil {
			return nil, err
		}
		if keys = append(keys, k); len(keys) > maxKeys {
			return nil, errTooManyKeys
		}
		text = bytes.TrimSpace(rest)
	}
	return keys, nil
}

var (
	errTooManyKeys = fmt.Errorf("more than %d keys", maxKeys)
	errPrivate     = errors.New("a private key; only the public half is needed here, and nothing else should be on this machine")
)

func parseBlock(block *pem.Block) (public any, err error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return cert.PublicKey, nil
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
		return nil, errPrivate
	}
	return nil, fmt.Errorf("PEM of type %.64q, expected PUBLIC KEY or CERTIFICATE", block.Type)
}

// parseJWKS reads a set of keys, or a single one. Keys of a set that are for something else, or of kinds that we do not know, are left out, as
// RFC 7517, section 5 has it.
func parseJWKS(text []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
		Kind string            `json:"kty"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("neither a JWK nor a JWKS: %w", err)
	}
	if set.Kind != "" {
		k, err := parseJWK(text)
		if err != nil {
			return nil, err
		}
		return []key{k}, nil
	}
	if len(set.Keys) > maxKeys {
		return nil, errTooManyKeys
	}
	var keys []key
	var reason error
	for _, raw := range set.Keys {
		k, err := parseJWK(raw)
		switch {
		case err == nil:
			keys = append(keys, k)
		case errors.Is(err, errPrivate):
			return nil, err
		case reason == nil:
			reason = err
		}
	}
	switch {
	case len(keys) == 0 && reason != nil:
		return nil, fmt.Errorf("no key that can be used: %w", reason)
	case len(keys) == 0:
		return nil, errors.New("no keys")
	}
	return keys, nil
}

func parseJWK(text []byte) (key, error) {
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(text); err != nil {
		return key{}, errors.New("a key that is not a JWK, or of a kind that is not known")
	}
	secret, symmetric := jwk.Key.([]byte)
	switch {
	case !symmetric && !jwk.IsPublic():
		return key{}, errPrivate
	case jwk.Use != "" && jwk.Use != "sig":
		return key{}, fmt.Errorf("a key for %.16q, expected \"sig\"", jwk.Use)
	case len(jwk.KeyID) > maxName:
		return key{}, fmt.Errorf("a key whose \"kid\" has more than %d bytes", maxName)
	}
	var k key
	var err error
	if symmetric {
		k, err = newKey(jwk.KeyID, secret)
	} else {
		k, err = newKey(jwk.KeyID, jwk.Key)
	}
	if err != nil || jwk.Algorithm == "" {
		return k, err
	}
	// A key may be for one of its algorithms only.
	if !slices.Contains(k.algorithms, jose.SignatureAlgorithm(jwk.Algorithm)) {
		return k, fmt.Errorf("a key for the algorithm %.16q, which does not go with its kind", jwk.Algorithm)
	}
	k.algorithms = []jose.SignatureAlgorithm{jose.SignatureAlgorithm(jwk.Algorithm)}
	return k, nil
}

// suitable returns the keys that a signature may have been made with: those of the name that the token gives, or else those without a
// name; all, if it gives none.
func suitable(keys []key, id string, algorithm jose.SignatureAlgorithm) []key {
	var named, nameless []key
	for _, k := range keys {
		switch {
		case !slices.Contains(k.algorithms, algorithm):
		case id == "" || k.id == id:
			named = append(named, k)
		case k.id == "":
			nameless = append(nameless, k)
		}
	}
	if named != nil {
		return named
	}
	return nameless
}

// VerifyKeys finds what is wrong with a file of keys, and tells whether there is a secret in it.
func VerifyKeys(file string) (secret bool, err error) {
	keys, err := readKeys(file)
	secret = slices.ContainsFunc(keys, func(k key) bool {
		_, is := k.public.([]byte)
		return is
	})
	return secret, err
}
