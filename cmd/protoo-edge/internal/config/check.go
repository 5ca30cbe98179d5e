package config

import (
	"io/fs"
	"os"
	"runtime"
	"slices"
)

// Mistake returns a mistake about the value of a setting.
func (c *Config) Mistake(key, problem string) Mistake {
	return Mistake{c.find(key).Origin, key, problem}
}

// check finds values that are right each by itself and do not go together.
func (c *Config) check() Mistakes {
	var mistakes Mistakes
	wrong := func(key, problem string) { mistakes = append(mistakes, c.Mistake(key, problem)) }

	t := &c.TLS
	acme := len(t.ACME.Domains) > 0
	switch {
	case c.Addr == "" && t.Addr == "":
		wrong("addr", "is off, and so is tls.addr: there is nothing to listen on")
	case c.Addr == t.Addr && !anyPort(c.Addr):
		wrong("tls.addr", "is the same as addr; each needs an address of its own")
	}
	switch {
	case t.Cert != "" && t.Key == "":
		wrong("tls.cert", "is set, but tls.key is not")
	case t.Cert == "" && t.Key != "":
		wrong("tls.key", "is set, but tls.cert is not")
	case t.Cert != "" && acme:
		wrong("tls.acme.domains", "is set, and so is tls.cert: the certificate is either in a file or fetched")
	case (t.Cert != "" || acme) && t.Addr == "":
		key := "tls.cert"
		if acme {
			key = "tls.acme.domains"
		}
		wrong(key, "is set, but tls.addr is off; :443 is the usual address")
	}
	if c.WebTransport.Addr != "" && !c.WebTransport.Enabled {
		wrong("webtransport.addr", "is set, but webtransport.enabled is false")
	}
	if acme {
		if !t.ACME.AcceptTerms {
			wrong("tls.acme.accept_terms", "must be true: whoever fetches certificates agrees to the terms of the authority, "+t.ACME.Directory+" names them")
		}
		if t.ACME.Cache == "" {
			wrong("tls.acme.cache", "must name a directory that outlives the process")
		}
		if (t.ACME.KeyID == "") != (t.ACME.Key == "") {
			wrong("tls.acme.eab_key_id", "and tls.acme.eab_key go together; one of them is not set")
		}
	}
	if c.Identity.Type == "wasm" && !slices.ContainsFunc(c.Middleware, func(m *Middleware) bool { return m.Wasm.Connect }) {
		wrong("identity.type", "is wasm, but no module decides who may connect; one in middleware needs connect: true")
	}
	mistakes = append(mistakes, c.checkLimits()...)
	mistakes = append(mistakes, c.checkDrain()...)
	mistakes = append(mistakes, c.checkAPI()...)
	mistakes = append(mistakes, c.checkIdentity()...)
	if c.Env == Production {
		mistakes = append(mistakes, c.checkProduction()...)
	}
	return mistakes
}

func (c *Config) checkProduction() Mistakes {
	var mistakes Mistakes
	wrong := func(key, problem string) { mistakes = append(mistakes, c.Mistake(key, problem)) }
	if c.Identity.Type == "development" {
		wrong("identity.type", "development is refused in production: clients would be whoever they say they are")
	}
	if c.TLS.Addr != "" && c.TLS.Cert == "" && len(c.TLS.ACME.Domains) == 0 {
		wrong("tls.addr", "a self-made certificate is refused in production: set tls.cert and tls.key, or tls.acme.domains")
	}
	if c.TLS.Key != "" && worldReadable(c.TLS.Key) {
		wrong("tls.key", "everybody on this machine can read it, which is refused in production: chmod o-rwx "+c.TLS.Key)
	}
	for _, s := range c.settings {
		if s.Secret && s.Origin.File != "" && worldReadable(s.Origin.File) {
			wrong(s.Key, "everybody on this machine can read it here, which is refused in production: chmod o-rwx "+s.Origin.File)
			break
		}
	}
	return mistakes
}

// worldReadable is about Unix permissions, which Windows makes up.
func worldReadable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && runtime.GOOS != "windows" && info.Mode()&fs.FileMode(0o007) != 0
}

// anyPort tells whether two listeners can have the same address.
func anyPort(addr string) bool { return len(addr) > 2 && addr[len(addr)-2:] == ":0" }
