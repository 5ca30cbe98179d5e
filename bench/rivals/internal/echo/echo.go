// Package echo is the job that all rivals do: to answer a protoo request with its own data.
package echo

import "encoding/json"

// Answer returns the response to a request, or false if it cannot be read.
func Answer(request []byte) ([]byte, bool) {
	var req struct {
		ID   json.RawMessage `json:"id"`
		Data json.RawMessage `json:"data"`
	}
	if json.Unmarshal(request, &req) != nil {
		return nil, false
	}
	out := make([]byte, 0, len(req.Data)+64)
	out = append(out, `{"status":200,"reason":"OK","id":`...)
	out = append(out, req.ID...)
	out = append(out, `,"data":`...)
	out = append(out, req.Data...)
	return append(out, '}'), true
}
