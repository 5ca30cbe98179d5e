package websocket

import (
	"crypto/tls"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/internal/wire"
)

// eventSocket is a TCP socket whose reading is driven by epoll: while it is
// idle it has neither a goroutine nor a buffer.
type eventSocket struct {
	*Conn
	poller   *poller
	secure   *carrier // nil without TLS
	fd       int      // -1 when it has been closed, which only the poller's goroutine does
	interest uint32   // the events that epoll watches for
	blocked  bool     // the socket takes no more for now
	recall   bool     // the poller is to look at the stash
	stalled  bool     // by the link; of the poller's goroutine
	stash    []byte   // input that has been read and not handled
}

// pollers share the connections of a server. There is one for every two processors: the network's own work
// in the kernel needs the other, and the fewer pollers there are, the more events each finds at once.
type pollers struct {
	list  []*poller
	next  atomic.Uint32
	conns fdTable
	probe *probe // nil unless somebody observes the delay
}

// newPollers returns pollers that tell delay, unless it is nil, how long events wait.
func newPollers(delay func(time.Duration)) (*pollers, error) {
	ps := &pollers{}
	for range (runtime.GOMAXPROCS(0) + 1) / 2 {
		p, err := newPoller(&ps.conns)
		if err != nil {
			ps.close()
			return nil, err
		}
		ps.list = append(ps.list, p)
		go p.run()
	}
	if delay != nil {
		ps.probe = newProbe(ps.list, delay)
	}
	return ps, nil
}

func (ps *pollers) close() {
	ps.probe.stop()
	for _, p := range ps.list {
		p.stop()
	}
}

