package guest

import (
	"errors"
	"fmt"
	"iter"
	"slices"
)

// The events, actions and flags of ABI.md.
const (
	eventRequest       = 1
	eventResponse      = 2
	eventReply         = 4
	eventOnline        = 6
	eventOffline       = 7
	eventConfiguration = 8
	eventConnect       = 10
	eventReturned      = 11

	actionNext       = 0
	actionSkipRoute  = 1
	actionReply      = 2
	actionError      = 3
	actionPending    = 4
	actionSkipRouter = 5

	flagWatch    = 1
	flagChanges  = 2
	flagReturned = 4
)

var (
	served Module
	buffer []byte // where the host puts frames, and finds ours

	calls   = make(map[uint64]*call) // by token
	current uint64                   // the token of the event at hand
	running *call                    // whose handler, or function for a response, runs
	inside  bool                     // it is the handler, which can wait
)

// maxCalls bounds the calls whose handlers have returned and that wait for a response.
const maxCalls = 10_000

// Serve makes the module available to the host. It is to be called by an init function.
func Serve(m Module) { served = m }

//go:wasmexport protoo_abi_v1
func marker() {}

//go:wasmexport protoo_init
func initialize(uint32) int64 { return enlarge(64 << 10) }

//go:wasmexport protoo_buffer
func enlarge(need uint32) int64 {
	// Go's collector does not move what it has allocated.
	buffer = make([]byte, need)
	p, n := bytes(buffer)
	return int64(uint64(uintptr(p))<<32 | uint64(n))
}

//go:wasmexport protoo_on
func on(event, length uint32) int64 {
	f := readFrame(buffer[:length])
	current = f.token
	switch event {
	case eventRequest:
		c := newCall(f)
		c.req = newRequest(c)
		return c.run(c.serve)
	case eventConnect:
		c := newCall(f)
		return c.run(c.admit)
	case eventReturned:
		if c := calls[f.token]; c != nil {
			c.req.ended = c.req.ended || f.number(fieldEnded) == 1
			c.returned = true
			return c.resume()
		}
	case eventResponse:
		if c := calls[f.token]; c != nil {
			return c.respond(&f)
		}
	case eventReply:
		return reply(&f)
	case eventOnline:
		tell(served.Online, &f)
	case eventOffline:
		tell(served.Offline, &f)
	case eventConfiguration:
		if served.Configure != nil {
			if err := served.Configure(JSON(f.text(fieldData, ""))); err != nil {
				return result(actionError, 0, failure(err))
			}
		}
	}
	return 0
}

func tell(fn func(*Peer), f *frame) {
	if p := f.peer(); fn != nil && p != nil {
		fn(p)
	}
}

// result ends an event with a frame.
func result(action, flags uint32, w *writer) int64 {
	b := w.end()
	if len(b) > len(buffer) {
		panic(fmt.Sprintf("guest: a frame of %d bytes, there is room for %d", len(b), len(buffer)))
	}
	copy(buffer, b)
	return int64(uint64(len(b))<<32 | uint64(flags)<<8 | uint64(action))
}

// failure writes an error into a frame.
func failure(err error) *writer {
	w := newWriter()
	if known, ok := errors.AsType[*StatusError](err); ok {
		w.addUint32(fieldStatus, uint32(known.Status))
		w.add(fieldReason, "", known.Reason)
	} else {
		w.add(fieldError, "", err.Error())
	}
	return w
}

// A call is a request or connection that a handler deals with, as a coroutine of its own: that one waits in
// next and in Wait, and the host goes on meanwhile.
type call struct {
	frame frame
	req   *Request // nil for a connection

	worker *worker

	said     bool // there is something to tell the host
	told     bool // it has been told
	ended    bool // the handler has
	returned bool // next has
	action   uint32
	frameUp  *writer
	sends    int // transactions without a final response
	watched  bool
}

func newCall(f frame) *call {
	if len(calls) >= maxCalls {
		for token, c := range calls {
			if c.ended && c.sends == 0 { // waits for a response that may never come
				delete(calls, token)
				break
			}
		}
	}
	c := &call{frame: f}
	calls[f.token] = c
	return c
}

// run starts a handler, and returns to the host when that waits.
func (c *call) run(fn func()) int64 {
	var w *worker
	if n := len(idle); n > 0 {
		w, idle = idle[n-1], idle[:n-1]
	} else {
		w = newWorker()
	}
	w.call, w.fn, c.worker = c, fn, w
	return c.resume()
}

// resume lets the handler go on, until it waits again.
func (c *call) resume() int64 {
	if !c.ended {
		running, inside = c, true
		c.worker.resume()
		inside = false
	}
	return c.result()
}

