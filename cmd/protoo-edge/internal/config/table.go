package config

import (
	"crypto/ed25519"
	"encoding/base64"
	"math"
	"net/mail"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

const mebibyte = 1 << 20

// table returns the settings of c and gives each its default. Where the option of a package has a default of its own, what is said here is the same.
func (c *Config) table() []*Setting {
	return slices.Concat([]*Setting{
		{Key: "env", value: choice(&c.Env, "development", Production), Common: true, Doc: `
What the server is for. In production it refuses to start with what only development should have: the development
identity, a self-made certificate, secrets in files that everybody on the machine can read. The texts of unexpected errors are kept from clients.`},
		{Key: "addr", value: address(&c.Addr, "127.0.0.1:8080"), Common: true, Doc: `
Listen here without encryption. Port 0 is any free one.`},
		{Key: "page", value: toggle(&c.Page, true), Doc: `
Serve the page at / on which people message and call each other.`},
		{Key: "grace", value: duration(&c.Core.GracePeriod, 2*time.Second, 0), Live: true, Common: true, Doc: `
How long a client that lost its connection may take to come back before it is offline.`},
		{Key: "identity.type", value: choice(&c.Identity.Type, "development", "jwt", "static", "http", "wasm"), Common: true, Doc: `
How clients say who they are. "development" believes what they put into ?username=&uuid=, "jwt" a signed token, "static" a list of users,
"http" asks a back end. Modules with connect: true are asked first, whatever it is; "wasm" refuses those about whom no module decides.`},
	}, c.identityTable(), []*Setting{
		{Key: "log.level", value: choice(&c.Log.Level, "info", "debug", "warn", "error"), Live: true, Common: true, Doc: `
Log what is of this level or above. debug shows connections.`},
		{Key: "log.format", value: choice(&c.Log.Format, "text", "json"), Doc: `
One line of key=value, or one of JSON.`},

		{Key: "tls.addr", value: address(&c.TLS.Addr, ""), Common: true, Doc: `
Listen here for TLS, beside addr or instead of it.`},
		{Key: "tls.cert", value: file(&c.TLS.Cert, "a file with a certificate and its chain, in PEM"), Live: true, Common: true, Doc: `
The certificate with its chain, in PEM. It is loaded again when it changes; no connection ends.`},
		{Key: "tls.key", value: file(&c.TLS.Key, "a file with the certificate's private key, in PEM"), Live: true, Common: true, Doc: `
The certificate's private key, in PEM.`},
		{Key: "tls.min_version", value: choice(&c.TLS.MinVersion, "1.2", "1.3"), Doc: `
The oldest version of TLS that is spoken.`},
		{Key: "tls.acme.domains", value: list(&c.TLS.ACME.Domains, "names such as edge.example.com, without wildcards", isDomain), Doc: `
Fetch certificates for these names through ACME (RFC 8555) at the start, or when a client asks for one, and renew them.
The authority must reach tls.addr on port 443 of each name, or addr on port 80.`},
		{Key: "tls.acme.accept_terms", value: toggle(&c.TLS.ACME.AcceptTerms, false), Doc: `
You agree to the terms of the authority.`},
		{Key: "tls.acme.email", value: checked(text(&c.TLS.ACME.Email, "", "an address such as ops@example.com"), isEmail), Doc: `
Where the authority writes to when something is wrong with a certificate.`},
		{Key: "tls.acme.cache", value: file(&c.TLS.ACME.Cache, "a directory"), Doc: `
The directory in which certificates and the account's key are kept. It must outlive the process: authorities limit how
often they issue.`},
		{Key: "tls.acme.directory", value: checked(text(&c.TLS.ACME.Directory, "https://acme-v02.api.letsencrypt.org/directory",
			"a URL that begins with https://"), isHTTPS), Doc: `
The authority. SSL_CERT_FILE in the environment makes it trusted if it is not known publicly.`},
		{Key: "tls.acme.eab_key_id", value: text(&c.TLS.ACME.KeyID, "", "a text"), Doc: `
The account with the authority that this one belongs to (external account binding), if the authority wants one.`},
		{Key: "tls.acme.eab_key", value: checked(text(&c.TLS.ACME.Key, "", "a key in base64url"), isBase64URL), Secret: true, Doc: `
The key of that account, as the authority gives it: in base64url.`},

		{Key: "http.read_header_timeout", value: duration(&c.HTTP.ReadHeaderTimeout, 5*time.Second, time.Millisecond), Doc: `
How long a request's header, or a TLS handshake, may take.`},
		{Key: "http.read_timeout", value: duration(&c.HTTP.ReadTimeout, 10*time.Second, time.Millisecond), Doc: `
How long a request may take. It ends with the WebSocket handshake, as the next two do.`},
		{Key: "http.write_timeout", value: duration(&c.HTTP.WriteTimeout, 10*time.Second, time.Millisecond), Doc: `
How long an answer may take.`},
		{Key: "http.idle_timeout", value: duration(&c.HTTP.IdleTimeout, time.Minute, time.Millisecond), Doc: `
How long a connection that asks for nothing is kept.`},
		{Key: "http.max_header", value: size(&c.HTTP.MaxHeader, 16<<10, 1<<10, mebibyte), Doc: `
How much the header of a request may have.`},

		{Key: "websocket.max_message", value: size(&c.WebSocket.MaxMessage, 64<<10, 1<<10, 64*mebibyte), Doc: `
How much a message may have. Longer ones close the connection with 1009.`},
		{Key: "websocket.queue_size", value: size(&c.WebSocket.QueueSize, mebibyte, 4<<10, 1<<30), Doc: `
How much may wait to be written to a client; peers.when_slow says what comes then.`},
		{Key: "websocket.ping_interval", value: duration(&c.WebSocket.PingInterval, 25*time.Second, 100*time.Millisecond), Doc: `
How often connections are looked at: one that has been silent is pinged, one that has not answered is given up.`},
		{Key: "websocket.message_timeout", value: duration(&c.WebSocket.MessageTimeout, 30*time.Second, 100*time.Millisecond), Doc: `
How long a message may take from its first byte to its last.`},
		{Key: "websocket.close_timeout", value: duration(&c.WebSocket.CloseTimeout, 5*time.Second, 100*time.Millisecond), Doc: `
How long a client may take to answer a close frame.`},
		{Key: "websocket.max_handshakes", value: limit(&c.WebSocket.MaxHandshakes, 1024, -1), Doc: `
How many clients may wait at one time for the decision whether they may connect. More are refused with 503.`},
		{Key: "websocket.compression", value: toggle(&c.compress, false), Doc: `
Offer permessage-deflate (RFC 7692).`},
		{Key: "websocket.compression_threshold", value: size(&c.compression.Threshold, 512, 1, 64*mebibyte), Doc: `
Compress messages that have at least this much.`},
		{Key: "websocket.compression_context", value: toggle(&c.compression.ContextTakeover, false), Doc: `
Let messages refer to earlier ones. It costs up to 50 KiB of memory a connection.`},
		{Key: "websocket.goroutines", value: toggle(&c.WebSocket.Goroutines, false), Doc: `
Read each connection with a goroutine of its own where events could serve it.`},

		{Key: "webtransport.enabled", value: toggle(&c.WebTransport.Enabled, true), Doc: `
Serve WebTransport, over QUIC, beside WebSocket. Without a certificate that clients trust there is a self-made one, which is for
development: pages learn its hash at /certificate-hashes.json.`},
		{Key: "webtransport.addr", value: address(&c.WebTransport.Addr, ""), Doc: `
Listen here on UDP. Without it, the address is that of tls.addr or, if that is off, of addr.`},
		{Key: "webtransport.max_message", value: size(&c.WebTransport.MaxMessage, 64<<10, 1<<10, 64*mebibyte), Doc: `
How much a message may have. Longer ones close the connection with 1009.`},
		{Key: "webtransport.queue_size", value: size(&c.WebTransport.QueueSize, mebibyte, 4<<10, 1<<30), Doc: `
How much may wait to be written to a client; peers.when_slow says what comes then.`},
		{Key: "webtransport.stream_timeout", value: duration(&c.WebTransport.StreamTimeout, 5*time.Second, 100*time.Millisecond), Doc: `
How long a client may take to open its stream.`},
		{Key: "webtransport.message_timeout", value: duration(&c.WebTransport.MessageTimeout, 30*time.Second, 100*time.Millisecond), Doc: `
How long a message may take from its first byte to its last.`},
		{Key: "webtransport.write_timeout", value: duration(&c.WebTransport.WriteTimeout, 10*time.Second, 100*time.Millisecond), Doc: `
How long a client may take to have room for what is written to it.`},
		{Key: "webtransport.close_timeout", value: duration(&c.WebTransport.CloseTimeout, time.Second, 100*time.Millisecond), Doc: `
How long a client may take to answer a close frame.`},
		{Key: "webtransport.check_interval", value: duration(&c.WebTransport.CheckInterval, 25*time.Second, 100*time.Millisecond), Doc: `
How often connections are looked at: for messages that take too long, and for a change of address.`},
		{Key: "webtransport.keep_alive", value: duration(&c.WebTransport.KeepAlive, 15*time.Second, time.Second), Doc: `
After how much silence a sign of life is exchanged, 15s at most. A connection is lost after 30s without one.`},
		{Key: "webtransport.max_connections", value: limit(&c.WebTransport.MaxConnections, 0, 0), Doc: `
How many QUIC connections there may be, those included that only ask for pages; limits.connections is for peers. More are refused.`},
		{Key: "webtransport.max_connections_per_address", value: limit(&c.WebTransport.MaxConnectionsPerAddress, 0, 0), Doc: `
How many QUIC connections there may be from one IP address, or from one /64 network of IPv6. More are refused.`},
		{Key: "webtransport.max_handshakes", value: limit(&c.WebTransport.MaxHandshakes, 1024, -1), Doc: `
How many clients may be connecting at one time. From a sixteenth of it on, they have to prove their addresses.`},
		{Key: "webtransport.datagrams", value: toggle(&c.WebTransport.Datagrams, false), Doc: `
Take and send datagrams: messages that may be lost.`},

		{Key: "peers.timeout", value: duration(&c.timeout, 10*time.Second, time.Millisecond), Doc: `
How long a client may take to answer a request.`},
		{Key: "peers.session_timeout", value: duration(&c.sessionTimeout, 2*time.Minute, time.Millisecond), Doc: `
How long it may take to answer a request with the method session: somebody has to pick up.`},
		{Key: "peers.max_requests", value: limit(&c.Core.MaxRequests, 1024, -1), Doc: `
How many requests of one client may be without their final response. More are answered with 429.`},
		{Key: "peers.max_request_bytes", value: size(&c.Core.MaxRequestBytes, mebibyte, 1, 1<<30), Doc: `
How much these requests may have together. More are answered with 429.`},
		{Key: "peers.max_transactions", value: limit(&c.Core.MaxTransactions, 16384, -1), Doc: `
How many requests one client may have yet to answer. More end with 503.`},
		{Key: "peers.max_held", value: size(&c.Core.MaxHeld, 256<<10, 1, 1<<30), Doc: `
How much is held for a client that has lost its connection and may come back.`},
		{Key: "peers.max_bad_messages", value: limit(&c.Core.MaxBadMessages, 16, -1), Doc: `
How many bad messages close a connection with 1007.`},
		{Key: "peers.when_slow", value: choice(&c.whenSlow, "close", "drop"), Doc: `
What happens to a client whose queue is full: its connection is closed with 1013, or the message that finds no room is dropped.`},

		{Key: "routing.case_sensitive", value: toggle(&c.Core.CaseSensitiveRouting, false), Doc: `
Whether /Users and /users differ.`},
		{Key: "routing.strict", value: toggle(&c.Core.StrictRouting, false), Doc: `
Whether /users/ and /users differ.`},

		{Key: "middleware", value: c.stack(), Doc: `
What requests run through, in this order. Without this list it is what is shown here; with it, what the list says.`},

		{Key: "wasm.cache", value: file(&c.Wasm.Cache, "a directory"), Doc: `
The directory in which compiled modules are kept, so that a start need not compile them. Nobody else may be able to write to
it: what is in it is run. Without it they are kept in memory.`},
		{Key: "wasm.public_keys", value: list(&c.Wasm.PublicKeys, "Ed25519 public keys, each of 32 bytes in base64", isPublicKey), Doc: `
One of these Ed25519 keys has to have signed each module. Without any, modules need not be signed.`},
		{Key: "wasm.check_interval", value: duration(&c.Wasm.CheckInterval, time.Second, 10*time.Millisecond), Doc: `
How often the files of modules are looked at. One that has changed, and then not for this long, is loaded again.`},

		{Key: "internal.addr", value: address(&c.Internal.Addr, ""), Doc: `
Serve what is for operators here, over plain HTTP and to whoever can connect: /metrics for Prometheus, /livez and /readyz, /modules, /log-level, and
profiles at /debug/pprof/. Without it nothing is counted.`},

		{Key: "memory.gc_percent", value: number(&c.Memory.GCPercent, 400, 10, 10000), Live: true, Doc: `
How much garbage there may be, in percent of what lives, before it is collected. GOGC in the environment wins.`},
		{Key: "memory.release_when_idle", value: toggle(&c.Memory.ReleaseWhenIdle, true), Doc: `
Give memory back to the system when there is nothing to do.`},
	},
		c.limitsTable(),
		c.drainTable(),
		c.observeTable(),
		c.apiTable(),
	)
}

func isOrigin(s string) bool {
	_, err := path.Match(s, "")
	return err == nil && !strings.ContainsAny(s, " \t")
}

// isDomain tells whether s is a host name with at least one dot.
func isDomain(s string) bool {
	if len(s) > 253 || !strings.Contains(s, ".") {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
			return false
		}
	}
	return true
}

func isEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	return s == "" || err == nil && a.Address == s
}

func isHTTPS(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil
}

func isBase64URL(s string) bool {
	_, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
	return err == nil
}

func isPublicKey(s string) bool {
	key, err := base64.StdEncoding.DecodeString(s)
	return err == nil && len(key) == ed25519.PublicKeySize
}

// maxFuel bounds what a module may be given for an event.
const maxFuel = math.MaxInt32
