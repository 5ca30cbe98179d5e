package core

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// naive routes one request by the rules, and does nothing to be fast about it: no index, no
// state that is reused, every step a function that is told what to do afterwards. Only the
// matching of a single pattern is that of the package.
type naive struct {
	*trial
	plan   *appPlan
	method string
	full   string // the whole path
	base   string // what is hidden of it
	params map[string]string
	ended  bool
	hooks  []func(*Response)
	seen   map[paramKey]*paramMemory
}

// A router's param handlers see a value once, unless another value of the same name comes between.
type paramKey struct {
	router *routerPlan
	name   string
}

type paramMemory struct {
	value string
	err   error // what they have said about it
}

func (n *naive) Path() string {
	if n.full == n.base {
		return "/"
	}
	return strings.TrimPrefix(n.full, n.base)
}

func (n *naive) BasePath() string          { return n.base }
func (n *naive) OriginalPath() string      { return n.full }
func (n *naive) Params() map[string]string { return n.params }
func (n *naive) Param(name string) string  { return n.params[name] }
func (n *naive) Ended() bool               { return n.ended }

func (n *naive) OnResponse(fn func(*Response)) {
	n.hooks = append([]func(*Response){fn}, n.hooks...)
}

func (n *naive) SetPath(path string) error {
	if !strings.HasPrefix(path, "/") {
		return errors.New("no slash")
	}
	if err := validPath(n.base + path); err != nil {
		return err
	}
	n.full = n.base + path
	return nil
}

func (n *naive) Reply(status int, reason string, _ ...any) error {
	if n.ended {
		return ErrReplied
	}
	n.ended = status >= 200
	res := &Response{status: status, reason: reason}
	for _, fn := range n.hooks {
		fn(res)
	}
	n.answered(status, reason, res.data)
	return nil
}

func (n *naive) handle() {
	n.walk(n.plan.root, func(err error) {
		if err != nil {
			n.failed(err, n)
		}
		if n.ended {
			return
		}
		var known *StatusError
		switch {
		case err == nil:
			_ = n.Reply(404, "no handler for "+n.method+" at "+n.full)
		case errors.As(err, &known):
			_ = n.Reply(known.Status, known.Reason)
		case n.plan.production:
			_ = n.Reply(500, "internal error")
		default:
			_ = n.Reply(500, err.Error())
		}
	})
}

// naiveLayer is one handler of Use or Catch, one route or one mounted router.
type naiveLayer struct {
	*layerPlan
	steps   []*stepPlan
	matcher *matcher
}

func (n *naive) layers(r *routerPlan) []naiveLayer {
	var layers []naiveLayer
	for _, l := range r.layers {
		m := l.compile(matchOptions{
			caseSensitive: n.plan.caseSensitive || r != n.plan.root && r.options.CaseSensitive,
			strict:        n.plan.strict || r != n.plan.root && r.options.Strict,
			end:           l.kind == routeLayer,
		})
		if l.kind == routeLayer || l.kind == mountLayer {
			layers = append(layers, naiveLayer{l, l.steps, m})
			continue
		}
		for _, s := range l.steps {
			layers = append(layers, naiveLayer{l, []*stepPlan{s}, m})
		}
	}
	return layers
}

var naiveMatchers sync.Map // compiling is most of the work, and there are few patterns

func (l *layerPlan) compile(o matchOptions) *matcher {
	key := fmt.Sprintf("%q %+v", l.patterns, o)
	if m, ok := naiveMatchers.Load(key); ok {
		return m.(*matcher)
	}
	m, err := l.pattern().compile(o)
	if err != nil {
		panic(err)
	}
	naiveMatchers.Store(key, m)
	return m
}

