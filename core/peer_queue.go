package core

// Bounds of what waits behind a peer's handler before its connection is no longer read.
const (
	maxQueued     = 64
	maxQueuedSize = 256 << 10
)

func (p *Peer) queueFull() bool { return len(p.queue) >= maxQueued || p.queueSize >= maxQueuedSize }

// serve handles a request, and then those that came meanwhile.
func (p *Peer) serve(req *Request) {
	for req != nil {
		p.handle(req)
		req = p.dequeue()
	}
}

func (p *Peer) handle(req *Request) {
	returned := false
	defer func() {
		// The handler has ended its goroutine: another must serve the requests that wait.
		if !returned {
			go p.serve(p.dequeue())
		}
	}()
	req.root.start(req, p.app.Router, nil)
	returned = true
}

// dequeue returns the next request that waits, or nil when the peer has none left.
func (p *Peer) dequeue() *Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		p.serving = false
		p.queue = nil
		return nil
	}
	req := p.queue[0]
	p.queue[0] = nil
	p.queue = p.queue[1:]
	p.queueSize -= req.size
	if l := p.link; l != nil && l.paused && len(p.queue) <= maxQueued/2 && p.queueSize <= maxQueuedSize/2 {
		l.paused = false
		l.conn.Resume()
	}
	return req
}
