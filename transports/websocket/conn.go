package websocket

import (
	"cmp"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/internal/keeper"
	"github.com/protoo-go/protoo/transports/internal/wire"
)

// A Conn is one WebSocket connection. It implements [core.Conn].
type Conn struct {
	config *config
	addr   netip.AddrPort // of the other side
	link   *core.Link     // nil until the peer is connected
	loop   *core.Loop     // runs the reading

	// Of the goroutine that reads.
	dec  decoder
	deaf bool // what comes is thrown away

	// active is set when bytes arrive and cleared by the keeper, which closes
	// connections that stay silent. partial is the keeper's time at which an incomplete message began, or 0.
	active  atomic.Bool
	partial atomic.Uint32

	mu       sync.Mutex
	socket   socket       // nil until the handshake is over; what is sent before waits in out
	out      *wire.Buffer // frames to be written, nil when there are none
	written  int          // bytes at the front of out that have been
	state    state
	corked   bool   // the reading goroutine will flush when it has handled what it has read
	paused   bool   // reading, by the link
	resumed  bool   // before paused was set
	pinged   bool   // and nothing has come since
	reported bool   // to the link, that the connection has ended
	observed bool   // that it was opened
	ours     bool   // the code is
	code     uint16 // of the first close
	expiry   *time.Timer

	place keeper.Place // of the keeper
	from  *guest       // of the gate
}

type state uint8

const (
	open    state = iota
	closing       // a close frame has been sent, or is in out
	closed        // the socket is closed
)

// A socket is what a connection writes to and reads from. Its methods are called with the
// connection's lock held.
type socket interface {
	// flush writes the connection's out, now or as soon as the network takes it, and
	// shuts the sending side down after it when the connection is closing. It does not wait.
	flush()
	// uncork is flush for the goroutine that reads, which may wait. It unlocks the connection.
	uncork()
	// drop closes the socket at once.
	drop()
	// pause and resume stop and restart the reading.
	pause()
	resume()
	// backlog returns the bytes that flush has taken and not yet written.
	backlog() int
}

// Send queues a text message, and writes it at once if nothing is in its way.
func (c *Conn) Send(msg []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != open {
		return core.ErrClosed
	}
	return c.send(ws.OpText, msg)
}

// send is Send for any frame. c.mu is held.
func (c *Conn) send(op ws.OpCode, payload []byte) error {
	if !c.room(len(payload), c.config.queueSize) {
		return core.ErrSlow
	}
	if d := c.dec.deflate; d != nil && op == ws.OpText && len(payload) >= d.threshold {
		small := wire.GetBuffer()
		defer small.Put()
		d.compress(small, payload)
		op, payload = op|rsv1, small.B
	}
	c.borrow()
	c.out.B = appendFrame(c.out.B, op, payload, c.config.client)
	if !c.corked || len(c.out.B) >= corkSize {
		c.flush()
	}
	return nil
}

// corkSize is how much is collected while the connection is corked.
const corkSize = 64 << 10

// room tells whether n more bytes can be queued without going beyond limit.
func (c *Conn) room(n, limit int) bool {
	if c.corked && c.queued()+n > limit {
		c.flush() // perhaps it is not the peer that is slow: what is corked has not been tried yet
	}
	return c.queued()+n <= limit
}

func (c *Conn) queued() int {
	n := 0
	if c.socket != nil {
		n = c.socket.backlog()
	}
	if c.out != nil {
		n += len(c.out.B) - c.written
	}
	return n
}

// flush writes what there is to write, as soon as there is something to write it to.
func (c *Conn) flush() {
	if c.socket != nil {
		c.socket.flush()
	}
}

func (c *Conn) borrow() {
	if c.out == nil {
		c.out, c.written = wire.GetBuffer(), 0
	}
}

// Close sends a close frame behind what is queued. The connection ends when the other side
// has answered it, or after the close timeout. A code of 0 means none. It fails if the code may not be sent (RFC 6455, section 7.4).
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

// closeWith begins the end that this side wants. c.mu is held.
func (c *Conn) closeWith(code int, reason string) {
	if c.state == open {
		c.ours = true
	}
	c.close(code, reason, code, reason)
}

