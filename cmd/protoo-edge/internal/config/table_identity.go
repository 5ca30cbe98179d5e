package config

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/identity"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/webhook"
)

// identityTable returns the settings about who may connect, and from where, but for the first, identity.type.
func (c *Config) identityTable() []*Setting {
	o := &c.Identity
	return []*Setting{
		{Key: "identity.query", value: checked(text(&o.Query, "token", "the name of a parameter, such as token, or nothing"), isParameter), Live: true, Doc: `
The parameter of the query that has the token, if the header Authorization does not. Empty takes none from the query.`},
		{Key: "identity.max_token", value: size(&o.MaxToken, 8<<10, 64, 64<<10), Live: true, Doc: `
How much a token may have. What comes in the header or the query is bounded by http.max_header as well.`},
		{Key: "identity.path", value: checked(text(&o.Path, "/token", "a path such as /token"), isPlainPath), Doc: `
Where "authenticate" requests go: the first one of a connection without a token, and those that replace a token by a fresh one.`},
		{Key: "identity.first_message.enabled", value: toggle(&o.FirstMessage.Enabled, false), Live: true, Doc: `
Let clients connect without a token if their first request has it. Otherwise they are refused with 401.`},
		{Key: "identity.first_message.timeout", value: duration(&o.FirstMessage.Timeout, 5*time.Second, 100*time.Millisecond), Live: true, Doc: `
How long that request may take to come.`},
		{Key: "identity.first_message.max", value: number(&o.FirstMessage.Max, 256, 1, 1<<20), Live: true, Doc: `
How many connections there may be that have not said yet who they are. More are refused with 503.`},
		{Key: "identity.first_message.max_per_address", value: number(&o.FirstMessage.MaxPerAddress, 16, 1, 1<<20), Live: true, Doc: `
How many of them from one IP address, or from one /64 network of IPv6. More are refused with 429.`},

		{Key: "identity.jwt.keys", value: dynamic(file(&o.JWT.Keys, "a file with public keys or a secret")), Live: true, Doc: `
The keys that tokens are signed with: public keys or certificates in PEM, a JWK, a JWKS, or a secret, which is then all of the file. SIGHUP reads it again.`},
		{Key: "identity.jwt.secret", value: checked(text(&o.JWT.Secret, "", "a secret of at least 32 bytes"), isLongSecret), Secret: true, Live: true, Doc: `
The secret that tokens are signed with (HS256, HS384, HS512), instead of keys in a file.`},
		{Key: "identity.jwt.jwks_url", value: checked(text(&o.JWT.URL, "", expectsURL), isSafeURL), Live: true, Doc: `
Where the public keys are published as a JWKS, instead of keys in a file.`},
		{Key: "identity.jwt.jwks_refresh", value: duration(&o.JWT.Refresh, 15*time.Minute, 10*time.Second), Live: true, Doc: `
How often they are fetched. A token with a key that is not known fetches them as well, once in 10s at most.`},
		{Key: "identity.jwt.issuer", value: text(&o.JWT.Issuer, "", "a text"), Live: true, Doc: `
The claim iss that tokens must have. Empty takes any.`},
		{Key: "identity.jwt.audience", value: list(&o.JWT.Audience, "texts", func(string) bool { return true }), Live: true, Doc: `
The claim aud of a token must have one of these. Without any it is not looked at.`},
		{Key: "identity.jwt.leeway", value: upTo(duration(&o.JWT.Leeway, 30*time.Second, 0), &o.JWT.Leeway, 10*time.Minute), Live: true, Doc: `
How far the clocks of those who make tokens may differ from ours.`},
		{Key: "identity.jwt.require_expiry", value: toggle(&o.JWT.RequireExpiry, true), Live: true, Doc: `
Refuse tokens without the claim exp.`},
		{Key: "identity.jwt.username", value: checked(text(&o.JWT.Username, "sub", expectsClaim), identity.ValidClaimPath), Live: true, Doc: `
The claim that is the username. A dot leads into an object.`},
		{Key: "identity.jwt.uuid", value: checked(text(&o.JWT.UUID, "", expectsClaim+", or nothing"), isOptionalClaim), Live: true, Doc: `
The claim that is the uuid. Without it, clients say themselves which device they are, with ?uuid=, so that a token is good for all devices of its user.`},
		{Key: "identity.jwt.data", value: checked(text(&o.JWT.Data, "", expectsClaim+", or nothing"), isOptionalClaim), Live: true, Doc: `
The claim, an object, whose fields become the peer's data, which modules see.`},

		{Key: "identity.static.users", value: list(&o.Static.Users, "NAME:SECRET with a secret of at least 8 bytes", identity.ValidUser), Secret: true, Live: true, Doc: `
The users that there are, for trials. A user's secret is the token, or the password of HTTP's Basic scheme.`},

		{Key: "identity.http.url", value: checked(text(&o.HTTP.URL, "", expectsURL), isSafeURL), Live: true, Doc: `
The back end that is asked who a client is, by POST.`},
		{Key: "identity.http.secret", value: checked(text(&o.HTTP.Secret, "", "whsec_ followed by 24 to 64 bytes in base64"), isOptionalHookSecret), Secret: true, Live: true, Doc: `
What the calls are signed with, as Standard Webhooks has it. Without it they are not signed.`},
		{Key: "identity.http.timeout", value: duration(&o.HTTP.Timeout, 3*time.Second, 10*time.Millisecond), Live: true, Doc: `
How long a call may take. Then the client is refused with 503.`},
		{Key: "identity.http.concurrency", value: number(&o.HTTP.Concurrency, 64, 1, 4096), Live: true, Doc: `
How many calls there may be at a time. More wait, as long as the timeout allows.`},
		{Key: "identity.http.failures", value: number(&o.HTTP.Failures, 10, 1, 1000), Live: true, Doc: `
How many calls have to fail in a row for the back end to be left alone for a while. All clients are refused with 503 meanwhile.`},
		{Key: "identity.http.pause", value: duration(&o.HTTP.Pause, 5*time.Second, 100*time.Millisecond), Live: true, Doc: `
How long that is.`},

		{Key: "identity.revocations.max", value: number(&o.Revocations.Max, 10000, 1, 1<<24), Live: true, Doc: `
How many revocations there may be. More are refused; none is forgotten for another.`},
		{Key: "identity.revocations.life", value: duration(&o.Revocations.Life, 24*time.Hour, time.Minute), Live: true, Doc: `
How long a revocation lasts that does not say so: as long as the tokens do.`},

		{Key: "origins", value: list(&c.Origins, "origins such as https://example.com, https://*.example.com or *", isOrigin), Doc: `
The origins that pages may connect from, over WebSocket and over WebTransport, beside the server's own host: https://example.com,
https://*.example.com, *.example.com for any scheme, or * for all.`},
	}
}