// walk walks the request down a router's stack, and calls out when it has come to the end or has left it.
func (n *naive) walk(r *routerPlan, out func(err error)) {
	layers := n.layers(r)
	base, parents := n.base, n.params
	leave := func(err error) {
		n.base, n.params = base, parents
		out(err)
	}
	var from func(i int, pending error)
	from = func(i int, pending error) {
		n.base, n.params = base, parents
		if i == len(layers) {
			leave(pending)
			return
		}
		l := layers[i]
		if (l.kind == catchLayer) != (pending != nil) {
			from(i+1, pending)
			return
		}
		path := n.Path()
		found, length, ok, bad := l.matcher.match(path, nil)
		if bad != nil {
			if pending == nil {
				pending = Error(400, bad.Error())
			}
			from(i+1, pending)
			return
		}
		steps := l.forMethod(n.method)
		if !ok || l.kind == routeLayer && len(steps) == 0 {
			from(i+1, pending)
			return
		}
		own := map[string]string{}
		for _, p := range found {
			own[p.name] = p.value
		}
		n.params = own
		if r != n.plan.root && r.options.MergeParams {
			n.params = maps.Clone(parents)
			if n.params == nil {
				n.params = map[string]string{}
			}
			maps.Copy(n.params, own)
		}

		// after is what a handler's next means once the layer itself runs.
		after := func(goOn func()) func(error) {
			return func(err error) {
				switch {
				case n.over(err, nil):
				case err == SkipRouter:
					leave(nil)
				case err == SkipRoute:
					from(i+1, nil)
				case err != nil:
					from(i+1, err)
				default:
					goOn()
				}
			}
		}
		nextLayer := func() { from(i+1, nil) }

		n.paramHandlers(r, found, own, pending, func(err error) {
			switch {
			case err == SkipRouter:
				leave(pending)
				return
			case err == SkipRoute:
				from(i+1, pending)
				return
			case err != nil && pending == nil:
				from(i+1, err)
				return
			case err != nil:
				from(i+1, pending)
				return
			}
			if l.kind == routeLayer {
				n.chain(steps, after, nextLayer)
				return
			}
			hidden := base + strings.TrimSuffix(path[:length], "/")
			if n.full != hidden && !strings.HasPrefix(n.full, hidden+"/") {
				from(i+1, pending) // a param handler has set another path
				return
			}
			n.base = hidden
			if l.kind == mountLayer {
				n.walk(l.router, after(nextLayer))
				return
			}
			n.invoke(func(next Next) error { return n.perform(l.steps[0], pending, "", n, next) }, after(nextLayer))
		})
	}
	from(0, nil)
}

func (l naiveLayer) forMethod(method string) []*stepPlan {
	var steps []*stepPlan
	for _, s := range l.steps {
		if s.method == "" || s.method == method {
			steps = append(steps, s)
		}
	}
	return steps
}

// chain runs the handlers of a route.
func (n *naive) chain(steps []*stepPlan, after func(goOn func()) func(error), end func()) {
	if len(steps) == 0 {
		end()
		return
	}
	n.invoke(
		func(next Next) error { return n.perform(steps[0], nil, "", n, next) },
		after(func() { n.chain(steps[1:], after, end) }),
	)
}

// paramHandlers runs those of a layer's own parameters, until one of them fails or skips.
func (n *naive) paramHandlers(r *routerPlan, found []param, own map[string]string, pending error, done func(error)) {
	if len(found) == 0 {
		done(nil)
		return
	}
	name := found[0].name
	rest := func(err error) {
		if err != nil {
			done(err)
			return
		}
		n.paramHandlers(r, found[1:], own, pending, done)
	}
	var steps []*stepPlan
	for _, p := range r.params {
		if slices.Contains(p.names, name) {
			steps = append(steps, p.step)
		}
	}
	memory := n.seen[paramKey{r, name}]
	switch {
	case len(steps) == 0:
		rest(nil)
		return
	case memory != nil && memory.value == own[name]:
		rest(memory.err)
		return
	}
	memory = &paramMemory{value: own[name]}
	n.seen[paramKey{r, name}] = memory
	var run func(steps []*stepPlan)
	run = func(steps []*stepPlan) {
		if len(steps) == 0 {
			rest(nil)
			return
		}
		n.invoke(
			func(next Next) error { return n.perform(steps[0], nil, own[name], n, next) },
			func(err error) {
				switch {
				case n.over(err, pending):
				case err != nil:
					memory.err = err
					done(err)
				default:
					run(steps[1:])
				}
			},
		)
	}
	run(steps)
}

// over tells whether next does nothing: after the final response only errors go on.
func (n *naive) over(err, pending error) bool {
	return n.ended && pending == nil && (err == nil || err == SkipRoute || err == SkipRouter)
}

// invoke calls a handler and then, with what the handler gives to next, the first time.
func (n *naive) invoke(handler func(Next) error, then func(error)) {
	called := false
	next := func(errs ...error) {
		err := errors.Join(errs...)
		if len(errs) == 1 {
			err = errs[0]
		}
		if !called {
			called = true
			then(err)
			return
		}
		if err == nil {
			n.failed(ErrNextTwice, n)
		} else {
			n.failed(errors.Join(ErrNextTwice, err), n)
		}
	}
	err := func() (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = &PanicError{Value: v}
			}
		}()
		return handler(next)
	}()
	if err != nil {
		next(err)
	}
}