// adopt takes a TCP connection over from the net package, or from crypto/tls if there is a carrier below it, to be c's
// socket. early is what has been read of it already. It reports whether it could; if not, conn is as it was.
func (ps *pollers) adopt(c *Conn, conn net.Conn, early []byte) bool {
	secure, _ := conn.(*tls.Conn)
	if secure != nil {
		conn = secure.NetConn()
	}
	var tcp *net.TCPConn
	below, _ := conn.(*carrier)
	switch {
	case below != nil && secure != nil && below.before != nil && len(below.before.rest) > 0:
		return false // a client cannot send so much before its handshake ends, and who does is served by a goroutine
	case below != nil:
		tcp = below.TCPConn
	case secure == nil:
		tcp, _ = conn.(*net.TCPConn)
	}
	if tcp == nil {
		return false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	fd := -1
	var dupErr error
	err = raw.Control(func(original uintptr) {
		fd, dupErr = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err != nil || dupErr != nil {
		return false
	}
	p := ps.list[ps.next.Add(1)%uint32(len(ps.list))]
	if below != nil {
		early = append(early, below.unread()...)
	}
	s := &eventSocket{Conn: c, poller: p, fd: fd, stash: early}
	c.loop = p.loop
	_ = tcp.Close() // the socket lives on in fd, without the runtime's poller
	if secure != nil {
		below.tls, s.secure = secure, below
	}
	s.run()
	return true
}

// run writes what has been sent during the handshake, and makes the poller read.
func (c *eventSocket) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.socket, c.corked = c, false
	if c.state == closed {
		c.drop()
	}
	c.flush()
	c.recall = len(c.stash) > 0 || c.secure != nil
	c.interest = c.wanted()
	c.poller.conns.set(c.fd, c)
	err := unix.EpollCtl(c.poller.fd, unix.EPOLL_CTL_ADD, c.fd, &unix.EpollEvent{Events: c.interest, Fd: int32(c.fd)})
	if err != nil {
		// Out of memory, or of watches: nobody will read, so nobody else will free it.
		go c.poller.free(c)
	}
}

// wanted returns the events that the connection waits for. Writing is possible at once, so that
// waiting for it makes the poller look at the stash.
func (c *eventSocket) wanted() uint32 {
	var events uint32
	if !c.paused {
		events |= unix.EPOLLIN
	}
	if c.blocked || c.recall {
		events |= unix.EPOLLOUT
	}
	return events
}

// watch tells epoll when what the connection waits for has changed.
func (c *eventSocket) watch() {
	events := c.wanted()
	if events == c.interest || c.fd < 0 {
		return
	}
	c.interest = events
	_ = unix.EpollCtl(c.poller.fd, unix.EPOLL_CTL_MOD, c.fd, &unix.EpollEvent{Events: events, Fd: int32(c.fd)})
}

func (c *eventSocket) flush() {
	switch {
	case c.fd < 0 || c.blocked || c.out == nil && c.backlog() == 0:
		return
	case c.secure != nil:
		if !c.flushSecure() {
			return
		}
	default:
		if !c.push(c.out, &c.written) {
			return
		}
		c.out = nil
	}
	c.watch()
	if c.state == closing {
		_ = unix.Shutdown(c.fd, unix.SHUT_WR)
	}
}

// push writes out, of which written bytes have been, and gives it back. It reports false if the socket does not take
// all of it now.
func (c *eventSocket) push(out *wire.Buffer, written *int) bool {
	for *written < len(out.B) {
		n, errno := write(c.fd, out.B[*written:])
		switch errno {
		case 0:
			*written += n
		case unix.EINTR:
		case unix.EAGAIN:
			*written = out.Compact(*written)
			c.blocked = true
			c.watch()
			return false
		default:
			c.end()
			return false
		}
	}
	out.Put()
	return true
}

// uncork leaves the writing to the end of the poller's round, unless somebody else sends before.
func (c *eventSocket) uncork() {
	pending := c.out != nil || c.backlog() > 0
	c.mu.Unlock()
	if pending {
		c.poller.flushLater(c)
	}
}

// drop makes the poller, which may be reading at this moment, close the socket.
func (c *eventSocket) drop() {
	if c.fd >= 0 {
		_ = unix.Shutdown(c.fd, unix.SHUT_RDWR)
	}
	if c.secure != nil && c.secure.out != nil {
		c.secure.out.Put()
		c.secure.out = nil
	}
}

func (c *eventSocket) pause() { c.watch() }

func (c *eventSocket) resume() {
	c.recall = true
	c.watch()
}

func (c *eventSocket) backlog() int {
	if c.secure == nil || c.secure.out == nil {
		return 0
	}
	return len(c.secure.out.B) - c.secure.written
}

// ended tells the poller that TLS has come to its end, which epoll cannot.
func (c *eventSocket) ended() bool { return c.secure != nil && c.secure.err != nil }

// A poller is a goroutine that waits for events of many sockets. Its state is kept here
// and not on its stack: when a handler takes long, another goroutine goes on with it.
type poller struct {
	fd     int
	wakeFD int
	conns  *fdTable
	loop   *core.Loop
	// Whether there is a processor for others while it lingers, and whether there were events the last time that it did not wait.
	lingers, busy bool
	ending        atomic.Bool
	probed        atomic.Pointer[probing] // what the next wake-up is for

	events  [128]unix.EpollEvent
	n, next int // how many events there are, and the next to be handled
	buf     [64 << 10]byte
	plain   []byte       // what buf says, decrypted; nil until there is TLS
	current *eventSocket // whose input is being handled
	input   []byte
	unsent  []*eventSocket // whose handlers have sent something that is not written yet
}

// maxUnsent bounds how many handlers of other connections an answer waits for.
const maxUnsent = 16

func newPoller(conns *fdTable) (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	p := &poller{fd: fd, wakeFD: wake, conns: conns, lingers: runtime.GOMAXPROCS(0) > 1}
	p.loop = core.NewLoop(p.run)
	err = unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, wake, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(wake)})
	if err != nil {
		_ = unix.Close(wake)
		_ = unix.Close(fd)
		return nil, err
	}
	return p, nil
}

// stop ends the poller. It has no connections any more.
func (p *poller) stop() {
	p.ending.Store(true)
	p.wake()
}

