package identity

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"
)

// JWT says which tokens are believed (RFC 7519), and what they say. Exactly one of Keys, Secret and URL has to be set.
type JWT struct {
	Keys   string // a file with public keys in PEM, a JWK, a JWKS or a secret
	Secret string
	URL    string // of a JWKS, see [ValidURL]

	Refresh       time.Duration // how often what is at the URL is fetched
	Issuer        string        // "iss", "" for any
	Audience      []string      // of which "aud" has one; none for any
	Leeway        time.Duration // that clocks may differ by
	RequireExpiry bool

	Username string // the path of a claim, as the next two
	UUID     string // "" lets the client say which device it is
	Data     string // an object, "" for none
}

// A source has the keys of tokens.
type source interface {
	known(context.Context) ([]key, error)
	// unknown is called when a token's key is not known.
	unknown(context.Context) ([]key, error)
	close()
}

// A fixed source has the same keys forever.
type fixed []key

func (f fixed) known(context.Context) ([]key, error)   { return f, nil }
func (f fixed) unknown(context.Context) ([]key, error) { return f, nil }
func (f fixed) close()                                 {}

// A verifier decides by JWTs.
type verifier struct {
	o      JWT
	source source
}

// newVerifier takes over the keys of an old one where these are still the right ones; nil if there is none.
func newVerifier(o JWT, old *verifier, transport http.RoundTripper, report func(error)) (*verifier, error) {
	v := &verifier{o: o}
	switch {
	case o.Keys != "":
		keys, err := readKeys(o.Keys)
		if err != nil {
			return nil, &OptionError{"jwt.keys", err}
		}
		v.source = fixed(keys)
	case o.Secret != "":
		k, err := newKey("", []byte(o.Secret))
		if err != nil {
			return nil, &OptionError{"jwt.secret", err}
		}
		v.source = fixed{k}
	case old != nil && old.o.URL == o.URL && old.o.Refresh == o.Refresh:
		v.source = old.source
	default:
		v.source = newRemote(o.URL, o.Refresh, transport, report)
	}
	return v, nil
}

func (v *verifier) close() { v.source.close() }

func (v *verifier) decide(ctx context.Context, a *attempt) (*grant, error) {
	if a.token == "" {
		return nil, missing
	}
	payload, err := v.verify(ctx, a.token)
	if err != nil {
		return nil, err
	}
	return v.read(payload, a.uuid)
}

var (
	missing     = &denial{Missing, http.StatusUnauthorized, "missing token"}
	malformed   = &denial{Malformed, http.StatusUnauthorized, "the token is malformed"}
	unavailable = &denial{Unavailable, http.StatusServiceUnavailable, "tokens cannot be checked at the moment"}
)

// verify returns what a token says that one of the keys has signed.
func (v *verifier) verify(ctx context.Context, token string) ([]byte, error) {
	if !isCompact(token) {
		return nil, malformed
	}
	signed, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return nil, malformed
	}
	header := signed.Signatures[0].Header
	algorithm := jose.SignatureAlgorithm(header.Algorithm)
	keys, err := v.source.known(ctx)
	if err != nil {
		return nil, unavailable
	}
	fitting := suitable(keys, header.KeyID, algorithm)
	if fitting == nil {
		if keys, err = v.source.unknown(ctx); err != nil {
			return nil, unavailable
		}
		if fitting = suitable(keys, header.KeyID, algorithm); fitting == nil {
			return nil, &denial{UnknownKey, http.StatusUnauthorized, "the token is signed with a key that is not known, or not for its algorithm"}
		}
	}
	for _, k := range fitting {
		if payload, err := signed.Verify(k.public); err == nil {
			return payload, nil
		}
	}
	return nil, &denial{BadSignature, http.StatusUnauthorized, "the token has a bad signature"}
}

// isCompact tells whether a token is written in the one way that it can be (RFC 7515, section 7.1). Readers of base64 overlook line ends and the
// last bits, so that without this there would be several tokens that are one.
func isCompact(token string) bool {
	for part := range strings.SplitSeq(token, ".") {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return false
		}
	}
	return !strings.ContainsAny(token, "\r\n")
}

// read decides by what a token says.
func (v *verifier) read(payload []byte, uuid string) (*grant, error) {
	var standard jwt.Claims
	claims, err := parseClaims(payload)
	if err == nil {
		err = json.Unmarshal(payload, &standard) // with case, unlike encoding/json, and no name twice
	}
	if err != nil || len(standard.ID) > maxName {
		return nil, malformed
	}
	if err := v.check(&standard); err != nil {
		return nil, err
	}
	g := &grant{tokenID: standard.ID, uuid: uuid, issued: standard.IssuedAt.Time()}
	if standard.Expiry != nil {
		g.expires = standard.Expiry.Time().Add(v.o.Leeway)
	}
	wrong := func(err error) error { return &denial{WrongClaims, http.StatusUnauthorized, err.Error()} }
	if g.username, err = nameClaim(claims, v.o.Username); err != nil {
		return nil, wrong(err)
	}
	if v.o.UUID != "" {
		if g.uuid, err = nameClaim(claims, v.o.UUID); err != nil {
			return nil, wrong(err)
		}
	}
	if data, found := find(claims, v.o.Data); found {
		object, ok := plain(data).(map[string]any)
		if !ok {
			return nil, wrong(errors.New("the token's claim " + v.o.Data + " is not an object"))
		}
		g.data = object
	}
	return g, nil
}

func (v *verifier) check(claims *jwt.Claims) error {
	deny := func(o Outcome, reason string) error { return &denial{o, http.StatusUnauthorized, reason} }
	if v.o.RequireExpiry && claims.Expiry == nil {
		return deny(WrongClaims, "the token has no claim exp")
	}
	err := claims.ValidateWithLeeway(jwt.Expected{Issuer: v.o.Issuer, AnyAudience: v.o.Audience, Time: time.Now()}, v.o.Leeway)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrExpired):
		return deny(Expired, reasonExpired)
	case errors.Is(err, jwt.ErrNotValidYet), errors.Is(err, jwt.ErrIssuedInTheFuture):
		return deny(NotYetValid, "the token is not valid yet")
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return deny(WrongIssuer, "the token is of another issuer")
	case errors.Is(err, jwt.ErrInvalidAudience):
		return deny(WrongAudience, "the token is for another audience")
	}
	return malformed
}