const (
	expectsURL   = "a URL that begins with https://, or with http:// and is on this machine"
	expectsClaim = "a claim such as sub or protoo.device"
)

func isSafeURL(s string) bool            { return s == "" || identity.ValidURL(s) }
func isLongSecret(s string) bool         { return s == "" || len(s) >= 32 }
func isOptionalClaim(s string) bool      { return s == "" || identity.ValidClaimPath(s) }
func isOptionalHookSecret(s string) bool { return s == "" || webhook.ValidSecret(s) }

func isParameter(s string) bool { return len(s) <= 64 && parameter.MatchString(s) }
func isPlainPath(s string) bool { return len(s) <= 256 && plainPath.MatchString(s) }

var (
	parameter = regexp.MustCompile(`^[A-Za-z0-9_.-]*$`)
	plainPath = regexp.MustCompile(`^(/[A-Za-z0-9_.~-]+)+$`)
)

// dynamic is a file that may come and go with a reload.
func dynamic(v value) value {
	v.dynamic = true
	return v
}

// checkIdentity finds out whether there is what the type of identity needs.
func (c *Config) checkIdentity() Mistakes {
	var mistakes Mistakes
	wrong := func(key, problem string) { mistakes = append(mistakes, c.Mistake(key, problem)) }
	o := &c.Identity
	switch o.Type {
	case "jwt":
		var set []string
		for _, s := range c.settings {
			if slices.Contains([]string{"identity.jwt.keys", "identity.jwt.secret", "identity.jwt.jwks_url"}, s.Key) && s.show() != "" {
				set = append(set, s.Key)
			}
		}
		switch len(set) {
		case 0:
			wrong("identity.type", "is jwt, but there are no keys: set identity.jwt.keys, identity.jwt.secret or identity.jwt.jwks_url")
		case 1:
		default:
			wrong(set[1], "is set, and so is "+set[0]+": the keys are in one place")
		}
	case "static":
		if len(o.Static.Users) == 0 {
			wrong("identity.type", "is static, but identity.static.users is empty")
		}
	case "http":
		if o.HTTP.URL == "" {
			wrong("identity.type", "is http, but identity.http.url is not set")
		}
	}
	if o.Query != "" && strings.EqualFold(o.Query, "uuid") {
		wrong("identity.query", "is uuid, which is the parameter for the device")
	}
	return mistakes
}

// WorldReadable tells whether everybody on this machine can read a file, or change it.
func WorldReadable(file string) bool { return worldReadable(file) }