func (p *poller) wake() { _, _ = unix.Write(p.wakeFD, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// woken reports whether the poller has to stop.
func (p *poller) woken() bool {
	var count [8]byte
	_, _ = unix.Read(p.wakeFD, count[:])
	if probing := p.probed.Swap(nil); probing != nil {
		probing.arrived()
	}
	return p.ending.Load()
}

// flushLater has flush write what c has to write.
func (p *poller) flushLater(c *eventSocket) {
	if len(p.unsent) == maxUnsent {
		p.flush()
	}
	p.unsent = append(p.unsent, c)
}

// flush writes what handlers have sent since the last time. One write after the other costs less than each after its handler.
func (p *poller) flush() {
	for i, c := range p.unsent {
		c.mu.Lock()
		c.flush()
		c.mu.Unlock()
		p.unsent[i] = nil
	}
	p.unsent = p.unsent[:0]
}

func (p *poller) run() {
	if p.current != nil {
		p.current.Conn.uncork() // the detached goroutine has left it corked
		p.flush()               // its answers, and those of others, have waited long enough
		if !p.consume() {
			return
		}
	}
	for {
		for p.next < p.n {
			e := &p.events[p.next]
			p.next++
			if int(e.Fd) == p.wakeFD {
				if !p.woken() {
					continue
				}
				_ = unix.Close(p.wakeFD)
				_ = unix.Close(p.fd)
				return
			}
			if c := p.conns.get(int(e.Fd)); c != nil && !p.handle(c, e.Events) {
				return
			}
		}
		p.flush()
		p.n, p.next = p.await(), 0
	}
}

// await waits for events and returns how many there are, 0 if a signal came first. To wait in the usual way has the runtime look for something else to
// run and, when it is over, for a processor; under load that is not worth its while.
func (p *poller) await() int {
	n := look(p.fd, p.events[:])
	if n == 0 && p.busy {
		n = linger(p.fd, p.events[:])
	}
	if p.busy = n > 0 && p.lingers; n > 0 {
		return n
	}
	return wait(p.fd, p.events[:])
}

// handle reports whether this goroutine still runs the poller.
func (p *poller) handle(c *eventSocket, events uint32) bool {
	const ended = unix.EPOLLHUP | unix.EPOLLERR
	if events&unix.EPOLLOUT != 0 && !p.writable(c) {
		return false
	}
	if c.fd < 0 {
		return true // it has ended with what was in the stash
	}
	if c.stalled {
		if events&ended != 0 {
			p.free(c)
		}
		return true
	}
	if events&(unix.EPOLLIN|ended) == 0 {
		return true
	}
	n, errno := read(c.fd, p.buf[:])
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return true
	case errno != 0 || n == 0:
		p.free(c)
		return true
	}
	input := p.buf[:n]
	if c.secure != nil {
		p.plain = c.open(p.plain[:0], input)
		input = p.plain
	}
	return p.take(c, input)
}

// writable goes on with what waited for the socket, and with a stash when the link
// wants to go on.
func (p *poller) writable(c *eventSocket) bool {
	c.mu.Lock()
	c.blocked = false
	c.flush()
	c.recall = false
	c.watch()
	c.stalled = c.paused
	c.mu.Unlock()
	if c.stalled {
		return true
	}
	input := c.stash
	c.stash = nil
	if c.secure != nil {
		p.plain = c.open(append(p.plain[:0], input...), nil)
		input = p.plain
	}
	return p.take(c, input)
}

// take handles input, unless there is none: half a record of TLS is no sign of life.
func (p *poller) take(c *eventSocket, input []byte) bool {
	if len(input) > 0 {
		p.current, p.input = c, input
		return p.consume()
	}
	if c.ended() {
		p.free(c)
	}
	return true
}

// consume handles the input of the current connection and reports whether this
// goroutine still runs the poller.
func (p *poller) consume() bool {
	c := p.current
	switch c.consume(&p.input) {
	case detached:
		return false
	case pause:
		c.stalled = true
		c.stash = append([]byte(nil), p.input...)
	}
	p.current, p.input = nil, nil
	if c.ended() && !c.stalled {
		p.free(c)
	}
	return true
}

// free closes the socket of a connection that has ended: its last answers may be unsent.
func (p *poller) free(c *eventSocket) {
	c.mu.Lock()
	c.flush()
	fd := c.fd
	c.fd = -1
	c.end()
	p.conns.set(fd, nil)
	// Closing it would be enough, but for a process that is being started and has a copy until it runs its program.
	_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil)
	_ = unix.Close(fd)
	c.mu.Unlock()
	c.gone()
}

// fdTable finds the connection of a file descriptor.
type fdTable struct {
	mu   sync.Mutex
	list atomic.Pointer[[]atomic.Pointer[eventSocket]]
}

func (t *fdTable) get(fd int) *eventSocket {
	if list := t.list.Load(); list != nil && fd < len(*list) {
		return (*list)[fd].Load()
	}
	return nil
}

func (t *fdTable) set(fd int, c *eventSocket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.list.Load()
	if list == nil || fd >= len(*list) {
		grown := make([]atomic.Pointer[eventSocket], max(fd+1, 1024)*3/2)
		if list != nil {
			for i := range *list {
				grown[i].Store((*list)[i].Load())
			}
		}
		list = &grown
		t.list.Store(list)
	}
	(*list)[fd].Store(c)
}
