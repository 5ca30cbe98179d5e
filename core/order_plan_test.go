package core

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// An appPlan describes an application whose handlers do something odd now and then. It is
// made from numbers that somebody chooses: a random generator or a fuzzer.
type appPlan struct {
	caseSensitive, strict, production bool
	root                              *routerPlan
}

type routerPlan struct {
	name    string
	options RouterOptions
	params  []*paramPlan
	layers  []*layerPlan
}

type paramPlan struct {
	names []string
	step  *stepPlan
}

type layerPlan struct {
	kind     layerKind
	patterns []string
	steps    []*stepPlan
	router   *routerPlan // of a mount
}

type layerKind string

const (
	useLayer   layerKind = "use"
	catchLayer layerKind = "catch"
	routeLayer layerKind = "route"
	mountLayer layerKind = "mount"
)

// A stepPlan is a handler of any of the three kinds.
type stepPlan struct {
	name   string
	method string // in a route; "" for all
	act    act
	path   string // to be set
}

// act is what a handler does.
type act string

const (
	doPass          act = "pass"
	doPassNil       act = "pass nil"
	doFail          act = "fail"
	doFailTwice     act = "fail with two errors"
	doReturnError   act = "return an error"
	doReject        act = "reject"
	doPanic         act = "panic"
	doSkipRoute     act = "skip route"
	doSkipRouter    act = "skip router"
	doReturnSkip    act = "return skip route"
	doReturnLeave   act = "return skip router"
	doReply         act = "reply"
	doReplyPass     act = "reply and pass"
	doReplyFail     act = "reply and fail"
	doReplySkip     act = "reply and skip router"
	doReplyTwice    act = "reply twice and pass"
	doProvisional   act = "reply provisionally and pass"
	doPassTwice     act = "pass twice"
	doPassAndReturn act = "pass and return an error"
	doSetPath       act = "set the path and pass"
	doListen        act = "listen to responses and pass"
	doTakeOver      act = "take over"
)

// The acts that end a walk stand once, or most walks would be short.
var acts = slices.Concat(
	slices.Repeat([]act{doPass}, 60),
	slices.Repeat([]act{doFail, doReturnError, doSkipRoute, doSkipRouter, doListen, doProvisional}, 2),
	slices.Repeat([]act{doSetPath}, 4),
	[]act{doPassNil, doFailTwice, doReject, doPanic, doReturnSkip, doReturnLeave, doReply, doReplyPass, doReplyFail, doReplySkip,
		doReplyTwice, doPassTwice, doPassAndReturn, doTakeOver},
)

var planPaths = []string{
	"/", "/a", "/A", "/b", "/a/", "/a/b", "/a/b/a", "/b/a/1", "/a/a/a/a", "/1/2/", "/a/1/b/2", "//", "/a//b", "/ab/a", "/a.b",
	"/%61/b", "/a%2Fb", "/%C3%A9/a", "/a/%zz", "/%ff/b", "/a-b/1", "/b/b/b/b/b",
}

// Patterns that start with ^ are regular expressions.
var planPatterns = slices.Concat(
	slices.Repeat([]string{"/", "*", "/:x", "/:x/:y?", "/a"}, 4),
	[]string{
		"/b", "/a/b", "/a/", "/:x/:y", "/:x?", "/a/:x", "/:x/b", "/:x/:x", "/a*", "/ab?", `/:n(\d+)`, "/:x.:y", "/:x-:y",
		"/(a|b)/:x", "/(.*)/:y", `^/(a|b)`, `^/(?P<x>[^/]+)/?`, `^(?:/a)?/b`, `^.*$`,
	},
)

var planMethods = []string{"message", "session", "other"}

// choose returns a number from 0 to n-1.
type chooser func(n int) int

func pick[T any](c chooser, of []T) T { return of[c(len(of))] }

// planner makes plans. Names are numbered throughout a plan.
type planner struct {
	chooser
	steps   int
	started int           // routers
	leaves  []*routerPlan // those without routers in them: what is mounted twice must not double at each level
}

func newAppPlan(c chooser) *appPlan {
	p := &planner{chooser: c}
	a := &appPlan{caseSensitive: c(4) == 3, strict: c(4) == 3, production: c(4) == 3}
	a.root = p.router(0)
	return a
}

func (p *planner) router(depth int) *routerPlan {
	r := &routerPlan{
		name:    fmt.Sprint("r", p.started),
		options: RouterOptions{CaseSensitive: p.chooser(6) == 5, Strict: p.chooser(6) == 5, MergeParams: p.chooser(2) == 1},
	}
	p.started++
	for range p.chooser(3) {
		names := [][]string{{"x"}, {"y"}, {"x", "y"}, {"n", "0"}}
		r.params = append(r.params, &paramPlan{pick(p.chooser, names), p.step()})
	}
	for range 2 + p.chooser(12-3*depth) {
		r.layers = append(r.layers, p.layer(depth))
	}
	if len(r.routers()) == 1 {
		p.leaves = append(p.leaves, r)
	}
	return r
}

