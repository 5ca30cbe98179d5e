package webtransport

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/internal/wire"
)

// readSize is the reading goroutine's own memory. Longer messages are collected in borrowed memory.
const readSize = 2 << 10

// run reads until the connection ends, or until another goroutine runs in this one's place.
func (c *Conn) run() {
	c.uncork() // after the handshake, or a detached goroutine: both have left the connection corked
	for {
		if len(c.input) == 0 {
			n, err := c.stream.Read(c.buf)
			c.input = c.buf[:n]
			if n == 0 && err != nil {
				c.finish(err)
				return
			}
		}
		switch c.consume() {
		case detached:
			return
		case pause:
			c.mu.Lock()
			wake := c.wake
			c.mu.Unlock()
			<-wake
		}
	}
}

// verdict says how the reading goroutine goes on after consume.
type verdict uint8

const (
	more     verdict = iota // read more
	pause                   // stop reading until resume; what is left of the input is to be kept
	detached                // return at once
)

// consume handles what has been read. It keeps c.input up to date, so that another
// goroutine can go on where a detached one has left off. What is sent meanwhile is written at the end, in one piece.
func (c *Conn) consume() verdict {
	c.loop.Read()
	if !c.cork() || c.deaf {
		c.input = nil
	}
	for len(c.input) > 0 {
		f, rest, err := c.dec.next(c.input)
		c.input = rest
		if err != nil {
			c.violated(err)
			break
		}
		if f.op != 0 && c.partial.Load() != 0 {
			c.partial.Store(0) // what is incomplete from here on has begun only now
		}
		switch f.op {
		case opText, opBinary:
			flow := c.deliver(c.loop, f)
			if flow == core.Detached {
				return detached
			}
			if flow == core.Pause && c.pause() {
				c.rest()
				return pause
			}
		case opPing:
			c.pong(f.payload)
		case opClose:
			c.closedByPeer(f.payload)
		}
	}
	c.rest()
	return more
}

// deliver gives a message to the link.
func (c *Conn) deliver(loop *core.Loop, f frame) core.Flow {
	if f.op == opBinary {
		return c.link.ReceiveBad(loop, errBinary)
	}
	return c.link.Receive(loop, f.payload)
}

var errBinary = errors.New("invalid message: binary, expected text")

// rest ends consume.
func (c *Conn) rest() {
	c.dec.release()
	if c.config.keeper != nil {
		since := uint32(0)
		if c.dec.incomplete() {
			if since = c.partial.Load(); since == 0 {
				since = c.config.keeper.Now()
			}
		}
		if c.partial.Load() != since {
			c.partial.Store(since)
		}
	}
	c.uncork()
}

// pong answers a ping. Answers that do not fit the queue are left out: the other side is not
// reading them.
func (c *Conn) pong(payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == open {
		_ = c.send(opPong, payload)
	}
}

// closedByPeer answers a close frame with one of the same code.
func (c *Conn) closedByPeer(payload []byte) {
	code, reason, err := wire.ParseClose(payload)
	if err != nil {
		c.violated(err)
		return
	}
	c.silence()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered = c.state == open
	c.close(code, reason)
}

// violated closes a connection that has broken the rules. Nothing more of it is understood.
func (c *Conn) violated(err error) {
	code, reason := wire.CloseOf(err)
	c.silence()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeWith(code, reason)
}

// silence makes the connection read until its end, and understand nothing.
func (c *Conn) silence() {
	c.deaf, c.input = true, nil
	c.dec.abandon()
}

// cork holds back what is sent until uncork, and reports whether there is a session still.
func (c *Conn) cork() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked = true
	return c.state != closed
}

// uncork writes what there is to write on the calling goroutine, which may have to wait.
func (c *Conn) uncork() {
	c.mu.Lock()
	c.corked = false
	start := c.out != nil && !c.writing
	c.writing = c.writing || start
	c.mu.Unlock()
	if start {
		c.write()
	}
}

// flush has written what there is to write, if there is something to write it to. c.mu is held.
func (c *Conn) flush() {
	if c.stream != nil && c.out != nil && !c.writing && !c.writeNow() {
		c.writing = true
		go c.writer()
	}
}

