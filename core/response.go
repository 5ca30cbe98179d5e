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

// show shows a response to the watchers, of which there are some, and returns its data.
func (r *Request) show(status int, reason string, body JSON) JSON {
	more := r.look().watchers
	kept := r.watcher.keep != nil || slices.ContainsFunc(more, func(w *ResponseWatcher) bool { return w.keep != nil })
	var res *Response
	if kept {
		res = new(Response)
	} else {
		res = responses.Get().(*Response)
	}
	*res = Response{peer: r.peer, status: status, reason: reason, id: r.id, data: body}
	for _, w := range slices.Backward(more) {
		r.showTo(w, res)
	}
	r.showTo(r.watcher, res)
	body = res.data
	if !kept {
		*res = Response{}
		responses.Put(res)
	}
	return body
}

// showTo shows a response to a watcher and survives its panic: the peer gets the response all the same.
func (r *Request) showTo(w *ResponseWatcher, res *Response) {
	defer func() {
		if v := recover(); v != nil {
			r.peer.app.routeError(&PanicError{v, debug.Stack()}, r)
		}
	}()
	if w.keep != nil {
		w.keep(res)
		return
	}
	w.watch(r, res)
}