// close begins the end: the close frame says code and reason, the link is told linkCode and linkReason. c.mu is held.
func (c *Conn) close(code int, reason string, linkCode int, linkReason string) {
	if c.state != open {
		return
	}
	c.code = uint16(linkCode)
	c.state = closing
	c.borrow()
	c.out.B = appendClose(c.out.B, code, reason, c.config.client)
	c.report(linkCode, linkReason) // first: the connection may turn out to be lost
	c.flush()
	if c.paused && c.state == closing {
		c.paused = false
		c.socket.resume() // or the answer would not be read
	}
	if c.state == closing {
		c.expiry = time.AfterFunc(c.config.closeTimeout, c.abort)
	}
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

// abort drops the connection without another word.
func (c *Conn) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end()
}

// end is abort with c.mu held.
func (c *Conn) end() {
	if c.state == closed {
		return
	}
	if c.state == open {
		c.code = core.CloseAbnormal
	}
	c.state = closed
	if c.socket != nil {
		c.socket.drop()
	}
	if c.out != nil {
		c.out.Put()
		c.out = nil
	}
	if c.expiry != nil {
		c.expiry.Stop()
	}
	c.report(core.CloseAbnormal, "connection lost")
}

// newKeeper returns what pings the connections, every 25 s by default.
func newKeeper(interval, patience time.Duration) *keeper.Keeper[Conn] {
	return keeper.New(cmp.Or(interval, 25*time.Second), patience, (*Conn).check, func(c *Conn) *keeper.Place { return &c.place })
}

func newConn(config *config) *Conn {
	c := &Conn{config: config}
	c.dec.limit, c.dec.masked = config.maxMessage, !config.client
	config.keeper.Add(c)
	return c
}

// gone is called by the goroutine that reads when the socket is closed.
func (c *Conn) gone() {
	if c.config.gate != nil {
		c.config.gate.leave(c.from)
	}
	c.config.keeper.Remove(c)
	if c.observed && c.config.observe.Closed != nil {
		c.mu.Lock()
		code, ours := int(c.code), c.ours
		c.mu.Unlock()
		c.config.observe.Closed(c.config.scheme, code, ours)
	}
}

// opened tells the observer that the connection is a peer's. Nothing reads from it yet.
func (c *Conn) opened() {
	c.observed = true
	if c.config.observe.Opened != nil {
		c.config.observe.Opened(c.config.scheme)
	}
}

// connect brings the connection's peer online, and reports whether it could.
func (c *Conn) connect(app *core.App, id core.Identity) error {
	link, err := app.Connect(id, c)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = link
	if c.state != open {
		c.report(core.CloseAbnormal, "connection lost")
	}
	return nil
}

// Resume goes on reading after the link has asked for a pause.
func (c *Conn) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.paused {
		c.resumed = true
		return
	}
	c.paused = false
	c.active.Store(true) // it was not the other side that was silent
	c.socket.resume()    // there is one: it has been read from
}

// pause reports whether reading has to stop: not if Resume has come first, or the end.
func (c *Conn) pause() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resumed || c.state != open {
		c.resumed = false
		return false
	}
	c.paused = true
	c.socket.pause()
	return true
}

// Queued returns how many bytes wait to be written.
func (c *Conn) Queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queued()
}

// String names the transport and the remote address.
func (c *Conn) String() string { return c.config.scheme + "/" + c.addr.String() }

// cork holds back what is sent until uncork, and returns the connection's state.
func (c *Conn) cork() state {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked = true
	return c.state
}

func (c *Conn) uncork() {
	c.mu.Lock()
	c.corked = false
	c.socket.uncork()
}

// verdict says how the reading goroutine goes on after consume.
type verdict uint8

const (
	more     verdict = iota // read more
	pause                   // stop reading until resume; what is left of the input is to be kept
	detached                // return at once
)

