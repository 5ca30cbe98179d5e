package core

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"time"
)

// A Request is a protoo request: one that a peer has sent, on its way through the
// routers, or one that the application has made with [NewRequest] to send to peers.
//
// A request belongs to one goroutine at a time; see the package documentation.
type Request struct {
	peer   *Peer
	method string
	id     string // JSON text; "" if none was chosen
	full   string // the path as it was sent, or as SetPath left it
	base   int    // how much of full is hidden from the current handler
	data   JSON
	params []param
	rare   *rare // nil when there is nothing of it
	ended  atomic.Bool
	size   int32 // of the message that the strings are substrings of

	newer, older *Request // of the peer's requests in progress; guarded by peer.mu

	loop     *Loop // on which the request was received, with the turn it was handled in
	loopTurn uint64

	walk  *walk         // of the router that has it
	began time.Duration // on the clock, if somebody observes

	watcher *ResponseWatcher // the first; others are rare

	root  walk
	space [2]param // for params
}

// rare is what few requests have. It is apart from them because objects of up to 512 bytes cost
// the collector less.
type rare struct {
	sender  JSON
	bad     error // why a request of the application's own cannot be sent
	timeout time.Duration
	trace   string // the W3C trace context
	values  map[string]any
	calls   []paramCall

	watchers []*ResponseWatcher // but the first
}

var nothingRare rare

// look returns what is rare about the request, to be read only.
func (r *Request) look() *rare {
	if r.rare == nil {
		return &nothingRare
	}
	return r.rare
}

// change returns what is rare about the request, to be written to.
func (r *Request) change() *rare {
	if r.rare == nil {
		r.rare = &rare{}
	}
	return r.rare
}

// paramCall records that a router's param handlers have seen a value.
type paramCall struct {
	router      *Router
	name, value string
	err         error
}

// NewRequest makes a request for [Peer.Send]. Data is anything encoding/json can
// encode, a [JSON] or json.RawMessage is sent as it is, nil is no data. A request that
// cannot be sent, for its method, path or data, is answered with a local 400 that says why.
func NewRequest(method, path string, data any) *Request {
	r := &Request{method: method, full: path}
	err := validMethod(method)
	if err == nil {
		err = validPath(path)
	}
	if err == nil {
		r.data, err = toJSON(data)
	}
	if err != nil {
		r.change().bad = err
	}
	return r
}

// App returns the application that handles the request; nil for one made with NewRequest.
func (r *Request) App() *App {
	if r.peer == nil {
		return nil
	}
	return r.peer.app
}

// Peer returns the peer the request came from; nil for one made with NewRequest.
func (r *Request) Peer() *Peer { return r.peer }

// Method returns the method: "message", "session" or any other.
func (r *Request) Method() string { return r.method }

// ID returns the transaction's identifier, as text if it is a number; "" for one
// made with NewRequest and without SetID.
func (r *Request) ID() string { return idText(r.id) }

// Path returns the requested path, without the part that the patterns of the routers
// and middleware around the current handler have matched. It starts with a slash.
func (r *Request) Path() string {
	if r.base == len(r.full) {
		return "/"
	}
	return r.full[r.base:]
}

// BasePath returns the part of the path that Path leaves out: "" at the top.
func (r *Request) BasePath() string { return r.full[:r.base] }

// OriginalPath returns the whole path: BasePath and Path.
func (r *Request) OriginalPath() string { return r.full }

// SetPath replaces what Path returns. The layers that follow, and whoever the request is
// forwarded to, see the new path. When a param handler replaces the part that its layer is mounted
// on, that layer is passed over. SetPath fails if the whole path would not be valid.
func (r *Request) SetPath(path string) error {
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("core: path %q does not start with a slash", path)
	}
	full := path
	if r.base > 0 {
		full = r.full[:r.base] + path
	}
	if err := validPath(full); err != nil {
		return err
	}
	r.full = full
	return nil
}

// Data returns the request's data, "" if it has none. A param handler or middleware that
// wants it decoded uses Bind.
func (r *Request) Data() JSON { return r.data }

// SetData replaces the request's data, encoded as NewRequest does it.
func (r *Request) SetData(data any) error {
	j, err := toJSON(data)
	if err != nil {
		return err
	}
	r.data = j
	return nil
}

// Bind decodes the request's data into v as json.Unmarshal does. An error it returns is fit
// for the peer's eyes: a handler can return it and the peer gets a 400.
func (r *Request) Bind(v any) error {
	if err := r.data.Bind(v); err != nil {
		return Error(400, "invalid data: "+err.Error())
	}
	return nil
}

// Sender returns who sent the request, as it will be told to those it is forwarded to: an object with
// "username" and "uuid" when it came from a peer. Under [Options].TrustSender it is what the peer says.
func (r *Request) Sender() JSON {
	sender := r.look().sender
	if sender == "" && r.peer != nil && !r.peer.app.trustSender {
		return r.peer.sender()
	}
	return sender
}

// SetSender replaces what Sender returns: any object, or nil for none.
func (r *Request) SetSender(sender any) error {
	j, err := toJSON(sender)
	if err != nil {
		return err
	}
	if j != "" && j[0] != '{' {
		return fmt.Errorf("core: sender must be a JSON object, got %.20s", string(j))
	}
	r.change().sender = j
	return nil
}

