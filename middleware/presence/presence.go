package presence

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/protoo-go/protoo/core"
)

// Options change how presence works. The zero value is what most applications want, unless
// their peers should not know of each other.
type Options struct {
	// MaxNames bounds the names that one peer watches; more are refused with 400. Default 128, a
	// negative number means no bound.
	MaxNames int
	// MaxDevices bounds the devices of one user that an answer lists. Default 16, a negative number
	// means no bound. Changes are told of all devices.
	MaxDevices int
	// Allow says whether a peer may know of a user, when it asks. If not, the user is
	// offline to it. By default everybody may know of everybody. Any goroutine may call it.
	Allow func(watcher *core.Peer, username string) bool
}

// maxNameSize is what core allows a username to have.
const maxNameSize = 256

// New returns a router for the application app, to be mounted in it.
func New(app *core.App, o Options) *core.Router { return newBoard(app, o).router() }

// A board knows who watches whom. Who is online it always asks the application.
type board struct {
	app     *core.App
	options Options

	mu       sync.Mutex
	watchers map[*core.Peer]*watcher
	watched  map[string]map[*watcher]struct{} // by username
}

// A watcher is a peer that watches others.
type watcher struct {
	peer *core.Peer

	// Guarded by the board's lock.
	path  string
	names map[string]struct{}

	// telling is held from looking whether a device is online until that has been sent, so that what is
	// sent last is true.
	telling sync.Mutex
}

func newBoard(app *core.App, o Options) *board {
	if o.MaxNames == 0 {
		o.MaxNames = 128
	}
	if o.MaxDevices == 0 {
		o.MaxDevices = 16
	}
	if o.Allow == nil {
		o.Allow = func(*core.Peer, string) bool { return true }
	}
	b := &board{
		app:      app,
		options:  o,
		watchers: make(map[*core.Peer]*watcher),
		watched:  make(map[string]map[*watcher]struct{}),
	}
	app.OnOnline(b.changed)
	app.OnOffline(func(p *core.Peer) {
		b.forget(p)
		b.changed(p)
	})
	return b
}

func (b *board) router() *core.Router {
	r := b.app.NewRouter(core.RouterOptions{})
	r.Method("presence", "/", b.handle)
	return r
}

type user struct {
	Username string   `json:"username"`
	UUIDs    []string `json:"uuids"`
	More     bool     `json:"more,omitempty"`
}

type change struct {
	Username string `json:"username"`
	UUID     string `json:"uuid"`
	Online   bool   `json:"online"`
}

func (b *board) handle(req *core.Request, _ core.Next) error {
	var data struct{ Usernames []string }
	if err := req.Bind(&data); err != nil {
		return req.Reply(400, `data must be {"usernames":[...]}`)
	}
	names := data.Usernames
	switch {
	case names == nil:
		return req.Reply(400, `data must be {"usernames":[...]}`)
	case b.options.MaxNames >= 0 && len(names) > b.options.MaxNames:
		return req.Reply(400, fmt.Sprintf("%d usernames, at most %d can be watched", len(names), b.options.MaxNames))
	case slices.ContainsFunc(names, func(name string) bool { return name == "" || len(name) > maxNameSize }):
		return req.Reply(400, fmt.Sprintf("a username has 1 to %d bytes", maxNameSize))
	}
	allowed := make(map[string]struct{}, len(names))
	for _, name := range names {
		if b.options.Allow(req.Peer(), name) {
			allowed[name] = struct{}{}
		}
	}
	w := b.watch(req.Peer(), req.OriginalPath(), allowed)
	if req.Context().Err() != nil {
		// The peer has gone, perhaps before it was entered, so that nobody would remove it.
		b.forget(req.Peer())
	}
	before := b.users(names, allowed)
	err := req.Reply(200, "OK", struct {
		Users []user `json:"users"`
	}{before})
	b.tellDifference(w, before, b.users(names, allowed))
	return err
}

// watch makes names what a peer watches.
func (b *board) watch(p *core.Peer, path string, names map[string]struct{}) *watcher {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.watchers[p]
	if w == nil {
		w = &watcher{peer: p}
		b.watchers[p] = w
	}
	b.setNames(w, names)
	w.path = path
	return w
}

// forget removes a watcher. Until then it stays the same one, with its lock, also when it watches nobody.
func (b *board) forget(p *core.Peer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w := b.watchers[p]; w != nil {
		b.setNames(w, nil)
		delete(b.watchers, p)
	}
}

// setNames enters a watcher under its names. b.mu is held.
func (b *board) setNames(w *watcher, names map[string]struct{}) {
	for name := range w.names {
		delete(b.watched[name], w)
		if len(b.watched[name]) == 0 {
			delete(b.watched, name)
		}
	}
	w.names = names
	for name := range names {
		if b.watched[name] == nil {
			b.watched[name] = make(map[*watcher]struct{})
		}
		b.watched[name][w] = struct{}{}
	}
}

// users lists the users with their devices, nothing of those that are not allowed.
func (b *board) users(names []string, allowed map[string]struct{}) []user {
	users := make([]user, len(names))
	for i, name := range names {
		u := user{Username: name, UUIDs: []string{}}
		if _, ok := allowed[name]; ok {
			b.app.Peers(name, "", func(p *core.Peer) { u.UUIDs = append(u.UUIDs, p.UUID()) })
		}
		if most := b.options.MaxDevices; most >= 0 && len(u.UUIDs) > most {
			u.UUIDs, u.More = u.UUIDs[:most], true
		}
		users[i] = u
	}
	return users
}

// tellDifference tells a watcher what has changed since its answer was made: it may have been told before it got
// the answer, which then was out of date.
func (b *board) tellDifference(w *watcher, before, after []user) {
	for i, u := range before {
		for _, uuid := range u.UUIDs {
			if !slices.Contains(after[i].UUIDs, uuid) {
				b.tell(w, u.Username, uuid)
			}
		}
		for _, uuid := range after[i].UUIDs {
			if !slices.Contains(u.UUIDs, uuid) {
				b.tell(w, u.Username, uuid)
			}
		}
	}
}

// changed tells those who watch the user of a device that has come online or gone offline.
func (b *board) changed(p *core.Peer) {
	b.mu.Lock()
	watchers := slices.Collect(maps.Keys(b.watched[p.Username()]))
	b.mu.Unlock()
	for _, w := range watchers {
		b.tell(w, p.Username(), p.UUID())
	}
}

// tell tells a watcher whether a device is online, if it watches the user.
func (b *board) tell(w *watcher, username, uuid string) {
	w.telling.Lock()
	defer w.telling.Unlock()
	b.mu.Lock()
	_, watches := w.names[username]
	path := w.path
	b.mu.Unlock()
	if !watches {
		return
	}
	state := change{username, uuid, b.app.Peer(username, uuid) != nil}
	// A broadcast because nobody waits for the answer. It cannot fail: all of it has been a message before.
	_, _ = b.app.Broadcast(w.peer.Username(), w.peer.UUID(), core.NewRequest("presence", path, state))
}