// The stream takes smallWrite bytes at once, unless there is something left of what it has taken before. Then it gives up after shortWait.
const (
	smallWrite = 1 << 10
	shortWait  = 50 * time.Microsecond
)

// writeNow writes what there is to write on the calling goroutine, which must not wait for the network, and reports whether it
// has. When a message goes to many, goroutines that write it cost more than the writing. c.mu is held.
func (c *Conn) writeNow() bool {
	if c.state != open || len(c.out.B) > smallWrite {
		return false
	}
	_ = c.stream.SetWriteDeadline(time.Now().Add(shortWait))
	n, err := c.stream.Write(c.out.B)
	if err != nil { // the goroutine that writes the rest learns it as well
		c.out.B = c.out.B[:copy(c.out.B, c.out.B[n:])]
		return false
	}
	c.out.Put()
	c.out = nil
	return true
}

// write writes until nothing is left: each time all that has been queued, in one piece. The caller has set writing.
func (c *Conn) write() {
	c.mu.Lock()
	for c.out != nil && c.state != closed {
		out := c.out
		c.out, c.taken = nil, len(out.B)
		c.mu.Unlock()
		_ = c.stream.SetWriteDeadline(time.Now().Add(c.config.writeTimeout))
		_, err := c.stream.Write(out.B)
		out.Put()
		c.mu.Lock()
		c.taken = 0
		if err != nil {
			c.stuck(err)
			break
		}
	}
	c.writing = false
	last := c.state == closing
	if last && c.expiry == nil {
		c.expiry = time.AfterFunc(c.config.closeTimeout, c.expire)
	}
	c.mu.Unlock()
	if last {
		_ = c.stream.Close()
	}
}

// expire is called when the other side has not answered a close frame in time. Perhaps it understands the end of the session.
func (c *Conn) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != closing {
		return
	}
	c.session.farewell(c.code, c.reason)
	c.expiry = time.AfterFunc(c.config.closeTimeout, c.abort)
}

// stuck ends a connection that cannot be written to any more. c.mu is held.
func (c *Conn) stuck(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// Half a frame may have been written, so that a close frame has no place any more.
		c.config.counters.stuck.Add(1)
		c.ours = c.ours || c.state == open
		c.end(core.CloseTryAgainLater, "too slow")
		return
	}
	// The goroutine that reads will learn why, soon, if anybody does.
	if c.state != closed {
		c.state = closing
		if c.out != nil {
			c.out.Put()
			c.out = nil
		}
		if c.expiry == nil {
			c.expiry = time.AfterFunc(2*codeWait, c.abort)
		}
	}
}

// finish is called by the goroutine that reads, with the error that it ends with.
func (c *Conn) finish(err error) {
	eof := errors.Is(err, io.EOF)
	c.mu.Lock()
	if eof && c.state == open { // without a close frame
		c.mu.Unlock()
		code, reason := c.session.verdict(err)
		if code == core.CloseAbnormal { // nothing came behind it
			code, reason = core.CloseNoStatus, ""
		}
		c.mu.Lock()
		c.answered = c.state == open
		c.close(code, reason)
	}
	state, told, answered := c.state, c.reported || c.link == nil, c.answered
	code, reason := c.code, c.reason
	if c.expiry != nil && state == closing && eof {
		c.expiry.Stop()
	}
	c.mu.Unlock()
	switch {
	case state == closed:
	case eof:
		c.part(answered, code, reason)
	case !told:
		code, reason := c.session.verdict(err)
		c.mu.Lock()
		if c.ending == 0 {
			c.ending = code
		}
		c.report(code, reason)
		c.mu.Unlock()
	}
	c.abort()
	c.gone()
}

// part lets the other side end the session, when neither has anything more to say on the stream. If
// it has answered our close frame it has read everything, and can be told right away that this was the end. If
// it is us who have answered, it may still be reading.
func (c *Conn) part(answered bool, code int, reason string) {
	if !answered && c.config.client {
		return
	}
	if !answered {
		c.session.farewell(code, reason)
	}
	if c.session.wait(c.config.closeTimeout) || !answered {
		return
	}
	c.session.farewell(code, reason)
	c.session.wait(c.config.closeTimeout)
}
