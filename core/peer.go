package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A Peer is a client that is online: a user on one of their devices. It exists from
// its first connection until it goes offline, and it keeps its identity when another connection with the same
// username and uuid takes over, or replaces a lost one within the grace period.
type Peer struct {
	app      *App
	username string
	uuid     string
	data     Data

	next, prev *Peer // the user's devices, in a ring; guarded by app.mu

	// There may be a million of these, so that what few need is apart from them.
	mu        sync.Mutex
	link      *Link         // nil during the grace period and after it
	number    uint64        // of the connection, or of the last one
	guest     *guest        // nil unless the peer has yet to say who it is
	absence   *absence      // nil unless the connection is lost, or cannot be sent to
	departed  chan struct{} // closed when the offline listeners have been called
	news      []func()      // what listeners are still to be told, in order
	listeners *peerListeners
	lifetime  *lifetime // nil until somebody asks

	serving    bool // a goroutine handles this peer's requests, or will as soon as it is announced
	telling    bool
	gone       bool
	queueSize  int32      // bytes of the queue's messages
	inProgress int32      // requests without a final response
	underWay   int32      // bytes of their messages
	queue      []*Request // requests that wait to be handled
	requests   *Request   // the newest in progress
	drain      *drain     // nil unless the peer is being drained
	pending    map[string]*Transaction
	senderJSON JSON
}

// absence is what a peer has while it has no connection, and what waits for it.
type absence struct {
	timer    *time.Timer // ends the grace period; nil until the loss is reported
	held     []heldMessage
	heldSize int // bytes
}

// peerListeners are those of one peer. The application's own are called before them.
type peerListeners struct {
	disconnect []func(code int, reason string)
	reconnect  []func()
}

// lifetime is the context that ends when the peer goes offline.
type lifetime struct {
	ctx    context.Context
	cancel context.CancelFunc
}

// heldMessage waits for a peer in its grace period. A request is not sent once its transaction has ended.
type heldMessage struct {
	text        []byte
	transaction *Transaction
}

// Username returns the account's name.
func (p *Peer) Username() string { return p.username }

// UUID identifies the device.
func (p *Peer) UUID() string { return p.uuid }

// Data holds the application's own values about the peer.
func (p *Peer) Data() *Data { return &p.data }

// App returns the application that the peer is connected to.
func (p *Peer) App() *App { return p.app }

// String returns "username/uuid", for logs.
func (p *Peer) String() string { return p.username + "/" + p.uuid }

// Conn returns the current connection, nil while there is none. Its String names the transport and
// the remote address.
func (p *Peer) Conn() Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link == nil {
		return nil
	}
	return p.link.conn
}

// ConnNumber returns the number of the current connection, or of the last one while there is none. Connections are counted from 1 on,
// so that logs can tell them apart.
func (p *Peer) ConnNumber() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.number
}

func (p *Peer) isOnline() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.gone
}

// Connected tells whether the peer has a connection now.
func (p *Peer) Connected() bool { return p.Conn() != nil }

