package client

import (
	"context"
	"encoding/json"
	"errors"
)

// introductionID is the id of the first request of a connection. An answer to an id like this is not missed when nobody waits for it.
const introductionID = "~introduction"

// introduce sends what the connection begins with, if there is such a thing. It does not wait for the answer: a server that does not like it closes
// the connection.
func (c *Client) introduce(ctx context.Context, conn Conn) error {
	if c.o.Introduce == nil {
		return nil
	}
	req, err := c.o.Introduce(ctx)
	if err != nil {
		return err
	}
	message := struct {
		Method string          `json:"method"`
		Path   string          `json:"path"`
		ID     string          `json:"id"`
		Data   json.RawMessage `json:"data,omitempty"`
	}{req.Method(), req.OriginalPath(), introductionID, json.RawMessage(req.Data())}
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	return conn.Send(text)
}

// expired tells whether a connection has ended that had been good, because its token is not good any longer. The next one
// begins with a fresh one.
func (c *Client) expired(err error, lasted bool) bool {
	closed, ok := errors.AsType[*CloseError](err)
	return ok && closed.Code == closeUnauthorized && c.o.Introduce != nil && lasted
}
