package guest

import "context"

// Accept decides about a connection: it returns who the peer is, or an error made by [Reject].
type Accept func(*ConnectRequest) (Identity, error)

// An Identity says who a connection belongs to.
type Identity struct {
	Username string
	UUID     string
	Data     map[string]any // initial values of Peer.Data
}

// A ConnectRequest is somebody who wants to connect.
type ConnectRequest struct {
	Context    context.Context
	Transport  string
	Path       string
	Query      map[string][]string // what the manifest lists
	Header     map[string][]string // what the manifest lists
	Origin     string
	RemoteAddr string
	Secure     bool
	Raw        any // always nil

	frame *frame
}

func (f *frame) connectRequest() *ConnectRequest {
	r := &ConnectRequest{
		Context: context.Background(), Transport: f.text(fieldTransport, ""), Path: f.text(fieldPath, ""),
		Origin: f.text(fieldOrigin, ""), RemoteAddr: f.text(fieldRemote, ""), frame: f,
		Query: make(map[string][]string), Header: make(map[string][]string),
	}
	secure := f.text(fieldSecure, "")
	r.Secure = secure != "" && secure[0] == 1
	for _, v := range f.fields {
		switch v.id {
		case fieldQuery:
			r.Query[v.key] = append(r.Query[v.key], v.val)
		case fieldHeader:
			r.Header[v.key] = append(r.Header[v.key], v.val)
		}
	}
	return r
}

// QueryValue returns the first value of a query parameter, or "".
func (r *ConnectRequest) QueryValue(name string) string { return r.frame.text(fieldQuery, name) }

// HeaderValue returns the first value of a header field, or "". The name must be in canonical form.
func (r *ConnectRequest) HeaderValue(name string) string { return r.frame.text(fieldHeader, name) }
