package core

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// A Handler handles a request or passes it on by calling next. Returning an error
// is calling next with it. A handler that returns nil and has neither called next nor replied has taken
// the request over: it, or a goroutine it has handed the request to, does so later.
type Handler func(req *Request, next Next) error

// An ErrorHandler handles a request that has failed with err. When it calls next
// without an error the walk goes on as if nothing had failed.
type ErrorHandler func(err error, req *Request, next Next) error

// A ParamHandler sees the value of a path parameter before the handlers of the layer whose
// pattern it is part of. It runs once per request and router for the same name and value, and
// again when another value of that name has come between. Where it is not run again, what it failed
// with, or skipped, counts again.
type ParamHandler func(req *Request, next Next, value string) error

// Next passes a request on to what follows in the stack: to the handlers, or, when
// it is given an error, to the error handlers. [SkipRoute] and [SkipRouter] skip what their names say. It
// may be called from any goroutine, once. It returns when the handlers that follow
// have returned. After the final response it does nothing, unless it is given an error.
type Next func(errs ...error)

// A Router is an ordered stack of middleware, routes and error handlers. Layers
// may be added at any time, also while requests are served: a request sees the
// stack as it was when it entered the router.
//
// The registering methods panic when a path is malformed or a handler is nil: both
// are mistakes in the program.
type Router struct {
	options RouterOptions

	mu     sync.Mutex            // serializes registration
	stack  atomic.Pointer[stack] // immutable
	params atomic.Pointer[map[string][]*callee]
}

// RouterOptions says how a router matches paths. In one made by
// [App.NewRouter] what is false is inherited from the application's settings.
type RouterOptions struct {
	CaseSensitive bool // /Users and /users differ
	Strict        bool // /users/ and /users differ
	MergeParams   bool // parameters of the parent router's pattern are visible, unless one of the same name hides them
}

// stack is what a router walks. Its index is made when the first request comes,
// so that registering many layers stays cheap.
type stack struct {
	layers   []*layer
	matchers []*matcher
	indexing sync.Once
	index    *index
}

func (s *stack) candidates(path string, from int) candidates {
	s.indexing.Do(func() { s.index = newIndex(s.matchers) })
	return s.index.candidates(path, from)
}

// layer is one entry of a stack: exactly one of its handlers is set.
type layer struct {
	pattern string
	routes  atomic.Pointer[[]routeName] // what the pattern is part of
	matcher *matcher
	use     *callee
	catch   *callee
	route   *Route
}

func newRouter(o RouterOptions) *Router {
	r := &Router{options: o}
	r.stack.Store(&stack{})
	r.params.Store(&map[string][]*callee{})
	return r
}

// Use mounts handlers at a path: they run for every request whose path begins with it, up to a slash
// or the end, with that part taken off [Request.Path]. The path "/" matches every request.
func (r *Router) Use(path string, handlers ...Handler) { r.UseOn(Path(path), handlers...) }

// UseOn is Use for a pattern of any kind.
func (r *Router) UseOn(pattern Pattern, handlers ...Handler) {
	some("Use", len(handlers))
	m := r.compile(pattern, false)
	layers := make([]*layer, len(handlers))
	for i, h := range handlers {
		layers[i] = &layer{pattern: pattern.String(), matcher: m, use: handlerCallee(h)}
	}
	r.add(layers...)
}

// Catch mounts error handlers at a path, in the same ordered stack. They run for requests
// that failed earlier in the stack.
func (r *Router) Catch(path string, handlers ...ErrorHandler) { r.CatchOn(Path(path), handlers...) }

// CatchOn is Catch for a pattern of any kind.
func (r *Router) CatchOn(pattern Pattern, handlers ...ErrorHandler) {
	some("Catch", len(handlers))
	m := r.compile(pattern, false)
	layers := make([]*layer, len(handlers))
	for i, h := range handlers {
		if h == nil {
			panic("core: nil error handler")
		}
		layers[i] = &layer{pattern: pattern.String(), matcher: m, catch: &callee{onError: h}}
	}
	r.add(layers...)
}

// Route adds a route for a path and returns it, to be given its handlers.
func (r *Router) Route(path string) *Route { return r.RouteOn(Path(path)) }

// RouteOn is Route for a pattern of any kind.
func (r *Router) RouteOn(pattern Pattern) *Route {
	route := &Route{}
	route.handlers.Store(new([]routeHandler))
	r.add(&layer{pattern: pattern.String(), matcher: r.compile(pattern, true), route: route})
	return route
}

