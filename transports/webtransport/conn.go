package webtransport

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/internal/keeper"
	"github.com/protoo-go/protoo/transports/internal/wire"
)

// config is what the connections of a server share. A client's has no keeper: nothing but its server can harm it.
type config struct {
	client       bool
	maxMessage   int
	queueSize    int
	firstStream  time.Duration
	writeTimeout time.Duration
	closeTimeout time.Duration
	datagrams    bool
	keeper       *keeper.Keeper[Conn]
	counters     *counters
	observe      core.TransportObserver
}

// A Conn is one WebTransport session with its stream. It implements [core.Conn].
type Conn struct {
	config  *config
	session *session      // nil until the handshake is over
	link    *core.Link    // nil until the peer is connected, and when a session is only told why it is refused
	loop    *core.Loop    // runs the reading
	done    chan struct{} // closed when the connection has gone; nil on servers
	ended   func()        // called then; nil on clients

	// Of the goroutine that reads.
	dec   decoder
	buf   []byte
	input []byte // what is left of what has been read
	deaf  bool   // what comes is thrown away

	partial atomic.Uint32 // the keeper's time at which an incomplete message began, or 0

	mu       sync.Mutex
	addr     netip.AddrPort // of the other side
	stream   stream         // nil until the client has opened it; what is sent before waits in out
	out      *wire.Buffer   // frames to be written, nil when there are none
	taken    int            // bytes that are being written
	writing  bool
	writer   func() // is write; as a value, because a go statement with a method would allocate one each time
	state    state
	answered bool   // the other side has closed first
	code     int    // what we say about the end
	reason   string // the same
	corked   bool   // the reading goroutine will flush when it has handled what it has read
	paused   bool   // reading, by the link
	resumed  bool   // before paused was set
	wake     chan struct{}
	reported bool // to the link, that the connection has ended
	expiry   *time.Timer
	post     *post // datagrams to be sent; nil until there was one
	skipping bool  // datagrams that come, because the link has asked for a pause
	skipped  bool  // the same as resumed, for datagrams

	place   keeper.Place
	visitor *visitor // of the gate
	caller  *caller  // nil on clients

	observed bool // that it was opened
	ours     bool // the code is, of the first close
	ending   int  // that code
}

type state uint8

const (
	open    state = iota
	closing       // a close frame has been sent, or is in out, or cannot be sent any more
	closed        // the session is ended
)

func newConn(config *config) *Conn {
	c := &Conn{config: config}
	c.dec.limit = config.maxMessage
	c.writer = c.write
	c.loop = core.NewSoleLoop(c.run)
	if config.keeper != nil {
		config.keeper.Add(c)
	}
	return c
}

// connect brings the connection's peer online, and reports whether it could.
func (c *Conn) connect(app *core.App, id core.Identity) error {
	link, err := app.Connect(id, c)
	if err != nil {
		return err
	}
	c.setLink(link)
	return nil
}

func (c *Conn) setLink(link *core.Link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = link
	if c.state != open {
		c.report(core.CloseAbnormal, "connection lost")
	}
}

// attach gives the connection its stream.
func (c *Conn) attach(s stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stream = s
	c.buf = make([]byte, readSize)
}

// Send queues a text message, and has it written if nothing is in its way.
func (c *Conn) Send(msg []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != open {
		return core.ErrClosed
	}
	return c.send(opText, msg)
}

// send is Send for any frame. c.mu is held.
func (c *Conn) send(op opcode, payload []byte) error {
	if frameSize(len(payload)) > c.config.queueSize-c.queued() {
		return core.ErrSlow
	}
	c.borrow()
	c.out.B = appendFrame(c.out.B, op, payload)
	if !c.corked || len(c.out.B) >= corkSize {
		c.flush()
	}
	return nil
}

// corkSize is how much is collected while the connection is corked.
const corkSize = 64 << 10

func (c *Conn) queued() int {
	n := c.taken
	if c.out != nil {
		n += len(c.out.B)
	}
	return n
}

func (c *Conn) borrow() {
	if c.out == nil {
		c.out = wire.GetBuffer()
	}
}

// Close sends a close frame behind what is queued, and then ends our direction of the stream. The connection ends when
// the other side has answered, or after the close timeout. A code of 0 means none. It fails if the code may not be sent.
func (c *Conn) Close(code int, reason string) error {
	code, err := wire.CloseCode(code)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeWith(code, reason)
	return nil
}

// closeWith begins the end that this side wants. c.mu is held, as for the next three.
func (c *Conn) closeWith(code int, reason string) {
	if c.state == open {
		c.ours = true
	}
	c.close(code, reason)
}