func (p *planner) layer(depth int) *layerPlan {
	kinds := []layerKind{useLayer, useLayer, catchLayer, catchLayer, routeLayer, routeLayer, mountLayer, mountLayer}
	l := &layerPlan{kind: pick(p.chooser, kinds), patterns: []string{pick(p.chooser, planPatterns)}}
	if p.chooser(8) == 7 {
		l.patterns = append(l.patterns, pick(p.chooser, planPatterns))
	}
	switch {
	case l.kind != mountLayer:
	case depth == 3:
		l.kind = useLayer
	case len(p.leaves) > 0 && p.chooser(4) == 3:
		l.router = pick(p.chooser, p.leaves)
		return l
	default:
		l.router = p.router(depth + 1)
		return l
	}
	for range 1 + p.chooser(3) {
		s := p.step()
		if l.kind == routeLayer && p.chooser(3) > 0 {
			s.method = pick(p.chooser, planMethods)
		}
		l.steps = append(l.steps, s)
	}
	return l
}

func (p *planner) step() *stepPlan {
	p.steps++
	s := &stepPlan{name: fmt.Sprint("h", p.steps), act: pick(p.chooser, acts)}
	if s.act == doSetPath {
		s.path = pick(p.chooser, planPaths)
	}
	return s
}

func (l *layerPlan) pattern() Pattern {
	var alternatives []Pattern
	for _, p := range l.patterns {
		if strings.HasPrefix(p, "^") {
			alternatives = append(alternatives, Regexp(regexp.MustCompile(p)))
		} else {
			alternatives = append(alternatives, Path(p))
		}
	}
	if len(alternatives) == 1 {
		return alternatives[0]
	}
	return AnyOf(alternatives...)
}

// routers returns all that can be reached from r, each once.
func (r *routerPlan) routers() []*routerPlan {
	all := []*routerPlan{r}
	for _, l := range r.layers {
		if l.router == nil {
			continue
		}
		for _, below := range l.router.routers() {
			if !slices.Contains(all, below) {
				all = append(all, below)
			}
		}
	}
	return all
}

// shrink takes out whatever the plan can do without and still fail.
func (a *appPlan) shrink(fails func() bool) {
	for again := true; again; {
		again = false
		for _, flag := range []*bool{&a.caseSensitive, &a.strict, &a.production} {
			again = simplify(flag, false, fails) || again
		}
		for _, r := range a.root.routers() {
			again = dropSome(&r.layers, 0, fails) || again
			again = dropSome(&r.params, 0, fails) || again
			again = simplify(&r.options, RouterOptions{}, fails) || again
			for _, p := range r.params {
				again = simplify(&p.step.act, doPass, fails) || again
			}
			for _, l := range r.layers {
				again = dropSome(&l.patterns, 1, fails) || again
				again = dropSome(&l.steps, 1, fails) || again
				for _, s := range l.steps {
					again = simplify(&s.act, doPass, fails) || again
				}
			}
		}
	}
}

func simplify[T comparable](v *T, simple T, fails func() bool) bool {
	old := *v
	if old == simple {
		return false
	}
	if *v = simple; fails() {
		return true
	}
	*v = old
	return false
}

func dropSome[T any](list *[]T, least int, fails func() bool) (dropped bool) {
	for i := len(*list) - 1; i >= 0 && len(*list) > least; i-- {
		old := *list
		if *list = slices.Delete(slices.Clone(old), i, i+1); fails() {
			dropped = true
		} else {
			*list = old
		}
	}
	return dropped
}

func (a *appPlan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "app: caseSensitive %v, strict %v, production %v, router %s\n", a.caseSensitive, a.strict, a.production, a.root.name)
	for _, r := range a.root.routers() {
		fmt.Fprintf(&b, "%s: %+v\n", r.name, r.options)
		for _, p := range r.params {
			fmt.Fprintf(&b, "  param %v %v\n", p.names, p.step)
		}
		for _, l := range r.layers {
			fmt.Fprintf(&b, "  %s %q", l.kind, l.patterns)
			if l.router != nil {
				b.WriteString(" " + l.router.name)
			}
			for _, s := range l.steps {
				fmt.Fprintf(&b, " %v", s)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func (s *stepPlan) String() string {
	text := string(s.act)
	if s.act == doSetPath {
		text += " " + s.path
	}
	if s.method != "" {
		text = s.method + ": " + text
	}
	return s.name + "(" + text + ")"
}