// wait lets the host go on until a condition holds, which is looked at whenever there is news. A function for
// responses that calls next does not wait.
func (c *call) wait(until func() bool) {
	for inside && !until() {
		c.worker.yield(struct{}{})
	}
}

func (c *call) hasReturned() bool { return c.returned }

// A worker is a coroutine for handlers: switching to one costs a small part of what waking a goroutine does. Workers are
// used again, since a new one has a small stack that has to grow.
type worker struct {
	resume func() (struct{}, bool)
	yield  func(struct{}) bool
	call   *call
	fn     func()
}

var idle []*worker

func newWorker() *worker {
	w := &worker{}
	w.resume, _ = iter.Pull(func(yield func(struct{}) bool) {
		for w.yield = yield; ; {
			w.fn()
			w.call.ended = true
			w.call, w.fn = nil, nil
			idle = append(idle, w)
			yield(struct{}{})
		}
	})
	return w
}

// say keeps what the handler has said until it waits. What it says first counts, but after next it can still reply.
func (c *call) say(action uint32, w *writer) {
	if !c.said && (!c.told || action == actionReply) {
		c.said, c.action, c.frameUp = true, action, w
	}
}

// result tells the host what the handler has said, or that it has nothing to say yet.
func (c *call) result() int64 {
	running = nil
	defer func() {
		if c.ended && c.sends == 0 && !c.watched {
			delete(calls, c.frame.token)
		}
	}()
	if !c.said {
		if c.ended && c.told {
			return 0
		}
		return result(actionPending, 0, newWriter())
	}
	w := c.frameUp
	if w == nil {
		w = newWriter()
	}
	flags := uint32(0)
	if !c.told {
		flags = c.req.changes(w)
		c.watched = flags&flagWatch != 0
	}
	c.said, c.told = false, true
	if c.action == actionReply && w.n == 0 {
		w.addUint32(fieldStatus, 200)
	}
	if !c.ended && (c.action == actionNext || c.action == actionSkipRoute || c.action == actionSkipRouter) {
		flags |= flagReturned
	}
	return result(c.action, flags, w)
}

func (c *call) serve() {
	called := false
	next := func(errs ...error) {
		if called {
			println(errNextTwice.Error()) // to the log, if that is granted
			return
		}
		called = true
		c.pass(errors.Join(errs...), errs)
	}
	err := c.guard(func() error { return served.Request(c.req, next) })
	if err != nil {
		c.fail(err)
	}
}

// guard turns a panic into an error, as core does.
func (c *call) guard(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return fn()
}

// pass is next.
func (c *call) pass(joined error, errs []error) {
	if len(errs) == 1 {
		joined = errs[0]
	}
	switch {
	case joined == nil && c.req.ended: // after the final response next does nothing
	case joined == nil:
		c.say(actionNext, nil)
		c.wait(c.hasReturned)
	case joined == SkipRoute:
		c.say(actionSkipRoute, nil)
		c.wait(c.hasReturned)
	case joined == SkipRouter:
		c.say(actionSkipRouter, nil)
		c.wait(c.hasReturned)
	default:
		c.fail(joined)
	}
}

func (c *call) fail(err error) { c.say(actionError, failure(err)) }

func (c *call) admit() {
	var id Identity
	err := c.guard(func() (err error) {
		id, err = served.Connect(c.frame.connectRequest())
		return err
	})
	if err != nil {
		c.fail(err)
		return
	}
	w := newWriter()
	w.add(fieldPeer, id.Username, id.UUID)
	for name, v := range id.Data {
		if j, err := toJSON(v); err == nil && j != "" {
			w.add(fieldPeerData, name, string(j))
		}
	}
	c.say(actionReply, w)
}

// respond shows a response to the functions that the handler has registered.
func (c *call) respond(f *frame) int64 {
	res := f.response()
	for _, fn := range slices.Backward(c.req.hooks) {
		fn(res)
	}
	if !res.IsProvisional() {
		c.req.ended = true
		c.watched = false
		if c.ended && c.sends == 0 {
			delete(calls, c.frame.token)
		}
	}
	if !res.changed {
		return 0
	}
	w := newWriter()
	w.add(fieldData, "", string(res.data))
	return result(actionNext, flagChanges, w)
}

// reply gives a response to the transaction that it belongs to, and lets the handler go on that may wait for it.
func reply(f *frame) int64 {
	t := transactions[f.number(fieldCorrelation)]
	if t == nil {
		return 0
	}
	res := f.response()
	running = t.call
	c := t.call
	if !res.IsProvisional() {
		delete(transactions, t.correlation)
		if c != nil {
			c.sends--
		}
	}
	t.deliver(res)
	running = nil
	if c == nil {
		return 0
	}
	return c.resume()
}
