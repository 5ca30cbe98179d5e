package wasmhost

import (
	"encoding/json"
	"strings"

	"github.com/protoo-go/protoo/core"
)

// event is what an instance is told of. It is part of the instance, so that telling allocates nothing.
type event struct {
	kind        Event
	token       uint64 // of the request or connection that it is about; see pending
	req         *core.Request
	res         *core.Response
	peer        *core.Peer
	connect     *core.ConnectRequest
	carry       []byte
	correlation uint64
	name        string // of a notification
	data        core.JSON
}

// has tells whether a field can belong to an event.
func (e Event) has(f field) bool {
	switch e {
	case EventRequest:
		return f >= fieldMethod && f <= fieldProperty || f == fieldID
	case EventResponse:
		// Path, params and properties may be changing hands when the response is sent.
		return f == fieldMethod || f == fieldID || f == fieldSender || f == fieldPeer || f == fieldPeerData ||
			f == fieldStatus || f == fieldReason || f == fieldData
	case EventReply:
		return f == fieldPeer || f == fieldPeerData || f == fieldStatus || f == fieldReason || f == fieldData
	case EventOnline, EventOffline:
		return f == fieldPeer || f == fieldPeerData
	case EventNotification:
		return f == fieldMethod || f == fieldData
	case EventConfiguration:
		return f == fieldData
	case EventReturned:
		return f == fieldEnded
	case EventConnect:
		return f == fieldPath || f >= fieldQuery && f <= fieldSecure
	}
	return false
}

// of returns the peer that the event is about, or nil.
func (e *event) of() *core.Peer {
	switch {
	case e.kind == EventReply:
		return e.res.Peer()
	case e.req != nil:
		return e.req.Peer()
	}
	return e.peer
}

// app returns the application in which the event has happened, or nil.
func (e *event) app() *core.App {
	if e.req != nil {
		return e.req.App()
	}
	if p := e.of(); p != nil {
		return p.App()
	}
	return nil
}

// text returns the value of a field that is text and belongs to the event, and whether there is one.
func (e *event) text(f field, key string) (string, bool) {
	switch f {
	case fieldMethod:
		if e.req == nil {
			return e.name, true
		}
		return e.req.Method(), true
	case fieldPath:
		if e.req == nil {
			return valid(e.connect.Path), true
		}
		return e.req.Path(), true
	case fieldBase:
		return e.req.BasePath(), true
	case fieldParam:
		v := e.req.Param(key)
		return v, v != ""
	case fieldData:
		d := e.body()
		return string(d), d != ""
	case fieldSender:
		s := e.req.Sender()
		return string(s), s != ""
	case fieldID:
		return e.req.ID(), true
	case fieldPeer:
		return e.peerText(key)
	case fieldPeerData, fieldProperty:
		return jsonText(e.stored(f, key))
	case fieldReason:
		return valid(e.res.Reason()), true
	case fieldQuery:
		v, ok := e.connect.Query[key]
		return valid(e.connect.QueryValue(key)), ok && len(v) > 0
	case fieldHeader:
		v, ok := e.connect.Header[key]
		return valid(e.connect.HeaderValue(key)), ok && len(v) > 0
	case fieldOrigin:
		return valid(e.connect.Origin), e.connect.Origin != ""
	case fieldRemote:
		return e.connect.RemoteAddr, true
	case fieldTransport:
		return e.connect.Transport, true
	}
	return "", false
}

// stored returns what the application, or a module, has stored in the request or about the peer; nil if there is nothing.
func (e *event) stored(f field, key string) any {
	if f == fieldProperty {
		return e.req.Get(key)
	}
	if p := e.of(); p != nil {
		return p.Data().Get(key)
	}
	return nil
}

// valid makes UTF-8 of a text that can be anything, such as a percent-decoded query: modules rely on it.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func (e *event) body() core.JSON {
	switch {
	case e.res != nil:
		return e.res.Data()
	case e.req != nil:
		return e.req.Data()
	}
	return e.data
}

