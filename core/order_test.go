package core

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// seen is what the handlers of a plan use of a request, be it core's or naive's.
type seen interface {
	Path() string
	BasePath() string
	OriginalPath() string
	Params() map[string]string
	Param(name string) string
	Ended() bool
	SetPath(path string) error
	OnResponse(fn func(*Response))
	Reply(status int, reason string, data ...any) error
}

// A trial records how an application treats requests. In an asynchronous one, handlers
// return at once and act later, on other goroutines.
type trial struct {
	journal
	async bool
	queue []func()
}

func (t *trial) answered(status int, reason string, data JSON) {
	t.add("%d %s %s", status, reason, data)
}

func (t *trial) failed(err error, req seen) { t.add("!%v in %s", err, place(req)) }

func place(req seen) string {
	return fmt.Sprintf("%s, %s hidden, of %s, params%s, ended %v",
		req.Path(), req.BasePath(), req.OriginalPath(), paramText(req), req.Ended())
}

// finish runs what handlers have put off, and returns what has happened.
func (t *trial) finish() []string {
	for len(t.queue) > 0 {
		fn := t.queue[0]
		t.queue = t.queue[1:]
		done := make(chan struct{})
		go func() {
			defer close(done)
			fn()
		}()
		<-done
	}
	entries := t.entries
	t.entries = nil
	return entries
}

// perform is every handler of a plan: err is what an error handler gets, value what a param handler gets.
func (t *trial) perform(s *stepPlan, err error, value string, req seen, next Next) error {
	t.add("%s sees %s, value %q, error %v", s.name, place(req), value, err)
	if !t.async {
		return t.act(s, req, next)
	}
	t.queue = append(t.queue, func() {
		defer func() {
			if v := recover(); v != nil {
				next(&PanicError{Value: v})
			}
		}()
		if err := t.act(s, req, next); err != nil {
			next(err)
		}
	})
	return nil
}

func (t *trial) act(s *stepPlan, req seen, next Next) error {
	failure := errors.New(s.name + " failed")
	reply := func(status int) {
		if err := req.Reply(status, s.name); err != nil {
			t.add("%s cannot reply: %v", s.name, err)
		}
	}
	switch s.act {
	case doPass:
		next()
	case doPassNil:
		next(nil)
	case doFail:
		next(failure)
	case doFailTwice:
		next(failure, fs.ErrExist)
	case doReturnError:
		return failure
	case doReject:
		return Error(403, s.name)
	case doPanic:
		panic(s.name)
	case doSkipRoute:
		next(SkipRoute)
	case doSkipRouter:
		next(SkipRouter)
	case doReturnSkip:
		return SkipRoute
	case doReturnLeave:
		return SkipRouter
	case doReply:
		reply(200)
	case doReplyPass:
		reply(200)
		next()
	case doReplyFail:
		reply(500)
		return failure
	case doReplySkip:
		reply(200)
		next(SkipRouter)
	case doReplyTwice:
		reply(200)
		reply(404)
		reply(100)
		next()
	case doProvisional:
		reply(100)
		next()
	case doPassTwice:
		next()
		next()
	case doPassAndReturn:
		next()
		return failure
	case doSetPath:
		if err := req.SetPath(s.path); err != nil {
			t.add("%s cannot set the path", s.name)
		}
		next()
	case doListen:
		req.OnResponse(func(res *Response) {
			t.add("%s hears %d %s %s", s.name, res.Status(), res.Reason(), res.Data())
			if res.IsAccept() {
				_ = res.SetData(s.name)
			}
		})
		next()
	case doTakeOver:
	}
	return nil
}

// build makes the application that the plan describes.
func (a *appPlan) build(t *trial) *App {
	o := Options{Env: "test", CaseSensitiveRouting: a.caseSensitive, StrictRouting: a.strict}
	if a.production {
		o.Env = "production"
	}
	app := New(o)
	routers := map[*routerPlan]*Router{a.root: app.Router}
	var fill func(r *routerPlan)
	fill = func(plan *routerPlan) {
		r := routers[plan]
		for _, p := range plan.params {
			r.Param(func(req *Request, next Next, value string) error {
				return t.perform(p.step, nil, value, req, next)
			}, p.names...)
		}
		for _, l := range plan.layers {
			switch l.kind {
			case mountLayer:
				if routers[l.router] == nil {
					routers[l.router] = app.NewRouter(l.router.options)
					fill(l.router)
				}
				r.UseOn(l.pattern(), routers[l.router].Handle)
			case useLayer:
				var handlers []Handler
				for _, s := range l.steps {
					handlers = append(handlers, t.handler(s))
				}
				r.UseOn(l.pattern(), handlers...)
			case catchLayer:
				var handlers []ErrorHandler
				for _, s := range l.steps {
					handlers = append(handlers, func(err error, req *Request, next Next) error {
						return t.perform(s, err, "", req, next)
					})
				}
				r.CatchOn(l.pattern(), handlers...)
			case routeLayer:
				route := r.RouteOn(l.pattern())
				for _, s := range l.steps {
					if s.method == "" {
						route.All(t.handler(s))
					} else {
						route.Method(s.method, t.handler(s))
					}
				}
			}
		}
	}
	fill(a.root)
	app.OnRouteError(func(err error, req *Request) { t.failed(err, req) })
	return app
}

