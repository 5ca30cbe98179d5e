package config

import (
	"fmt"
	"strings"
	"time"
)

// Drain says how the server ends.
type Drain struct {
	Delay          time.Duration // before it accepts no more
	Window         time.Duration // over which clients are closed
	RequestTimeout time.Duration // for the requests of a client, when it is its turn
	ReconnectAfter time.Duration // that clients are asked to wait
	Timeout        time.Duration // for all of it
}

// Listen says how sockets are opened.
type Listen struct {
	ReusePort bool
}

// closing is about what the last clients and the transports need behind the window, to say goodbye.
const closing = time.Second

func (c *Config) drainTable() []*Setting {
	const minute, hour = time.Minute, time.Hour
	return []*Setting{
		{Key: "drain.delay", value: upTo(duration(&c.Drain.Delay, 0, 0), &c.Drain.Delay, hour), Live: true, Doc: `
How long a server that was told to end (SIGTERM) goes on as before, but for /readyz, which answers 503: a load balancer needs some seconds to learn of it.`},
		{Key: "drain.window", value: upTo(duration(&c.Drain.Window, 10*time.Second, 0), &c.Drain.Window, hour), Live: true, Doc: `
Over how much time clients are then closed, evenly, with 1012, so that they come back at an even rate. A server with fewer than 50 clients a second of it takes less.`},
		{Key: "drain.request_timeout", value: upTo(duration(&c.Drain.RequestTimeout, 5*time.Second, 0), &c.Drain.RequestTimeout, hour), Live: true, Doc: `
How long the requests of a client, and those that it has yet to answer, may take to end when it is its turn. Those that take longer end with 503.`},
		{Key: "drain.reconnect_after", value: upTo(duration(&c.Drain.ReconnectAfter, 0, 0), &c.Drain.ReconnectAfter, minute-time.Second), Live: true, Doc: `
How long closed clients are asked to wait before they come back, besides up to a second at random. Where no other server takes them
meanwhile, that is drain.window and what the next one needs to start.`},
		{Key: "drain.timeout", value: duration(&c.Drain.Timeout, 25*time.Second, 0), Live: true, Doc: `
How long all of it may take. Then what is left is cut off. Whoever ends the process, such as systemd or Kubernetes, has to wait longer.`},
		{Key: "listen.reuse_port", value: toggle(&c.Listen.ReusePort, false), Doc: `
Let another protoo-edge of the same user listen at the same TCP addresses (SO_REUSEPORT), so that a new one can start before the old one ends. Both need it. Not
on Windows.`},
	}
}

// upTo bounds a duration from above, too.
func upTo(v value, field *time.Duration, most time.Duration) value {
	parse := v.parse
	v.expects = strings.Replace(v.expects, "a year", formatDuration(most), 1)
	v.parse = func(s string) bool { return parse(s) && *field <= most }
	return v
}

// checkDrain finds out whether there is time for all of it.
func (c *Config) checkDrain() Mistakes {
	d := &c.Drain
	if needed := d.Delay + d.Window + d.RequestTimeout + closing; d.Timeout > 0 && d.Timeout < needed {
		return Mistakes{c.Mistake("drain.timeout", fmt.Sprintf("is %v; drain.delay, drain.window and drain.request_timeout need %v with a second to say goodbye",
			d.Timeout, needed))}
	}
	return nil
}
