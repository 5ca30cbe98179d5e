package guest

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Handler handles a request or passes it on by calling next.
type Handler func(req *Request, next Next) error

// Next passes a request on to what follows in the stack.
type Next func(errs ...error)

// A Request is a request on its way through the server's routers, or one that the module has made.
type Request struct {
	call *call // nil for one of the module's own

	method, path string
	data         JSON
	sender       JSON
	bad          error
	timeout      time.Duration
	values       map[string]any

	ended   bool
	changed map[field]bool
	stored  []string // names of values that the host does not have yet
	hooks   []func(*Response)
}

// NewRequest makes a request to be sent to a peer.
func NewRequest(method, path string, data any) *Request {
	r := &Request{method: method, path: path}
	r.data, r.bad = toJSON(data)
	return r
}

func newRequest(c *call) *Request {
	r := &Request{call: c}
	r.method = c.frame.text(fieldMethod, "")
	r.path = c.frame.text(fieldPath, "")
	return r
}

func (r *Request) text(id field, key string) string {
	if r.call == nil {
		return ""
	}
	return r.call.frame.text(id, key)
}

// App returns where peers are found.
func (r *Request) App() *App { return &App{} }

// Peer returns the peer the request came from; nil for one made with NewRequest.
func (r *Request) Peer() *Peer {
	if r.call == nil {
		return nil
	}
	return r.call.frame.peer()
}

// Method returns the method.
func (r *Request) Method() string { return r.method }

// ID returns the transaction's identifier.
func (r *Request) ID() string { return r.text(fieldID, "") }

// Path returns the requested path, without the part that the module is mounted on.
func (r *Request) Path() string { return r.path }

// BasePath returns the part of the path that Path leaves out.
func (r *Request) BasePath() string { return r.text(fieldBase, "") }

// OriginalPath returns the whole path.
func (r *Request) OriginalPath() string {
	if base := r.BasePath(); base != "" && r.path == "/" {
		return base
	}
	return r.BasePath() + r.path
}

// SetPath replaces what Path returns.
func (r *Request) SetPath(path string) error {
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("core: path %q does not start with a slash", path)
	}
	r.path = path
	r.change(fieldPath)
	return nil
}

func (r *Request) change(id field) {
	if r.changed == nil {
		r.changed = make(map[field]bool)
	}
	r.changed[id] = true
}

// Data returns the request's data, "" if it has none.
func (r *Request) Data() JSON {
	if r.call != nil && !r.changed[fieldData] {
		return JSON(r.text(fieldData, ""))
	}
	return r.data
}

// SetData replaces the request's data.
func (r *Request) SetData(data any) error {
	j, err := toJSON(data)
	if err != nil {
		return err
	}
	r.data = j
	r.change(fieldData)
	return nil
}

// Bind decodes the request's data into v. An error it returns is fit for the peer's eyes.
func (r *Request) Bind(v any) error {
	if err := r.Data().Bind(v); err != nil {
		return Error(400, "invalid data: "+err.Error())
	}
	return nil
}

// Sender returns who sent the request, as it will be told to those it is forwarded to.
func (r *Request) Sender() JSON {
	if r.sender != "" || r.call == nil {
		return r.sender
	}
	return JSON(r.text(fieldSender, ""))
}

// SetSender replaces what Sender returns.
func (r *Request) SetSender(sender any) error {
	j, err := toJSON(sender)
	if err != nil {
		return err
	}
	if j != "" && j[0] != '{' {
		return fmt.Errorf("core: sender must be a JSON object, got %.20s", string(j))
	}
	r.sender = j
	r.change(fieldSender)
	return nil
}

// SetTimeout says how long peers may take to answer when the request is sent to them.
func (r *Request) SetTimeout(d time.Duration) { r.timeout = d }

// Param returns the value of a path parameter, or "".
func (r *Request) Param(name string) string { return r.text(fieldParam, name) }

// Set stores a value under a name for the handlers that follow. It must be one that can be encoded as JSON.
func (r *Request) Set(name string, value any) {
	if r.values == nil {
		r.values = make(map[string]any)
	}
	r.values[name] = value
	r.stored = append(r.stored, name)
}

// Get returns what was stored under a name, or nil.
func (r *Request) Get(name string) any {
	if v, ok := r.values[name]; ok {
		return v
	}
	return decode(r.text(fieldProperty, name))
}

func decode(text string) any {
	var v any
	if text == "" || JSON(text).Bind(&v) != nil {
		return nil
	}
	return v
}

// Ended tells whether the request has got its final response.
func (r *Request) Ended() bool { return r.ended }

// Context returns a context for [Transaction.Wait].
func (r *Request) Context() context.Context { return context.Background() }

// OnResponse registers a function that sees every response to this request before it is sent, and may change its data.
func (r *Request) OnResponse(fn func(*Response)) { r.hooks = append(r.hooks, fn) }

// Reply answers the request. In a module it can be used by the handler and by what the handler's transactions call.
func (r *Request) Reply(status int, reason string, data ...any) error {
	switch {
	case status < 100 || status > 699:
		return fmt.Errorf("core: response status must be from 100 to 699, got %d", status)
	case r.call == nil:
		return fmt.Errorf("core: only a request that a peer has sent can be replied to")
	case len(data) > 1:
		return fmt.Errorf("core: a response has one data value, got %d", len(data))
	case r.ended:
		return errReplied
	}
	w := newWriter()
	w.addUint32(fieldStatus, uint32(status))
	w.add(fieldReason, "", reason)
	if len(data) == 1 {
		j, err := toJSON(data[0])
		if err != nil {
			return err
		}
		if j != "" {
			w.add(fieldData, "", string(j))
		}
	}
	if status < 200 {
		return codeError(hostProgress(bytes(w.end())))
	}
	r.ended = true
	r.call.say(actionReply, w)
	return nil
}

// String describes the request for logs, without its data.
func (r *Request) String() string { return r.method + " " + r.OriginalPath() }

// changes writes what the handler has changed into a frame.
func (r *Request) changes(w *writer) (flags uint32) {
	if r == nil {
		return 0
	}
	if r.changed[fieldPath] {
		w.add(fieldPath, "", r.path)
	}
	if r.changed[fieldData] {
		w.add(fieldData, "", string(r.data))
	}
	if r.changed[fieldSender] && r.sender != "" {
		w.add(fieldSender, "", string(r.sender))
	}
	for _, name := range r.stored {
		if j, err := toJSON(r.values[name]); err == nil && j != "" {
			w.add(fieldProperty, name, string(j))
		} else {
			w.add(fieldDeleteProperty, name, "")
		}
	}
	if len(r.changed)+len(r.stored) > 0 {
		flags = flagChanges
	}
	if len(r.hooks) > 0 {
		flags |= flagWatch
	}
	return flags
}
