package guest

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"
)

// App is where peers are found. To look needs the capability "peer.read", to send "peer.send".
type App struct{}

// Peer returns the peer with this username and uuid, or nil.
func (a *App) Peer(username, uuid string) *Peer {
	if username == "" || uuid == "" {
		return nil
	}
	n, nl := text(username)
	u, ul := text(uuid)
	if hostPeerFind(n, nl, u, ul) == 0 {
		return nil
	}
	return &Peer{username: username, uuid: uuid}
}

// Peers returns how many peers are online with this username and uuid, where "" stands for any, and calls visit,
// unless it is nil, for each of them.
func (a *App) Peers(username, uuid string, visit func(*Peer)) int {
	if uuid != "" || visit == nil {
		n, nl := text(username)
		u, ul := text(uuid)
		count := int(hostPeerFind(n, nl, u, ul))
		if visit == nil || count == 0 {
			return count
		}
	}
	n, nl := text(username)
	out := make([]byte, 4096)
	for {
		count := hostPeerList(n, nl, unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
		f := readFrame(out)
		if len(f.fields) < int(count) && len(out) < maxList {
			out = make([]byte, 4*len(out))
			continue
		}
		visited := 0
		for _, v := range f.fields {
			if uuid == "" || v.val == uuid {
				visit(&Peer{username: v.key, uuid: v.val})
				visited++
			}
		}
		return visited
	}
}

const maxList = 1 << 20

// Peer is a client that is online.
type Peer struct {
	username, uuid string
	token          uint64 // of the event that it belongs to, 0 if it was looked up
	data           *Data
}

func (f *frame) peer() *Peer {
	p := &Peer{token: f.token}
	for _, v := range f.fields {
		if v.id == fieldPeer {
			p.username, p.uuid = v.key, v.val
		}
	}
	if p.username == "" && f.token == current {
		p.username, _ = get(fieldPeer, "username")
		p.uuid, _ = get(fieldPeer, "uuid")
	}
	if p.username == "" {
		return nil
	}
	p.data = &Data{frame: f}
	return p
}

// Username returns the account's name.
func (p *Peer) Username() string { return p.username }

// UUID identifies the device.
func (p *Peer) UUID() string { return p.uuid }

// String returns "username/uuid", for logs.
func (p *Peer) String() string { return p.username + "/" + p.uuid }

// Data holds values about the peer. In a module it can be read for the peer that an event is about.
func (p *Peer) Data() *Data {
	if p.data == nil {
		return &Data{}
	}
	return p.data
}

// Data holds values about a peer.
type Data struct{ frame *frame }

// Get returns the value stored under name, or nil.
func (d *Data) Get(name string) any {
	if d.frame == nil {
		return nil
	}
	return decode(d.frame.text(fieldPeerData, name))
}

// Close disconnects the peer when the event is over.
func (p *Peer) Close(code int, reason string) error {
	w := newWriter()
	w.add(fieldPeer, p.username, p.uuid)
	w.addUint32(fieldStatus, uint32(code))
	w.add(fieldReason, "", reason)
	return codeError(hostPeerClose(bytes(w.end())))
}

// Send sends a request to the peer. It does not wait; the transaction has the answer.
func (p *Peer) Send(req *Request) *Transaction {
	t := &Transaction{peer: p, req: req, call: running}
	if req.bad != nil {
		t.deliver(&Response{status: 400, reason: req.bad.Error(), local: true})
		return t
	}
	lastCorrelation++
	t.correlation = lastCorrelation
	w := newWriter()
	w.add(fieldPeer, p.username, p.uuid)
	w.add(fieldMethod, "", req.method)
	w.add(fieldPath, "", req.OriginalPath())
	if d := req.Data(); d != "" {
		w.add(fieldData, "", string(d))
	}
	if s := req.Sender(); s != "" {
		w.add(fieldSender, "", string(s))
	}
	w.addUint64(fieldCorrelation, t.correlation)
	if req.timeout > 0 {
		w.addUint32(fieldTimeout, uint32((req.timeout+time.Millisecond-1)/time.Millisecond))
	}
	switch hostPeerSend(bytes(w.end())) {
	case 0:
		transactions[t.correlation] = t
		if t.call != nil {
			t.call.sends++
		}
	case codeAbsent:
		t.deliver(&Response{peer: p, status: 410, reason: "peer offline", local: true})
	case codeLimit:
		t.deliver(&Response{peer: p, status: 503, reason: "too many messages in one event", local: true})
	default:
		t.deliver(&Response{peer: p, status: 400, reason: "the request cannot be sent", local: true})
	}
	return t
}

var (
	transactions    = make(map[uint64]*Transaction)
	lastCorrelation uint64
)

// A Transaction is a request that was sent to a peer, with the responses to it.
type Transaction struct {
	peer        *Peer
	req         *Request
	call        *call // during which it was sent
	correlation uint64
	responses   []*Response
	listeners   []func(*Response)
}

// Request returns the request that was sent.
func (t *Transaction) Request() *Request { return t.req }

// Peer returns the peer it was sent to.
func (t *Transaction) Peer() *Peer { return t.peer }

// Final returns the final response, nil before there is one.
func (t *Transaction) Final() *Response {
	if n := len(t.responses); n > 0 && !t.responses[n-1].IsProvisional() {
		return t.responses[n-1]
	}
	return nil
}

// OnResponse registers a function that is called with every response in order, also with those that have come.
func (t *Transaction) OnResponse(fn func(*Response)) *Transaction {
	t.listeners = append(t.listeners, fn)
	for _, res := range t.responses {
		fn(res)
	}
	return t
}

var errWait = errors.New("guest: only the handler that has sent the request can wait for its response")

// Wait returns the final response. In a module the context is not looked at: the time that the peer has is limited.
func (t *Transaction) Wait(context.Context) (*Response, error) {
	if t.Final() == nil {
		if t.call == nil || running != t.call || !inside {
			return nil, errWait
		}
		t.call.wait(func() bool { return t.Final() != nil })
	}
	return t.Final(), nil
}

func (t *Transaction) deliver(res *Response) {
	t.responses = append(t.responses, res)
	for _, fn := range t.listeners {
		fn(res)
	}
}

// String describes the transaction for logs.
func (t *Transaction) String() string { return fmt.Sprintf("%v to %v", t.req, t.peer) }

// A Response answers a request.
type Response struct {
	peer    *Peer
	status  int
	reason  string
	data    JSON
	local   bool
	changed bool
}

func (f *frame) response() *Response {
	return &Response{
		peer: f.peer(), status: int(f.number(fieldStatus)),
		reason: f.text(fieldReason, ""), data: JSON(f.text(fieldData, "")),
	}
}

// Status returns the status code.
func (r *Response) Status() int { return r.status }

// Reason returns the text that explains the status.
func (r *Response) Reason() string { return r.reason }

// Data returns the response's data, "" if it has none.
func (r *Response) Data() JSON { return r.data }

// SetData replaces the response's data.
func (r *Response) SetData(data any) error {
	j, err := toJSON(data)
	if err != nil {
		return err
	}
	r.data, r.changed = j, true
	return nil
}

// Bind decodes the response's data into v.
func (r *Response) Bind(v any) error { return r.data.Bind(v) }

// Peer returns the peer that the response comes from, or goes to.
func (r *Response) Peer() *Peer { return r.peer }

// IsProvisional tells whether more responses follow.
func (r *Response) IsProvisional() bool { return r.status < 200 }

// IsAccept tells whether the status is 200 to 299.
func (r *Response) IsAccept() bool { return r.status >= 200 && r.status < 300 }

// IsReject tells whether the status is 300 or above.
func (r *Response) IsReject() bool { return r.status >= 300 }