func (t *trial) handler(s *stepPlan) Handler {
	return func(req *Request, next Next) error { return t.perform(s, nil, "", req, next) }
}

// A question is a request to an application.
type question struct{ method, path string }

// An experiment asks core and naive the same.
type experiment struct {
	plan      *appPlan
	questions []question
}

func newExperiment(c chooser, questions int) *experiment {
	e := &experiment{plan: newAppPlan(c)}
	for range questions {
		e.questions = append(e.questions, question{pick(c, planMethods), pick(c, planPaths)})
	}
	return e
}

// Handlers act at once, then later.
var asynchronous = []bool{false, true}

// naive tells what has to happen.
func (e *experiment) naive() (entries [][]string) {
	t := &trial{}
	for _, async := range asynchronous {
		t.async = async
		for _, q := range e.questions {
			n := &naive{trial: t, plan: e.plan, method: q.method, full: q.path, seen: map[paramKey]*paramMemory{}}
			n.handle()
			entries = append(entries, t.finish())
		}
	}
	return entries
}

// core tells what happens.
func (e *experiment) core(tb testing.TB) (entries [][]string) {
	t := &trial{}
	peer := newAsker(tb, e.plan.build(t), func(m *message) { t.answered(m.status, m.reason, m.data) })
	for _, async := range asynchronous {
		t.async = async
		for _, q := range e.questions {
			peer.ask(q.method, q.path)
			entries = append(entries, t.finish())
		}
	}
	return entries
}

// difference tells how core and naive disagree, or what it matters when handlers act; "" when all is well.
func (e *experiment) difference(tb testing.TB) string {
	expected := e.naive()
	for i, got := range e.core(tb) {
		if want := expected[i]; !slices.Equal(got, want) {
			q := e.questions[i%len(e.questions)]
			return fmt.Sprintf("%v, handlers act later: %v\n\tcore\n%s\tnaive\n%s", q, i >= len(e.questions), lines(got), lines(want))
		}
	}
	for i, q := range e.questions {
		now, later := onceOnly(expected[i]), onceOnly(expected[i+len(e.questions)])
		if !slices.Equal(now, later) {
			return fmt.Sprintf("%v\n\tat once\n%s\tlater\n%s", q, lines(now), lines(later))
		}
	}
	return ""
}

// onceOnly leaves out the reports that next was called again: when handlers act on goroutines, it
// is up to them what has happened before.
func onceOnly(entries []string) []string {
	return slices.DeleteFunc(entries, func(entry string) bool { return strings.HasPrefix(entry, "!"+ErrNextTwice.Error()) })
}

func lines(entries []string) string {
	return strings.Join(entries, "\n") + "\n"
}

// check is difference that first makes an experiment that fails as small as it easily can.
func (e *experiment) check(tb testing.TB) string {
	if e.difference(tb) == "" {
		return ""
	}
	fails := func() bool { return e.difference(tb) != "" }
	dropSome(&e.questions, 1, fails)
	e.plan.shrink(fails)
	return e.plan.String() + e.difference(tb)
}

func TestOrder(t *testing.T) {
	seeds := uint64(2000)
	if testing.Short() || runtime.GOARCH == "wasm" {
		seeds /= 10 // WebAssembly is about that much slower
	}
	for seed := range seeds {
		random := rand.New(rand.NewPCG(seed, 0))
		if difference := newExperiment(random.IntN, 4).check(t); difference != "" {
			t.Fatalf("seed %d\n%s", seed, difference)
		}
	}
}

// The plans must reach what they are for, or the comparison proves little.
func TestOrderReachesEverything(t *testing.T) {
	reached := map[act]int{}
	requests, steps, deepest := 0, 0, 0
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		e := newExperiment(random.IntN, 8)
		byName := map[string]act{}
		for _, r := range e.plan.root.routers() {
			for _, p := range r.params {
				byName[p.step.name] = p.step.act
			}
			for _, l := range r.layers {
				for _, s := range l.steps {
					byName[s.name] = s.act
				}
			}
		}
		for _, entries := range e.naive() {
			requests++
			for _, entry := range entries {
				name, rest, ok := strings.Cut(entry, " sees ")
				if !ok {
					continue
				}
				reached[byName[name]]++
				steps++
				_, rest, _ = strings.Cut(rest, ", ")
				hidden, _, _ := strings.Cut(rest, " hidden")
				deepest = max(deepest, strings.Count(hidden, "/"))
			}
		}
	}
	for _, act := range acts {
		if reached[act] < 10 {
			t.Errorf("only %d handlers that do %q were reached", reached[act], act)
		}
	}
	t.Logf("%d handlers ran in %d requests, at most %d segments were hidden", steps, requests, deepest)
	if steps < 3*requests || deepest < 3 {
		t.Error("that is too little")
	}
}