func (e *event) peerText(key string) (string, bool) {
	p := e.of()
	if p == nil {
		return "", false
	}
	switch key {
	case "username":
		return p.Username(), true
	case "uuid":
		return p.UUID(), true
	case "address":
		if c := p.Conn(); c != nil {
			return c.String(), true
		}
	}
	return "", false
}

// number returns the value of a field that is a number.
func (e *event) number(f field) uint32 {
	switch {
	case f == fieldStatus:
		return uint32(e.res.Status())
	case f == fieldSecure && e.connect.Secure, f == fieldEnded && e.req.Ended():
		return 1
	}
	return 0
}

// numeric tells whether number has the value of a field, and not text.
func (f field) numeric() bool { return f == fieldStatus || f == fieldSecure || f == fieldEnded }

// write puts the event into a frame, with the fields that the module wants.
func (e *event) write(w *frameWriter, push []wanted) {
	if e.kind == EventRequest {
		e.writeRequest(w, push)
		return
	}
	for i := range push {
		e.push(w, push[i].field, push[i].key)
	}
	if len(e.carry) > 0 {
		w.addBytes(fieldCarry, e.carry)
	}
	if e.kind == EventReply || e.kind == EventTimer {
		w.addUint64(fieldCorrelation, e.correlation)
	}
}

// writeRequest is write for the event that there are most of: the fields of most requests without asking what else they could be.
func (e *event) writeRequest(w *frameWriter, push []wanted) {
	req := e.req
	for i := range push {
		f, key, val := push[i].field, push[i].key, ""
		switch f {
		case fieldMethod:
			val = req.Method()
		case fieldPath:
			val = req.Path()
		case fieldBase:
			val = req.BasePath()
		case fieldData:
			if val = string(req.Data()); val == "" {
				continue
			}
		case fieldPeer:
			p := req.Peer()
			if p == nil {
				continue
			}
			key, val = p.Username(), p.UUID()
		case fieldParam:
			if key == "" {
				e.pushAll(w, f)
				continue
			}
			if val = req.Param(key); val == "" {
				continue
			}
		default:
			e.push(w, f, key)
			continue
		}
		w.add(f, key, val)
	}
}

func (e *event) push(w *frameWriter, f field, key string) {
	switch {
	case f.numeric():
		w.addUint32(f, e.number(f))
	case f == fieldPeer:
		if p := e.of(); p != nil {
			w.add(f, p.Username(), p.UUID())
		}
	case f == fieldQuery || f == fieldHeader:
		e.pushValues(w, f, key)
	case key == "" && f.keyed():
		e.pushAll(w, f)
	default:
		if v, ok := e.text(f, key); ok {
			w.add(f, key, v)
		}
	}
}

// pushValues writes what can have several values under one key, each as a field of its own.
func (e *event) pushValues(w *frameWriter, f field, key string) {
	all := e.connect.Query
	if f == fieldHeader {
		all = e.connect.Header
	}
	if key != "" {
		for _, v := range all[key] {
			w.add(f, key, valid(v))
		}
		return
	}
	for _, k := range sortedKeys(all) {
		for _, v := range all[k] {
			w.add(f, valid(k), valid(v))
		}
	}
}

func (e *event) pushAll(w *frameWriter, f field) {
	if f == fieldParam {
		all := e.req.Params()
		for _, k := range sortedKeys(all) {
			w.add(f, k, all[k])
		}
		return
	}
	var all map[string]any
	if f == fieldProperty {
		all = e.req.Values()
	} else if p := e.of(); p != nil {
		all = p.Data().Map()
	}
	for _, k := range sortedKeys(all) {
		if v, ok := jsonText(all[k]); ok {
			w.add(f, k, v)
		}
	}
}

// jsonText encodes a value that the application has stored. What is nil, or cannot be encoded, is not there for modules.
func jsonText(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", false
	case core.JSON:
		return string(v), v != ""
	case json.RawMessage:
		return string(v), len(v) > 0
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return "", false
	}
	return strings.TrimSuffix(b.String(), "\n"), true
}
