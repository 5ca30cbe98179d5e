package config

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/api"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/webhook"
)

// API is what can be chosen about the server API.
type API struct {
	Addr              string // host:port, "" when it is off
	Key               string // that may do everything, "" if there is none
	Keys              []*APIKey
	MaxBody, MaxCalls int
	MaxWait           time.Duration
	TLS               struct{ Cert, Key string } // files; "" when it is not encrypted
}

// An APIKey is an entry of the list of keys.
type APIKey struct {
	Name   string
	SHA256 string // of the key, in hex
	Allow  []string

	key    string // as it is given, "" when only its hash is
	origin Origin
}

// Webhooks is what can be chosen about who is told what, and how calls to other servers are signed.
type Webhooks struct {
	URLs, Events, Secrets        []string
	Timeout                      time.Duration
	Attempts, Queue, Concurrency int
}

// HTTPForward is what can be chosen about a server that answers requests.
type HTTPForward struct {
	URL                    string
	Timeout                time.Duration
	Concurrency, MaxAnswer int
}

const minAPIKey = 20 // characters; nobody guesses as many that were chosen by chance

func (c *Config) apiTable() []*Setting {
	a, w := &c.API, &c.Webhooks
	secrets := list(&w.Secrets, "up to "+strconv.Itoa(webhook.MaxSecrets)+" secrets, each whsec_ and 24 to 64 bytes in base64", webhook.ValidSecret)
	secrets.list = nil // so that it is shown as one masked text
	events := list(&w.Events, "events: "+strings.Join(webhook.EventNames, ", "), func(s string) bool { return slices.Contains(webhook.EventNames, s) })
	w.Events = slices.Clone(webhook.EventNames)
	return []*Setting{
		{Key: "api.addr", value: address(&a.Addr, ""), Doc: `
Serve the API for back ends here: they send requests to peers, disconnect them and ask who is online. It needs a key.`},
		{Key: "api.key", value: checked(text(&a.Key, "", "at least "+strconv.Itoa(minAPIKey)+" characters without spaces"), func(s string) bool { return s == "" || isAPIKey(s) }), Secret: true, Live: true, Doc: `
A key for the API that may do everything.`},
		{Key: "api.keys", value: c.apiKeys(), Secret: true, Live: true, Doc: `
More keys for the API. Of each there is either the key or its SHA-256 in hexadecimal digits, and perhaps a list of the
operations that it allows: ` + strings.Join(api.Operations(), ", ") + `.`},
		{Key: "api.max_body", value: size(&a.MaxBody, 256<<10, 1<<10, 64*mebibyte), Doc: `
How much a call may have.`},
		{Key: "api.max_calls", value: number(&a.MaxCalls, 256, 1, 65536), Doc: `
How many calls there may be at a time. More get 503.`},
		{Key: "api.max_wait", value: duration(&a.MaxWait, 2*time.Minute, time.Millisecond), Doc: `
How long a call may wait for the answers of peers.`},
		{Key: "api.tls.cert", value: file(&a.TLS.Cert, "a file with a certificate and its chain, in PEM"), Doc: `
The certificate of the API with its chain, in PEM. It is loaded again when it changes. Without it the API is not
encrypted, which in production is refused unless api.addr is a loopback address.`},
		{Key: "api.tls.key", value: file(&a.TLS.Key, "a file with the certificate's private key, in PEM"), Doc: `
The certificate's private key, in PEM.`},

		{Key: "webhooks.urls", value: list(&w.URLs, "URLs such as https://example.com/hooks", webhook.ValidURL), Doc: `
Tell these of events, each of all of them, with a POST that is signed as Standard Webhooks has it.`},
		{Key: "webhooks.events", value: events, Doc: `
What they are told of.`},
		{Key: "webhooks.secrets", value: secrets, Secret: true, Live: true, Doc: `
What calls to other servers are signed with, also those of the middleware http. Two secrets are for the time in which
the receivers replace one by the other.`},
		{Key: "webhooks.timeout", value: duration(&w.Timeout, 10*time.Second, time.Millisecond), Doc: `
How long a receiver may take to answer.`},
		{Key: "webhooks.attempts", value: number(&w.Attempts, 8, 1, 32), Doc: `
How often it is tried to tell of an event, after 1s, 2s, 4s and so on, up to a minute.`},
		{Key: "webhooks.queue", value: number(&w.Queue, 10_000, 1, 10_000_000), Doc: `
How many events may wait for a receiver. More are lost, of which it is told.`},
		{Key: "webhooks.concurrency", value: number(&w.Concurrency, 4, 1, 1024), Doc: `
How many calls to one receiver there may be at a time.`},
	}
}