// OnDisconnect registers a function that is called when the peer's connection has ended and
// no other has taken over: at the start of the grace period, or before the offline listeners. When
// Close has ended it, code and reason are those given to Close. See [App.OnDisconnect] for a listener to all peers.
func (p *Peer) OnDisconnect(fn func(code int, reason string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.own()
	l.disconnect = append(l.disconnect, fn)
}

// OnReconnect registers a function that is called when the peer has come back within the
// grace period.
func (p *Peer) OnReconnect(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.own()
	l.reconnect = append(l.reconnect, fn)
}

// own returns the peer's own listeners. p.mu is held.
func (p *Peer) own() *peerListeners {
	if p.listeners == nil {
		p.listeners = new(peerListeners)
	}
	return p.listeners
}

// Send sends a request to the peer: one made with [NewRequest], or another peer's, which is
// forwarded with its sender and its whole path. It does not wait; the transaction has the answer. During the
// grace period the request is held, and sent if the peer comes back before the transaction ends.
func (p *Peer) Send(req *Request) *Transaction {
	t := newTransaction(p, req)
	if bad := req.look().bad; bad != nil {
		t.id = req.id
		t.deliver(localResponse(t, 400, bad.Error()))
		return t
	}
	p.mu.Lock()
	status, reason := 0, ""
	switch {
	case p.gone || p.drain != nil:
		status, reason = 410, "peer offline"
	case len(p.pending) >= p.app.limits.transactions:
		status, reason = 503, "peer has too many requests to answer"
	default:
		p.register(t)
	}
	p.mu.Unlock()
	if status != 0 {
		t.id = req.id
		t.deliver(localResponse(t, status, reason))
		return t
	}

	buf := getBuffer()
	buf.b = appendRequest(buf.b, req.method, req.full, t.id, req.data, req.Sender())
	buf.b = appendTrace(buf.b, req.look().trace)
	p.mu.Lock()
	err := p.transmit(buf.b, t)
	p.mu.Unlock()
	buf.put()
	switch {
	case err == nil:
		t.startTimer(p.app.timeoutOf(req))
	case errors.Is(err, ErrSlow):
		t.endLocally(503, "peer too slow")
	default:
		t.endLocally(410, "peer offline")
	}
	return t
}

// register enters t into the pending transactions, under the request's own id if the peer
// has none with it yet. p.mu is held.
func (p *Peer) register(t *Transaction) {
	if p.pending == nil {
		p.pending = make(map[string]*Transaction)
	}
	t.id, t.key = t.req.id, canonicalID(t.req.id)
	for t.id == "" || p.pending[t.key] != nil {
		t.id = p.app.newID()
		t.key = t.id
	}
	p.pending[t.key] = t
	if p.serving && p.link != nil && p.link.loop != nil {
		p.app.watch.hasten(p.link.loop) // a handler may be about to wait for the answer
	}
}

func (p *Peer) forget(t *Transaction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending[t.key] == t {
		delete(p.pending, t.key)
		p.settle()
	}
	if p.absence != nil {
		p.absence.forget(t)
	}
}

// transmit sends a message, or holds it in the grace period. t is the transaction of a
// request, nil for a response. p.mu is held.
func (p *Peer) transmit(text []byte, t *Transaction) error {
	if p.gone {
		return ErrOffline
	}
	err := ErrClosed
	if p.link != nil {
		err = p.link.conn.Send(text)
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrClosed) {
		return p.hold(text, t)
	}
	if errors.Is(err, ErrSlow) {
		p.app.stats.slow.Add(1)
		if !p.app.dropWhenSlow {
			_ = p.link.conn.Close(CloseTryAgainLater, "too slow")
		}
	}
	return err
}

// hold keeps a message for a peer whose connection is lost, or about to be reported so.
func (p *Peer) hold(text []byte, t *Transaction) error {
	if p.app.settings.grace.Load() == 0 {
		return ErrOffline
	}
	if p.absence == nil {
		p.absence = new(absence)
	}
	a := p.absence
	if a.heldSize+len(text) > p.app.limits.held {
		p.app.stats.slow.Add(1)
		return ErrSlow
	}
	a.held = append(a.held, heldMessage{append([]byte(nil), text...), t})
	a.heldSize += len(text)
	return nil
}

// forget drops the request of a transaction that has ended: it need not be sent any more, and gives way to others.
func (a *absence) forget(t *Transaction) {
	i := slices.IndexFunc(a.held, func(m heldMessage) bool { return m.transaction == t })
	if i >= 0 {
		a.heldSize -= len(a.held[i].text)
		a.held = slices.Delete(a.held, i, i+1)
	}
}

// endAbsence stops the grace period. p.mu is held.
func (p *Peer) endAbsence() {
	if p.absence != nil && p.absence.timer != nil {
		p.absence.timer.Stop()
	}
	p.absence = nil
}

// release ends the absence and sends what was held, and returns the requests that found no room. p.mu is held, and
// has been since link was set, so that nothing newer overtakes it.
func (p *Peer) release() (unsent []*Transaction) {
	if p.absence == nil {
		return nil
	}
	held := p.absence.held
	p.endAbsence()
	for _, m := range held {
		if m.transaction != nil && m.transaction.Final() != nil {
			continue
		}
		if p.transmit(m.text, m.transaction) != nil && m.transaction != nil {
			unsent = append(unsent, m.transaction)
		}
	}
	return unsent
}

// reply sends a response to the peer. ended is the request in progress that it ends, nil if it ends none.
func (p *Peer) reply(status int, reason, id string, data JSON, ended *Request) error {
	buf := getBuffer()
	defer buf.put()
	buf.b = appendResponse(buf.b, status, reason, id, data)
	p.mu.Lock()
	defer p.mu.Unlock()
	if ended == nil {
		return p.transmit(buf.b, nil)
	}
	err := p.transmit(buf.b, nil)
	p.finished(ended) // only now, so that the response is ahead of a close
	return err
}

// Close disconnects the peer: it is offline at once, without a grace period. Zero
// values mean 1000 and "normal closure". It fails if the code may not be sent (RFC 6455, section 7.4);
// a reason of more than 123 bytes is cut.
func (p *Peer) Close(code int, reason string) error {
	if code == 0 {
		code = CloseNormal
		if reason == "" {
			reason = "normal closure"
		}
	}
	if !ValidCloseCode(code) {
		return fmt.Errorf("core: close code %d may not be sent", code)
	}
	p.goOffline(code, cut(reason, maxCloseReason))
	return nil
}

// maxCloseReason is what fits into a close frame beside the code.
const maxCloseReason = 123

// context returns the context that ends when the peer goes offline.
func (p *Peer) context() context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lifetime == nil {
		ctx, cancel := context.WithCancel(context.Background())
		p.lifetime = &lifetime{ctx, cancel}
		if p.gone {
			cancel()
		}
	}
	return p.lifetime.ctx
}

// sender returns how the peer is named in requests that it has sent.
func (p *Peer) sender() JSON {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.senderJSON == "" {
		p.senderJSON = senderOf(p.username, p.uuid)
	}
	return p.senderJSON
}

func senderOf(username, uuid string) JSON {
	b := appendString([]byte(`{"username":`), username)
	b = appendString(append(b, `,"uuid":`...), uuid)
	return JSON(append(b, '}'))
}