// Method adds a route for requests with the given method, any at all.
func (r *Router) Method(method, path string, handlers ...Handler) {
	r.Route(path).Method(method, handlers...)
}

// Message adds a route for requests with the method "message".
func (r *Router) Message(path string, handlers ...Handler) { r.Route(path).Message(handlers...) }

// Session adds a route for requests with the method "session".
func (r *Router) Session(path string, handlers ...Handler) { r.Route(path).Session(handlers...) }

// All adds a route for requests with any method.
func (r *Router) All(path string, handlers ...Handler) { r.Route(path).All(handlers...) }

// Param registers a handler for the path parameters with the given names in this router's own
// patterns. Routers mounted in it do not inherit it.
func (r *Router) Param(handler ParamHandler, names ...string) {
	if handler == nil {
		panic("core: nil param handler")
	}
	some("Param", len(names))
	r.mu.Lock()
	defer r.mu.Unlock()
	old := *r.params.Load()
	params := make(map[string][]*callee, len(old)+len(names))
	maps.Copy(params, old)
	for _, name := range names {
		params[name] = append(slices.Clip(params[name]), &callee{onParam: handler})
	}
	r.params.Store(&params)
}

// Handle walks a request down the router's stack, and calls next when nothing there has taken it. It is
// itself a [Handler], which is how routers are mounted:
//
//	app.Use("/users", users.Handle)
func (r *Router) Handle(req *Request, next Next) error {
	w := &walk{}
	w.start(req, r, next)
	return nil
}

func (r *Router) setMatching(caseSensitive, strict bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.options.CaseSensitive, r.options.Strict = caseSensitive, strict
}

func (r *Router) compile(pattern Pattern, end bool) *matcher {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, err := pattern.compile(matchOptions{
		caseSensitive: r.options.CaseSensitive,
		strict:        r.options.Strict,
		end:           end,
	})
	if err != nil {
		panic(fmt.Sprintf("core: %v", err))
	}
	return m
}

func (r *Router) add(layers ...*layer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.stack.Load()
	// Appending in place is safe: an older stack never looks beyond its own length.
	s := &stack{layers: append(old.layers, layers...), matchers: old.matchers}
	for _, l := range layers {
		s.matchers = append(s.matchers, l.matcher)
	}
	r.stack.Store(s)
}

// A Route is a path with handlers for some or all methods, which run in the order in which they were added.
type Route struct {
	mu       sync.Mutex
	handlers atomic.Pointer[[]routeHandler]
}

type routeHandler struct {
	method string // "" for all
	callee *callee
}

// All adds handlers for requests with any method.
func (r *Route) All(handlers ...Handler) *Route { return r.add("All", "", handlers) }

// Message adds handlers for requests with the method "message".
func (r *Route) Message(handlers ...Handler) *Route { return r.add("Message", "message", handlers) }

// Session adds handlers for requests with the method "session".
func (r *Route) Session(handlers ...Handler) *Route { return r.add("Session", "session", handlers) }

// Method adds handlers for requests with the given method.
func (r *Route) Method(method string, handlers ...Handler) *Route {
	if err := validMethod(method); err != nil {
		panic(fmt.Sprintf("core: %v", err))
	}
	return r.add("Method", method, handlers)
}

func (r *Route) add(caller, method string, handlers []Handler) *Route {
	some(caller, len(handlers))
	r.mu.Lock()
	defer r.mu.Unlock()
	all := append([]routeHandler(nil), *r.handlers.Load()...)
	for _, h := range handlers {
		all = append(all, routeHandler{method, handlerCallee(h)})
	}
	r.handlers.Store(&all)
	return r
}

func (r *Route) handles(method string) bool {
	_, c := r.from(0, method)
	return c != nil
}

// from returns the first handler for method at or after position i, and its position.
func (r *Route) from(i int, method string) (int, *callee) {
	handlers := *r.handlers.Load()
	for ; i < len(handlers); i++ {
		if h := &handlers[i]; h.method == "" || h.method == method {
			return i, h.callee
		}
	}
	return len(handlers), nil
}

func handlerCallee(h Handler) *callee {
	if h == nil {
		panic("core: nil handler")
	}
	return &callee{onRequest: h}
}

func some(method string, n int) {
	if n == 0 {
		panic("core: " + method + " needs at least one argument after the path")
	}
}
