package core

import (
	"errors"
	"runtime/debug"
	"strings"
	"sync/atomic"
)

// walk is one request's way down one router's stack. It belongs to whoever has
// the request; only turn is shared, with calls of next that come too often.
type walk struct {
	req    *Request
	router *Router
	stack  *stack
	out    Next  // the parent's next; nil in the application's own router
	parent *walk // nil in the application's own router

	todo   candidates
	full   string  // the path that todo was made for
	base   int     // length of the part of it that is hidden from this router
	params []param // the parent's; the layer's are appended behind them

	// The layer that runs, and how far it has got.
	err     error   // what it was reached with
	own     []param // its parameters
	at      int32   // its number in the stack
	matched int32   // bytes of the path that its pattern covers
	key     int32   // the next of its parameters to be handled
	nth     int32   // the next handler of that parameter, or of the route
	routed  int32   // the last layer that is not for errors; -1 when there is none
	stage   stage

	turn atomic.Uint32 // moves on with every call of next
}

type stage uint8

const (
	inParams stage = iota
	inRoute
	inLayer
)

func (w *walk) start(req *Request, r *Router, out Next) {
	w.req, w.router, w.stack, w.out, w.parent = req, r, r.stack.Load(), out, req.walk
	w.full, w.base, w.params = req.full, req.base, req.params
	w.todo = w.stack.candidates(req.Path(), 0)
	w.call(w.advance(nil))
}

// advance goes to the next layer that is for this request and returns the first of its handlers, or
// leaves the router and returns nil.
func (w *walk) advance(err error) *callee {
	req := w.req
	req.base = w.base
	if req.full != w.full {
		w.full = req.full
		w.todo = w.stack.candidates(req.Path(), int(w.at)+1)
	}
	path := req.Path()
	for {
		w.at = int32(w.todo.next())
		if w.at < 0 {
			if err == nil {
				w.ran(-1)
			}
			return w.leave(err)
		}
		l := w.stack.layers[w.at]
		if (err != nil) != (l.catch != nil) {
			continue
		}
		params, n, ok, bad := l.matcher.match(path, w.params)
		if bad != nil {
			w.ran(w.at)
			err = cause(err, Error(400, bad.Error()))
			continue
		}
		if !ok || l.route != nil && !l.route.handles(req.method) {
			continue
		}
		if l.catch == nil {
			w.ran(w.at)
		}
		w.err, w.matched = err, int32(n)
		w.own = params[len(w.params):]
		req.params = w.own
		if w.router.options.MergeParams {
			req.params = params
		}
		w.stage, w.key, w.nth = inParams, 0, 0
		return w.proceed()
	}
}

// ran takes note of the layer that has the request.
func (w *walk) ran(at int32) {
	w.routed = at
	if w.req.walk != w {
		w.req.walk = w
	}
}

// leave goes on behind the layer in which the router is mounted. Nothing of this router is left to be called.
func (w *walk) leave(err error) *callee {
	req := w.req
	req.base, req.params = w.base, w.params
	switch {
	case w.out == nil:
		req.peer.app.finish(req, err)
	case err == nil:
		w.out()
	default:
		w.out(err)
	}
	return nil
}

// proceed returns the next param handler, or, after the last, the layer's own.
func (w *walk) proceed() *callee {
	handlers := *w.router.params.Load()
	for ; len(handlers) > 0 && int(w.key) < len(w.own); w.key, w.nth = w.key+1, 0 {
		name := w.own[w.key].name
		chain := handlers[name]
		if len(chain) == 0 {
			continue
		}
		if w.nth == 0 {
			seen, err := w.req.seenParam(w.router, name, lookup(w.own, name))
			if err != nil {
				return w.follow(w.err, err)
			}
			if seen {
				continue
			}
		}
		if int(w.nth) < len(chain) {
			w.nth++
			return chain[w.nth-1]
		}
	}
	l := w.stack.layers[w.at]
	if l.route != nil {
		w.stage, w.nth = inRoute, 0
		return w.proceedRoute(l.route)
	}
	w.stage = inLayer
	switch {
	case !w.hide():
		return w.advance(w.err)
	case l.catch != nil:
		return l.catch
	}
	return l.use
}

