// Package udpproxy is a network path between UDP clients and a server that tests and benchmarks can make
// lossy, slow, and changing.
package udpproxy

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Options describe a path. The zero value is a perfect one.
type Options struct {
	Loss  float64       // the part of the packets that is lost, in each direction: 0.01 is 1 %
	Delay time.Duration // of each packet, in each direction; the order is kept
}

// A Proxy forwards packets between its clients and a server. For each client it has a port of its own, as a NAT has.
type Proxy struct {
	options  Options
	server   *net.UDPAddr
	conn     *net.UDPConn // to the clients
	toServer chan packet
	toClient chan packet
	lost     atomic.Int64
	passed   atomic.Int64
	running  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	flows  map[netip.AddrPort]*flow
}

// flow is a client.
type flow struct {
	client netip.AddrPort

	mu   sync.Mutex
	conn *net.UDPConn // to the server
}

type packet struct {
	flow *flow
	due  time.Time
	data []byte
}

// queueLength is how many packets may be delayed at one time in each direction. More are lost, as in any router.
const queueLength = 4096

// New starts a proxy on 127.0.0.1 for a server, "host:port". The caller closes it.
func New(server string, o Options) (*Proxy, error) {
	addr, err := net.ResolveUDPAddr("udp", server)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		options:  o,
		server:   addr,
		conn:     conn,
		toServer: make(chan packet, queueLength),
		toClient: make(chan packet, queueLength),
		flows:    make(map[netip.AddrPort]*flow),
	}
	p.running.Go(func() {
		forward(p.toServer, func(k packet) {
			k.flow.mu.Lock()
			conn := k.flow.conn
			k.flow.mu.Unlock()
			_, _ = conn.Write(k.data) // lost if nobody listens
		})
	})
	p.running.Go(func() {
		forward(p.toClient, func(k packet) { _, _ = p.conn.WriteToUDPAddrPort(k.data, k.flow.client) })
	})
	p.running.Go(p.readClients)
	return p, nil
}

// Addr returns where clients find the proxy.
func (p *Proxy) Addr() string { return p.conn.LocalAddr().String() }

// Counts returns how many packets were passed on and how many were lost.
func (p *Proxy) Counts() (passed, lost int64) { return p.passed.Load(), p.lost.Load() }

// Rebind gives every client another port towards the server, as a NAT does that has forgotten them, or a phone that changes
// its network. What is on its way to the old ports is lost.
func (p *Proxy) Rebind() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rebind()
}

// Redirect is Rebind with another server from now on, as after a restart.
func (p *Proxy) Redirect(server string) error {
	addr, err := net.ResolveUDPAddr("udp", server)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = addr
	return p.rebind()
}

// rebind is Rebind with p.mu held.
func (p *Proxy) rebind() error {
	for _, f := range p.flows {
		conn, err := net.DialUDP("udp", nil, p.server)
		if err != nil {
			return err
		}
		f.mu.Lock()
		_ = f.conn.Close()
		f.conn = conn
		f.mu.Unlock()
		p.running.Go(func() { p.readServer(f, conn) })
	}
	return nil
}

// Close ends the proxy. What is delayed is lost.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	err := p.conn.Close()
	for _, f := range p.flows {
		f.mu.Lock()
		_ = f.conn.Close()
		f.mu.Unlock()
	}
	p.mu.Unlock()
	close(p.toServer)
	close(p.toClient)
	p.running.Wait()
	return err
}

// forward sends packets on when they are due.
func forward(packets <-chan packet, send func(packet)) {
	for k := range packets {
		if wait := time.Until(k.due); wait > 0 {
			time.Sleep(wait)
		}
		send(k)
	}
}

func (p *Proxy) readClients() {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := p.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if f := p.flow(from); f != nil {
			p.queue(p.toServer, f, buf[:n])
		}
	}
}

func (p *Proxy) readServer(f *flow, conn *net.UDPConn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		p.queue(p.toClient, f, buf[:n])
	}
}

// flow returns a client's, and makes one for a new client.
func (p *Proxy) flow(from netip.AddrPort) *flow {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.flows[from]; f != nil || p.closed {
		return f
	}
	conn, err := net.DialUDP("udp", nil, p.server)
	if err != nil {
		return nil
	}
	f := &flow{client: from, conn: conn}
	p.flows[from] = f
	p.running.Go(func() { p.readServer(f, conn) })
	return f
}

func (p *Proxy) queue(to chan<- packet, f *flow, data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	if rand.Float64() < p.options.Loss {
		p.lost.Add(1)
		return
	}
	select {
	case to <- packet{f, time.Now().Add(p.options.Delay), append([]byte(nil), data...)}:
		p.passed.Add(1)
	default:
		p.lost.Add(1)
	}
}
