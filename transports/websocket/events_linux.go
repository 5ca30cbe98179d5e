package websocket

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/protoo-go/protoo/core"
)

// eventSocket is a plain TCP socket whose reading is driven by epoll: while it is
// idle it has neither a goroutine nor a buffer.
type eventSocket struct {
	*Conn
	poller   *poller
	fd       int    // -1 when it has been closed, which only the poller's goroutine does
	interest uint32 // the events that epoll watches for
	blocked  bool   // the socket takes no more for now
	recall   bool   // the poller is to look at the stash
	stash    []byte // input that has been read and not handled
	stalled  bool   // by the link; of the poller's goroutine
}

// pollers share the connections of a server. There is one for every two processors: the network's own work
// in the kernel needs the other, and the fewer pollers there are, the more events each finds at once.
type pollers struct {
	list  []*poller
	next  atomic.Uint32
	conns fdTable
}

func newPollers() (*pollers, error) {
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
	return ps, nil
}

func (ps *pollers) close() {
	for _, p := range ps.list {
		p.stop()
	}
}

// adopt takes a TCP connection over from the net package, to be c's socket. early is what has been
// read of it already. It reports whether it could; if not, conn is as it was.
func (ps *pollers) adopt(c *Conn, conn net.Conn, early []byte) bool {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
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
	s := &eventSocket{Conn: c, poller: p, fd: fd, stash: early, recall: true}
	c.loop = p.loop
	_ = tcp.Close() // the socket lives on in fd, without the runtime's poller
	s.run()
	return true
}

// run makes the poller read. The first thing that it does is to look at the stash, which
// is also when what has been sent during the handshake is written.
func (c *eventSocket) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.socket = c
	if c.state == closed {
		c.drop()
	}
	c.poller.conns.set(c.fd, c)
	c.interest = c.wanted()
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
	if c.out == nil || c.fd < 0 {
		return
	}
	for c.written < len(c.out.b) {
		n, errno := write(c.fd, c.out.b[c.written:])
		switch errno {
		case 0:
			c.written += n
		case unix.EINTR:
		case unix.EAGAIN:
			c.compact()
			c.blocked = true
			c.watch()
			return
		default:
			c.end()
			return
		}
	}
	c.out.put()
	c.out, c.blocked = nil, false
	c.watch()
	if c.state == closing {
		_ = unix.Shutdown(c.fd, unix.SHUT_WR)
	}
}

// compact moves what is not written yet to the front when more than half has been.
func (c *eventSocket) compact() {
	if c.written > len(c.out.b)/2 {
		c.out.b = c.out.b[:copy(c.out.b, c.out.b[c.written:])]
		c.written = 0
	}
}

func (c *eventSocket) uncork() {
	c.flush()
	c.mu.Unlock()
}

// drop makes the poller, which may be reading at this moment, close the socket.
func (c *eventSocket) drop() {
	if c.fd >= 0 {
		_ = unix.Shutdown(c.fd, unix.SHUT_RDWR)
	}
}

func (c *eventSocket) pause() { c.watch() }

func (c *eventSocket) resume() {
	c.recall = true
	c.watch()
}

func (c *eventSocket) backlog() int { return 0 }

// A poller is a goroutine that waits for events of many sockets. Its state is kept here
// and not on its stack: when a handler takes long, another goroutine goes on with it.
type poller struct {
	fd     int
	wakeFD int
	conns  *fdTable
	loop   *core.Loop

	events  [128]unix.EpollEvent
	n, next int // how many events there are, and the next to be handled
	buf     [64 << 10]byte
	current *eventSocket // whose input is being handled
	input   []byte
}

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
	p := &poller{fd: fd, wakeFD: wake, conns: conns}
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
	_, _ = unix.Write(p.wakeFD, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

func (p *poller) run() {
	if p.current != nil {
		p.current.Conn.uncork() // the detached goroutine has left it corked
		if !p.consume() {
			return
		}
	}
	for {
		for p.next < p.n {
			e := &p.events[p.next]
			p.next++
			if int(e.Fd) == p.wakeFD {
				_ = unix.Close(p.wakeFD)
				_ = unix.Close(p.fd)
				return
			}
			if c := p.conns.get(int(e.Fd)); c != nil && !p.handle(c, e.Events) {
				return
			}
		}
		p.n, p.next = wait(p.fd, p.events[:]), 0
	}
}

// handle reports whether this goroutine still runs the poller.
func (p *poller) handle(c *eventSocket, events uint32) bool {
	const ended = unix.EPOLLHUP | unix.EPOLLERR
	if events&unix.EPOLLOUT != 0 && !p.writable(c) {
		return false
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
	p.current, p.input = c, p.buf[:n]
	return p.consume()
}

// writable goes on with what waited for the socket, and with a stash when the link
// wants to go on.
func (p *poller) writable(c *eventSocket) bool {
	c.mu.Lock()
	c.corked = false // as the handshake has left it
	c.flush()
	c.recall = false
	c.watch()
	c.stalled = c.paused
	c.mu.Unlock()
	if c.stalled || len(c.stash) == 0 {
		return true
	}
	p.current, p.input = c, c.stash
	c.stash = nil
	return p.consume()
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
	return true
}

// free closes the socket of a connection that has ended.
func (p *poller) free(c *eventSocket) {
	c.mu.Lock()
	c.end()
	p.conns.set(c.fd, nil)
	_ = unix.Close(c.fd)
	c.fd = -1
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
