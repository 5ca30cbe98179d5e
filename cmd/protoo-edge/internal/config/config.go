// Package config holds what an operator can choose about protoo-edge: one table of settings, in
// settings.go, from which the file, the environment, the flags, their documentation and their checks all come.
//
// To add a setting, add a field to [Config] and a row to its table. Nothing else lists settings: the row makes the
// key of the file, PROTOO_KEY, --key, the help, "print" and "check" know of it. A row that is Live promises that the
// program applies the field again after every [Config.Apply].
package config

import (
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/identity"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/limits"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/proxies"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/websocket"
	"github.com/protoo-go/protoo/transports/webtransport"
)

// Production is the value of Config.Env that allows nothing that is only for development.
const Production = "production"

// Config is everything that can be chosen about serving. The options of the packages that it is made of are their own types, so
// that nothing has to be copied; what finish adds to them is said there.
type Config struct {
	Env  string
	Addr string // host:port for plain HTTP, "" when it is off
	Page bool

	Identity identity.Options
	Origins  []string // that pages may connect from, whatever the transport

	Log struct{ Level, Format string }

	TLS TLS

	HTTP struct {
		ReadHeaderTimeout, ReadTimeout, WriteTimeout, IdleTimeout time.Duration
		MaxHeader                                                 int
	}

	WebSocket   websocket.Options
	compress    bool
	compression websocket.Compression

	WebTransport struct {
		Enabled bool
		Addr    string // host:port, "" for that of TLS or, without it, for Config.Addr
		webtransport.Options
	}

	Core           core.Options
	timeout        time.Duration
	sessionTimeout time.Duration
	whenSlow       string

	Middleware []*Middleware

	// Wasm is what the WebAssembly modules among the middleware have in common.
	Wasm struct {
		Cache         string   // a directory for compiled modules, "" to keep them in memory
		PublicKeys    []string // Ed25519, in base64; one of them has to have signed each module, if there are any
		CheckInterval time.Duration
	}

	Internal struct{ Addr string } // host:port for operators, "" when it is off

	Memory struct {
		GCPercent       int
		ReleaseWhenIdle bool
	}

	Limits  limits.Options
	Proxies proxies.Options

	Drain  Drain
	Listen Listen

	Tracing Tracing

	API      API
	Webhooks Webhooks

	// File is the file that was read, "" if there was none.
	File string

	settings []*Setting
}

// TLS says where connections are encrypted, and with which certificate: Cert and Key name files, ACME
// fetches one. At most one of both is set; when none is, the certificate is self-made.
type TLS struct {
	Addr       string // host:port, "" when it is off
	Cert, Key  string
	MinVersion string // "1.2" or "1.3"
	ACME       ACME
}

// ACME fetches certificates for Domains (RFC 8555); it is off when there are none.
type ACME struct {
	Domains     []string
	Email       string
	Cache       string
	Directory   string
	AcceptTerms bool
	KeyID, Key  string // of an external account
}

// New returns a configuration in which every setting has its default.
func New() *Config {
	c := new(Config)
	c.settings = c.table()
	c.finish()
	return c
}

// Settings returns the settings in the order of their documentation.
func (c *Config) Settings() []*Setting { return c.settings }

// finish derives the fields that are not settings themselves.
func (c *Config) finish() {
	c.WebSocket.Origins, c.WebTransport.Origins = c.Origins, c.Origins
	c.WebSocket.Compression = nil
	if c.compress {
		c.WebSocket.Compression = &c.compression
	}
	timeout, sessionTimeout := c.timeout, c.sessionTimeout
	c.Core.Timeout = func(method string) time.Duration {
		if method == "session" {
			return sessionTimeout
		}
		return timeout
	}
	c.Core.Env = c.Env
	c.Core.DropWhenSlow = c.whenSlow == "drop"
}

// find returns the setting with a key, which must exist.
func (c *Config) find(key string) *Setting { return find(c.settings, key) }

func find(settings []*Setting, key string) *Setting {
	for _, s := range settings {
		if s.Key == key {
			return s
		}
	}
	panic("config: no setting " + key)
}
