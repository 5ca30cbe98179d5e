package core

import (
	"runtime/debug"
	"slices"
	"sync"
)

// A Response answers a request: one that a peer has sent to a request of ours, or
// one of ours that [Request.OnResponse] looks at before it is sent.
type Response struct {
	peer   *Peer
	status int
	reason string
	id     string // JSON text
	data   JSON
	local  bool
	size   int32 // bytes of the message that it came in
}

// Status returns the status code, 100 to 699.
func (r *Response) Status() int { return r.status }

// Reason returns the text that explains the status; it may be empty.
func (r *Response) Reason() string { return r.reason }

// ID returns the identifier of the transaction, as text if it is a number.
func (r *Response) ID() string { return idText(r.id) }

// Data returns the response's data, "" if it has none.
func (r *Response) Data() JSON { return r.data }

// SetData replaces the response's data, encoded as NewRequest does it.
func (r *Response) SetData(data any) error {
	j, err := toJSON(data)
	if err != nil {
		return err
	}
	r.data = j
	return nil
}

// Bind decodes the response's data into v as json.Unmarshal does.
func (r *Response) Bind(v any) error { return r.data.Bind(v) }

// Peer returns the peer that the response comes from, or goes to.
func (r *Response) Peer() *Peer { return r.peer }

// IsProvisional tells whether more responses follow: the status is below 200.
func (r *Response) IsProvisional() bool { return r.status < 200 }

// IsAccept tells whether the status is 200 to 299.
func (r *Response) IsAccept() bool { return r.status >= 200 && r.status < 300 }

// IsReject tells whether the status is 300 or above.
func (r *Response) IsReject() bool { return r.status >= 300 }

// IsLocal tells whether the response was made here because the peer gave none: 400,
// 408, 410, 487 or 503 as [Transaction] lists them.
func (r *Response) IsLocal() bool { return r.local }

// A ResponseWatcher is a function that sees responses, for those who look at very many of them: one watcher can be registered
// with any number of requests, which takes no memory. Any goroutine may register it.
type ResponseWatcher struct {
	watch func(*Request, *Response)
	keep  func(*Response) // in place of watch; what it is called with is its own
}

// NewResponseWatcher returns a watcher that calls fn with every response to the requests it is registered with, provisional or
// final, before it is sent, on the goroutine that replies. fn may change the response's data. The response is only valid
// until fn returns, and must not be kept.
func NewResponseWatcher(fn func(*Request, *Response)) *ResponseWatcher {
	return &ResponseWatcher{watch: fn}
}

// OnResponse registers a function that sees every response to this request, provisional
// or final, before it is sent, and may change its data. The one registered last is called first, on
// the goroutine that replies.
func (r *Request) OnResponse(fn func(*Response)) { r.Watch(&ResponseWatcher{keep: fn}) }

// Watch registers a watcher as OnResponse does a function.
func (r *Request) Watch(w *ResponseWatcher) {
	if r.watcher == nil {
		r.watcher = w
		return
	}
	c := r.change()
	c.watchers = append(c.watchers, w)
}

// responses are those that only watchers see, which do not keep them.
var responses = sync.Pool{New: func() any { return new(Response) }}

// shown returns a response for the watchers, of which there are some, and whether one of them may keep it.
func (r *Request) shown(status int, reason string, body JSON) (res *Response, kept bool) {
	kept = r.watcher.keep != nil || slices.ContainsFunc(r.look().watchers, func(w *ResponseWatcher) bool { return w.keep != nil })
	if kept {
		res = new(Response)
	} else {
		res = responses.Get().(*Response)
	}
	// One by one: a struct that is copied is read while it is on its way to the cache.
	res.peer, res.status, res.reason, res.id, res.data = r.peer, status, reason, r.id, body
	return res, kept
}

// show shows a response to the watchers, the last first, and survives their panics: the peer gets the response all the same. left is how many
// have yet to see it.
func (r *Request) show(res *Response, left int) {
	defer func() {
		if v := recover(); v != nil {
			r.peer.app.routeError(&PanicError{v, debug.Stack()}, r)
			r.show(res, left)
		}
	}()
	for left > 0 {
		left--
		w := r.watcher
		if left > 0 {
			w = r.rare.watchers[left-1]
		}
		if w.keep != nil {
			w.keep(res)
		} else {
			w.watch(r, res)
		}
	}
}