// close begins the end.
func (c *Conn) close(code int, reason string) {
	if c.state != open {
		return
	}
	c.ending = code
	c.state = closing
	c.code, c.reason = code, reason
	c.borrow()
	c.out.B = appendClose(c.out.B, code, reason)
	c.report(code, reason) // first: the connection may turn out to be lost
	c.flush()
}

// report tells the link, once, that the connection has ended. The link must not be called with
// the lock held, and its listeners may take their time.
func (c *Conn) report(code int, reason string) {
	if c.reported || c.link == nil {
		return
	}
	c.reported = true
	go c.link.Closed(code, reason)
}

// end ends the session without waiting for anything. What it says to the other side may not arrive.
func (c *Conn) end(code int, reason string) {
	if c.state == closed {
		return
	}
	if c.state == open {
		c.code, c.reason = code, reason
	}
	if c.ending == 0 {
		c.ending = code
	}
	c.state = closed
	if c.paused {
		c.paused = false
		close(c.wake)
	}
	if c.out != nil {
		c.out.Put()
		c.out = nil
	}
	if c.expiry != nil {
		c.expiry.Stop()
	}
	c.post.discard()
	if c.session != nil {
		go c.session.kill(c.code, c.reason)
	}
	c.report(code, reason)
}

// abort drops the connection without another word.
func (c *Conn) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(core.CloseAbnormal, "connection lost")
}

// gone is called when nothing of the connection runs any more.
func (c *Conn) gone() {
	if c.config.keeper != nil {
		c.config.keeper.Remove(c)
	}
	if c.ended != nil {
		c.ended()
	}
	if c.observed && c.config.observe.Closed != nil {
		c.mu.Lock()
		code, ours := c.ending, c.ours
		c.mu.Unlock()
		c.config.observe.Closed(transportName, code, ours)
	}
	if c.done != nil {
		close(c.done)
	}
}

// opened tells the observer that the connection is a peer's. Nothing reads from it yet.
func (c *Conn) opened() {
	c.observed = true
	if c.config.observe.Opened != nil {
		c.config.observe.Opened(transportName)
	}
}

// Queued returns how many bytes wait to be written.
func (c *Conn) Queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queued()
}

// Resume goes on reading after the link has asked for a pause.
func (c *Conn) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skipping, c.skipped = false, true
	if !c.paused {
		c.resumed = true
		return
	}
	c.paused = false
	close(c.wake)
}

// pause reports whether reading has to stop: not if Resume has come first.
func (c *Conn) pause() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resumed || c.state == closed {
		c.resumed = false
		return false
	}
	c.paused = true
	c.wake = make(chan struct{})
	return true
}

// String names the transport and the remote address, which may change in the life of a connection.
func (c *Conn) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return transportName + "/" + c.addr.String()
}

func (c *Conn) kept() *keeper.Place { return &c.place }

// check is the keeper's visit.
func (c *Conn) check(now uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != open || c.session == nil {
		return
	}
	if since := c.partial.Load(); since != 0 && now-since > c.config.keeper.Patience {
		c.closeWith(core.ClosePolicy, "message took too long")
		return
	}
	if c.stream != nil && c.session.extra() {
		c.closeWith(core.CloseProtocolError, "more than one stream")
		return
	}
	if observe := c.config.observe.RTT; observe != nil && c.caller != nil {
		if took := c.caller.conn.ConnectionStats().SmoothedRTT; took > 0 {
			observe(transportName, took)
		}
	}
	addr := addrPort(c.session.RemoteAddr())
	if addr == c.addr {
		return
	}
	c.addr = addr
	c.config.counters.migrations.Add(1)
	if c.visitor != nil && !c.visitor.moved(addr.String()) {
		c.closeWith(core.CloseTryAgainLater, "too many connections from your address")
	}
}

// serve is what a server's connection does after the handshake.
func (c *Conn) serve() {
	ctx, cancel := context.WithTimeout(context.Background(), c.config.firstStream)
	defer cancel()
	s, err := c.session.AcceptStream(ctx)
	if err != nil {
		c.withoutStream(ctx, err)
		return
	}
	c.attach(s)
	if c.config.datagrams {
		c.receiveDatagrams()
	}
	c.run()
}

// withoutStream ends a session whose client has opened no stream.
func (c *Conn) withoutStream(ctx context.Context, err error) {
	code, reason := core.CloseProtocolError, "no stream in time"
	if ctx.Err() == nil {
		code, reason = c.session.verdict(err)
	}
	c.mu.Lock()
	c.ours = c.state == open && ctx.Err() != nil || c.ours
	c.close(code, reason) // has nothing to write to, but says what the session ends with
	code, reason = c.code, c.reason
	c.mu.Unlock()
	c.session.farewell(code, reason)
	c.session.wait(c.config.closeTimeout)
	c.abort()
	c.gone()
}