func isAPIKey(s string) bool {
	return len(s) >= minAPIKey && len(s) <= 256 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// apiKeyName leaves out what would need quotes in a log.
var apiKeyName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (k *APIKey) table() []*Setting {
	allow := list(&k.Allow, "operations: "+strings.Join(api.Operations(), ", "), func(s string) bool { return slices.Contains(api.Operations(), s) })
	return []*Setting{
		{Key: "name", value: checked(text(&k.Name, "", "1 to 64 characters of A-Z a-z 0-9 _ . -"), apiKeyName.MatchString)},
		{Key: "key", value: checked(text(&k.key, "", "at least "+strconv.Itoa(minAPIKey)+" characters without spaces"), isAPIKey), Secret: true},
		{Key: "sha256", value: checked(text(&k.SHA256, "", "64 hexadecimal digits"), isSHA256), Secret: true}, // somebody may write the key there
		{Key: "allow", value: allow},
	}
}

// apiKeys is the list of keys. It is shown with their hashes, which say the same and are no secrets.
func (c *Config) apiKeys() value {
	v := value{
		kind:    "list",
		expects: "a list of entries such as {name: billing, sha256: 64 hexadecimal digits, allow: [send]}",
		show: func() string {
			var b strings.Builder
			for _, k := range c.API.Keys {
				b.WriteString("    - name: " + k.Name + "\n      sha256: " + k.SHA256 + "\n")
				if len(k.Allow) > 0 {
					b.WriteString("      allow: [" + strings.Join(k.Allow, ", ") + "]\n")
				}
			}
			return b.String()
		},
		setNode: func(n *node, r *reader, key string) {
			c.API.Keys = nil
			for i, item := range n.items {
				if k := r.apiKey(item, key+"["+strconv.Itoa(i)+"]"); k != nil {
					c.API.Keys = append(c.API.Keys, k)
				}
			}
		},
	}
	v.parse = func(shown string) bool { // of another configuration, by a reload
		r := new(reader)
		root, mistakes := parseYAML([]byte("keys:\n" + shown))
		if len(mistakes) > 0 {
			return false
		}
		v.setNode(root.pairs[0].value, r, "api.keys")
		return len(r.mistakes) == 0
	}
	return v
}

func (r *reader) apiKey(n *node, key string) *APIKey {
	if n.kind != mapping {
		r.mistake(n, key, "expected an entry such as {name: billing, sha256: 64 hexadecimal digits}")
		return nil
	}
	k := &APIKey{origin: r.origin(n)}
	before := len(r.mistakes)
	r.section(n, key+".", k.table())
	switch {
	case len(r.mistakes) > before:
		return nil
	case k.Name == "":
		r.mistake(n, key+".name", "missing; it is what the log says")
	case (k.key == "") == (k.SHA256 == ""):
		r.mistake(n, key+".key", "expected either key or sha256")
	case k.key != "":
		hash := sha256.Sum256([]byte(k.key))
		k.SHA256 = hex.EncodeToString(hash[:])
	}
	k.SHA256 = strings.ToLower(k.SHA256)
	return k
}

// APIKeys returns all keys of the API as it takes them.
func (c *Config) APIKeys() []api.Key {
	var keys []api.Key
	if c.API.Key != "" {
		keys = append(keys, api.Key{Name: "default", Hash: api.Hash(c.API.Key)})
	}
	for _, k := range c.API.Keys {
		next := api.Key{Name: k.Name, Allow: k.Allow}
		if n, err := hex.Decode(next.Hash[:], []byte(k.SHA256)); err == nil && n == len(next.Hash) {
			keys = append(keys, next)
		}
	}
	return keys
}

// httpTable is what can be chosen about the middleware http.
func (m *Middleware) httpTable() []*Setting {
	h := &m.HTTP
	return []*Setting{
		m.path("/"),
		{Key: "url", value: checked(text(&h.URL, "", "a URL such as https://example.com/requests"), webhook.ValidURL)},
		{Key: "timeout", value: duration(&h.Timeout, 5*time.Second, time.Millisecond)},
		{Key: "concurrency", value: number(&h.Concurrency, 64, 1, 65536)},
		{Key: "max_answer", value: size(&h.MaxAnswer, 64<<10, 1<<10, 64*mebibyte)},
	}
}

// OnLoopback tells whether an address to listen on can be reached from this machine only.
func OnLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (c *Config) checkAPI() Mistakes {
	var mistakes Mistakes
	wrong := func(key, problem string) { mistakes = append(mistakes, c.Mistake(key, problem)) }
	a := &c.API
	if a.Addr != "" {
		if a.Key == "" && len(a.Keys) == 0 {
			wrong("api.addr", "is set, but there is no key: set api.key or api.keys")
		}
		for _, other := range []struct{ key, addr string }{{"addr", c.Addr}, {"tls.addr", c.TLS.Addr}, {"internal.addr", c.Internal.Addr}} {
			if a.Addr == other.addr && !anyPort(a.Addr) {
				wrong("api.addr", "is the same as "+other.key+"; each needs an address of its own")
			}
		}
		if c.Env == Production && a.TLS.Cert == "" && !OnLoopback(a.Addr) {
			wrong("api.addr", "an API that is not encrypted is refused in production, unless it is on a loopback address: set api.tls.cert and api.tls.key")
		}
	}
	seen := make(map[string]bool)
	for _, k := range a.Keys {
		if seen[k.Name] {
			mistakes = append(mistakes, Mistake{k.origin, "api.keys", "two keys have the name " + k.Name})
		}
		seen[k.Name] = true
	}
	switch {
	case a.TLS.Cert != "" && a.TLS.Key == "":
		wrong("api.tls.cert", "is set, but api.tls.key is not")
	case a.TLS.Cert == "" && a.TLS.Key != "":
		wrong("api.tls.key", "is set, but api.tls.cert is not")
	}
	if c.Env == Production && a.TLS.Key != "" && worldReadable(a.TLS.Key) {
		wrong("api.tls.key", "everybody on this machine can read it, which is refused in production: chmod o-rwx "+a.TLS.Key)
	}
	if len(c.Webhooks.Secrets) > webhook.MaxSecrets {
		wrong("webhooks.secrets", strconv.Itoa(len(c.Webhooks.Secrets))+" secrets, at most "+strconv.Itoa(webhook.MaxSecrets)+" are in use at a time")
	}
	const unsigned = "what is sent has to be signed: set webhooks.secrets, to whsec_ and what openssl rand -base64 32 prints"
	if len(c.Webhooks.Secrets) == 0 {
		if len(c.Webhooks.URLs) > 0 {
			wrong("webhooks.urls", unsigned)
		}
		for i, m := range c.Middleware {
			if m.Use == "http" {
				mistakes = append(mistakes, Mistake{m.Origin, "middleware[" + strconv.Itoa(i) + "]", unsigned})
			}
		}
	}
	return mistakes
}