// hide takes what the layer has matched off its handler's sight. A slash at the end stays: what
// remains of the path begins with it. It fails when a param handler has set another path.
func (w *walk) hide() bool {
	n := min(w.base+int(w.matched), len(w.full))
	if n > w.base && w.full[n-1] == '/' {
		n--
	}
	full := w.req.full
	if !strings.HasPrefix(full, w.full[:n]) || len(full) > n && full[n] != '/' {
		return false
	}
	w.req.base = n
	return true
}

func (w *walk) proceedRoute(r *Route) *callee {
	i, c := r.from(int(w.nth), w.req.method)
	if c == nil {
		return w.advance(nil)
	}
	w.nth = int32(i) + 1
	return c
}

// resume returns what runs after a handler that has called next, nil if nothing does.
func (w *walk) resume(err error) *callee {
	pending := error(nil)
	if w.stage == inParams {
		pending = w.err
	}
	skip := err == SkipRoute || err == SkipRouter
	if (err == nil || skip) && pending == nil && w.req.Ended() {
		return nil
	}
	if w.stage == inParams && err != nil {
		w.req.failParam(w.router, w.own[w.key].name, err)
	}
	return w.follow(pending, err)
}

// follow goes where err, what a handler has passed to next, leads.
func (w *walk) follow(pending, err error) *callee {
	switch {
	case err == SkipRouter:
		return w.leave(pending)
	case err == SkipRoute:
		return w.advance(pending)
	case err != nil:
		return w.advance(cause(pending, err))
	case w.stage == inParams:
		return w.proceed()
	case w.stage == inRoute:
		return w.proceedRoute(w.stack.layers[w.at].route)
	}
	return w.advance(nil)
}

// cause returns the error to go on with when a layer that was reached with one fails as well.
func cause(pending, err error) error {
	if pending != nil {
		return pending
	}
	return err
}

// next returns what runs after a handler that has called next, nil if nothing does. turn tells which handler.
func (w *walk) next(turn uint32, errs []error) *callee {
	err := error(nil)
	if len(errs) == 1 {
		err = errs[0]
	} else if len(errs) > 1 {
		err = errors.Join(errs...)
	}
	if !w.turn.CompareAndSwap(turn, turn+1) {
		twice := ErrNextTwice
		if err != nil {
			twice = errors.Join(ErrNextTwice, err)
		}
		w.req.peer.app.routeError(twice, w.req)
		return nil
	}
	return w.resume(err)
}

// call calls a handler, if there is one. Once it has returned, the request may belong to
// another goroutine, so nothing of it is touched then unless the handler failed.
//
// Handlers nest: each runs within its predecessor's next. What finds the next one therefore
// returns it instead of calling it, so that few frames stand between two handlers.
func (w *walk) call(c *callee) {
	if c == nil {
		return
	}
	turn := w.turn.Load()
	next := func(errs ...error) { w.call(w.next(turn, errs)) }
	if err := c.run(w, next); err != nil {
		w.call(w.next(turn, []error{err}))
	}
}

// callee is a handler of one of the three kinds, with what is known about its manners.
type callee struct {
	onRequest Handler
	onError   ErrorHandler
	onParam   ParamHandler
	manners
}

// run calls the handler and turns a panic into an error.
func (c *callee) run(w *walk, next Next) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{v, debug.Stack()}
		}
	}()
	loop, turn := w.req.loop, w.req.loopTurn
	outer, on := c.enter(loop, turn)
	switch {
	case !on:
		c.time(func() { err = c.handle(w, next) })
		return err
	case c.onRequest != nil:
		err = c.onRequest(w.req, next) // most are, and this is a frame less than handle
	default:
		err = c.handle(w, next)
	}
	loop.leave(turn, outer)
	return err
}

func (c *callee) handle(w *walk, next Next) error {
	switch {
	case c.onRequest != nil:
		return c.onRequest(w.req, next)
	case c.onError != nil:
		return c.onError(w.err, w.req, next)
	}
	return c.onParam(w.req, next, lookup(w.own, w.own[w.key].name))
}
