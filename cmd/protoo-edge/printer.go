package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/protoo-go/protoo/core"
)

// A printer writes requests and responses, each as one line with one Write: for people, or as JSON. A number of
// zero is left out.
type printer struct {
	w    io.Writer
	json bool
}

// response prints a response to the call with number n.
func (p printer) response(n int, res *core.Response) {
	if p.json {
		p.encode(struct {
			Call   int             `json:"call,omitempty"`
			Status int             `json:"status"`
			Reason string          `json:"reason"`
			Data   json.RawMessage `json:"data,omitempty"`
		}{n, res.Status(), res.Reason(), json.RawMessage(res.Data())})
		return
	}
	text := fmt.Sprintf("%d %s", res.Status(), res.Reason())
	if n > 0 {
		text = fmt.Sprintf("#%d %s", n, text)
	}
	p.line(text, res.Data())
}

// request prints the incoming request with number n.
func (p printer) request(n int, req *core.Request) {
	if p.json {
		p.encode(struct {
			Request int             `json:"request"`
			Method  string          `json:"method"`
			Path    string          `json:"path"`
			Data    json.RawMessage `json:"data,omitempty"`
			Sender  json.RawMessage `json:"sender,omitempty"`
		}{n, req.Method(), req.OriginalPath(), json.RawMessage(req.Data()), json.RawMessage(req.Sender())})
		return
	}
	text := fmt.Sprintf("@%d %s %s", n, req.Method(), req.OriginalPath())
	var sender struct{ Username, UUID string }
	if req.Sender().Bind(&sender) == nil && sender.Username != "" {
		text += fmt.Sprintf(" from %s/%s", sender.Username, sender.UUID)
	}
	p.line(text, req.Data())
}

// note prints what is neither. It is for people only.
func (p printer) note(format string, args ...any) {
	if !p.json {
		p.line("-- "+fmt.Sprintf(format, args...), "")
	}
}

func (p printer) line(text string, data core.JSON) {
	if data != "" {
		var compact bytes.Buffer
		// It cannot fail: data has been checked when it came.
		_ = json.Compact(&compact, []byte(data))
		text += " " + compact.String()
	}
	fmt.Fprintln(p.w, printable(text))
}

func (p printer) encode(v any) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	// Nor can this.
	_ = e.Encode(v)
	p.line(string(bytes.TrimSuffix(text.Bytes(), []byte("\n"))), "")
}