// SetID chooses the identifier for a request of the application's own, 1 to 128 bytes. Without it, one is made up.
func (r *Request) SetID(id string) error {
	text := string(appendString(nil, id))
	if err := validID(text); err != nil {
		return err
	}
	r.id = text
	return nil
}

// SetTimeout says how long peers may take to answer when the request is sent to them.
// Zero, the default, is what the application's options say for the method.
func (r *Request) SetTimeout(d time.Duration) { r.change().timeout = d }

// Param returns the value of a path parameter, percent-decoded, or "". Groups
// without a name have the names "0", "1" and so on.
func (r *Request) Param(name string) string { return lookup(r.params, name) }

// Params returns all path parameters that the current handler sees.
func (r *Request) Params() map[string]string {
	all := make(map[string]string, len(r.params))
	for _, p := range r.params {
		all[p.name] = p.value
	}
	return all
}

// Set stores a value under a name for the handlers that follow.
func (r *Request) Set(name string, value any) {
	c := r.change()
	if c.values == nil {
		c.values = make(map[string]any)
	}
	c.values[name] = value
}

// Get returns what was stored under a name, or nil.
func (r *Request) Get(name string) any { return r.look().values[name] }

// Values returns a copy of all that was stored with Set.
func (r *Request) Values() map[string]any { return maps.Clone(r.look().values) }

// Ended tells whether the request has got its final response. Any goroutine may ask.
func (r *Request) Ended() bool { return r.ended.Load() }

// Context returns a context that ends when the peer goes offline. A handler that waits
// with it lets the connection's reading go on at once; see [Transaction.Wait].
func (r *Request) Context() context.Context {
	if r.peer == nil {
		return context.Background()
	}
	return requestContext{r.peer.context(), r}
}

// requestContext leads from a context back to the request it was made for.
type requestContext struct {
	context.Context
	req *Request
}

type requestKey struct{}

func (c requestContext) Value(key any) any {
	if key == (requestKey{}) {
		return c.req
	}
	return c.Context.Value(key)
}

// detach frees the loop for others because the goroutine is about to wait.
func (r *Request) detach() {
	if r.loop != nil {
		r.loop.handOver(r.loopTurn)
	}
}

// Reply answers the request: with a status from 100 to 199 provisionally, as often
// as wanted, with one from 200 to 699 finally. At most one data value is sent, encoded as NewRequest does it.
//
// Errors: ErrReplied after the final response; ErrOffline or ErrSlow when the
// response will not reach the peer; an error that says so when status or data are not valid, in which case the
// request still waits for its response.
func (r *Request) Reply(status int, reason string, data ...any) error {
	if status < 100 || status > 699 {
		return fmt.Errorf("core: response status must be from 100 to 699, got %d", status)
	}
	if r.peer == nil {
		return fmt.Errorf("core: only a request that a peer has sent can be replied to")
	}
	var body JSON
	if len(data) > 0 {
		if len(data) > 1 {
			return fmt.Errorf("core: a response has one data value, got %d", len(data))
		}
		if same, ok := data[0].(JSON); ok && same == r.data {
			body = same // has been found valid when it came
		} else {
			var err error
			if body, err = toJSON(data[0]); err != nil {
				return err
			}
		}
	}
	return r.respond(status, reason, body)
}

// respond is Reply with a status and data that are valid.
func (r *Request) respond(status int, reason string, body JSON) error {
	if status < 200 {
		if r.Ended() {
			return ErrReplied
		}
	} else if !r.ended.CompareAndSwap(false, true) {
		return ErrReplied
	}
	if r.watcher != nil {
		res, kept := r.shown(status, reason, body)
		r.show(res, 1+len(r.look().watchers))
		body = res.data
		if !kept {
			*res = Response{}
			responses.Put(res)
		}
	}
	if status < 200 {
		return r.peer.reply(status, reason, r.id, body, nil)
	}
	if r.peer.app.observe.Request != nil {
		r.peer.app.observed(r.Route(), status, r.began)
	}
	return r.peer.reply(status, reason, r.id, body, r)
}

func (r *Request) seenParam(router *Router, name, value string) (seen bool, err error) {
	all := r.change()
	for i := range all.calls {
		c := &all.calls[i]
		if c.router != router || c.name != name {
			continue
		}
		if c.value == value {
			return true, c.err
		}
		c.value, c.err = value, nil
		return false, nil
	}
	all.calls = append(all.calls, paramCall{router, name, value, nil})
	return false, nil
}

func (r *Request) failParam(router *Router, name string, err error) {
	calls := r.look().calls
	for i := range calls {
		if c := &calls[i]; c.router == router && c.name == name {
			c.err = err
		}
	}
}

// lookup prefers the last: a child router's parameters stand behind its parent's.
func lookup(params []param, name string) string {
	for i := len(params) - 1; i >= 0; i-- {
		if p := &params[i]; p.name == name {
			return p.value
		}
	}
	return ""
}

// String describes the request for logs, without its data.
func (r *Request) String() string { return r.method + " " + r.full }