// consume handles what has been read. It keeps *input up to date, so that another
// goroutine can go on where a detached one has left off. What is sent meanwhile is written at the end, in one piece.
func (c *Conn) consume(input *[]byte) verdict {
	if !c.active.Load() {
		c.active.Store(true)
	}
	c.loop.Read()
	state := c.cork()
	if state == closed || c.deaf {
		*input = nil
	}
	for len(*input) > 0 {
		f, rest, err := c.dec.next(*input)
		*input = rest
		if err != nil {
			c.violated(err)
			c.dec.abandon()
			*input = nil
			break
		}
		if f.op != 0 && c.dec.message == 0 && c.partial.Load() != 0 {
			c.partial.Store(0) // what is incomplete from here on has begun only now
		}
		switch f.op {
		case ws.OpText, ws.OpBinary:
			if state != open {
				break // only a close frame is waited for
			}
			var flow core.Flow
			if f.op == ws.OpBinary {
				flow = c.link.ReceiveBad(c.loop, errBinary)
			} else {
				flow = c.link.Receive(c.loop, f.payload)
			}
			if flow == core.Detached {
				return detached
			}
			if flow == core.Pause && c.pause() {
				c.rest()
				return pause
			}
		case ws.OpPing:
			c.pong(f.payload)
		case ws.OpPong:
			c.ponged(f.payload)
		case ws.OpClose:
			c.closedByPeer(f.payload)
			*input = nil
		}
	}
	c.rest()
	return more
}

var errBinary = errors.New("invalid message: binary, expected text")

// rest ends consume.
func (c *Conn) rest() {
	c.dec.release()
	since := uint32(0)
	if c.dec.incomplete() {
		if since = c.partial.Load(); since == 0 {
			since = c.config.keeper.Now()
		}
	}
	if c.partial.Load() != since {
		c.partial.Store(since)
	}
	c.uncork()
}

// pong answers a ping. Answers that do not fit half of the queue are left out: the other side is not
// reading them, and messages need room, too.
func (c *Conn) pong(payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == open && c.room(len(payload), c.config.queueSize/2) {
		_ = c.send(ws.OpPong, payload)
	}
}

// epoch is what the times in pings count from.
var epoch = time.Now()

// ping asks for a sign of life. The answer repeats when that was. c.mu is held.
func (c *Conn) ping() {
	c.pinged = true
	var payload []byte
	if c.config.observe.RTT != nil {
		payload = binary.BigEndian.AppendUint64(nil, uint64(time.Since(epoch)))
	}
	_ = c.send(ws.OpPing, payload)
}

// ponged takes the answer to a ping. One that was not asked for says nothing.
func (c *Conn) ponged(payload []byte) {
	if c.config.observe.RTT == nil || len(payload) != 8 {
		return
	}
	c.mu.Lock()
	asked := c.pinged
	c.pinged = false
	c.mu.Unlock()
	took := time.Since(epoch) - time.Duration(binary.BigEndian.Uint64(payload))
	if asked && took >= 0 && took <= maxRoundTrip {
		c.config.observe.RTT(c.config.scheme, took)
	}
}

// maxRoundTrip bounds what a client can make up.
const maxRoundTrip = 10 * time.Minute

// closedByPeer answers a close frame with one of the same code.
func (c *Conn) closedByPeer(payload []byte) {
	code, reason, err := wire.ParseClose(payload)
	if err != nil {
		c.violated(err)
		return
	}
	c.deaf = true
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close(code, "", code, reason)
}

// violated closes a connection that has broken the rules. Nothing more of it is
// understood, but it is read until it ends: closing a socket with unread bytes would reset the connection,
// and the other side could not read why.
func (c *Conn) violated(err error) {
	code, reason := wire.CloseOf(err)
	c.deaf = true
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeWith(code, reason)
}

// check is the keeper's visit. A connection that has been silent since the last
// one is asked for a sign of life, one that has not answered by the next is given up.
func (c *Conn) check(now uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != open {
		return
	}
	if since := c.partial.Load(); since != 0 && now-since > c.config.keeper.Patience {
		c.closeWith(core.ClosePolicy, "message took too long")
		return
	}
	switch {
	case c.active.Swap(false):
		c.pinged = false
	case c.pinged && !c.paused: // while nothing is read, only a ping that cannot be sent says something
		c.ours = true
		c.end()
	default:
		c.ping()
	}
}
