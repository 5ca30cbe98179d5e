package core

// A Response answers a request: one that a peer has sent to a request of ours, or
// one of ours that [Request.OnResponse] looks at before it is sent.
type Response struct {
	peer   *Peer
	status int
	reason string
	id     string // JSON text
	data   JSON
	local  bool
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
