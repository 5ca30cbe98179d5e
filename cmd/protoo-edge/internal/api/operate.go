package api

import (
	"encoding/json"
	"time"

	"github.com/protoo-go/protoo/core"
)

// maxReason is what fits into a close frame beside the code.
const maxReason = 123

type disconnected struct {
	Disconnected int `json:"disconnected"`
}

// disconnect closes the connections of a user, or of one device.
func (s *Server) disconnect(c *call) (any, error) {
	var (
		username, uuid, reason string
		code                   int
	)
	err := readBody(c.body,
		text("username", &username, 1, maxName),
		text("uuid", &uuid, 1, maxName),
		number("code", &code, core.CloseNormal, 4999),
		text("reason", &reason, 0, maxReason),
	)
	if err == nil {
		err = missing("username", username)
	}
	if err != nil {
		return nil, err
	}
	c.target = who(username, uuid)
	if code == 0 {
		code = core.CloseNormal
	}
	if !core.ValidCloseCode(code) {
		return nil, &mistake{"code", "this close code may not be sent"}
	}
	n := 0
	s.o.App.Peers(username, uuid, func(p *core.Peer) {
		if p.Close(code, reason) == nil {
			n++
		}
	})
	return disconnected{n}, nil
}

// A Revocation says who is no longer let in: the bearer of a token, a user, or a device.
type Revocation struct {
	TokenID        string // alone
	Username, UUID string
	Expires        time.Time // when it may be forgotten; zero leaves that to who keeps it
}

func (s *Server) revoke(c *call) (any, error) {
	var (
		r       Revocation
		expires string
	)
	err := readBody(c.body,
		text("username", &r.Username, 1, maxName),
		text("uuid", &r.UUID, 1, maxName),
		text("tokenId", &r.TokenID, 1, maxName),
		field{"expires", func(value json.RawMessage, path string) error {
			err := json.Unmarshal(value, &expires)
			if err == nil {
				r.Expires, err = time.Parse(time.RFC3339, expires)
			}
			if err != nil {
				return &mistake{path, "expected a time such as 2030-01-31T12:00:00Z"}
			}
			return nil
		}},
	)
	if err != nil {
		return nil, err
	}
	if named := r.Username != "" || r.UUID != ""; named == (r.TokenID != "") {
		return nil, &mistake{"", "expected either tokenId, or username or uuid or both of these"}
	}
	c.target = who(r.Username, r.UUID)
	if r.TokenID != "" {
		c.target = "token " + r.TokenID
	}
	if s.o.Revoke == nil {
		return nil, ErrUnavailable
	}
	n, err := s.o.Revoke(r)
	if err != nil {
		return nil, err
	}
	return disconnected{n}, nil
}

// Reloaded is what has come of a reload.
type Reloaded struct {
	Applied []Change `json:"applied"`
	Restart []Change `json:"restart"` // what a restart is needed for
}

// A Change is a setting with another value than before.
type Change struct {
	Key  string `json:"key"`
	From string `json:"from"` // "" for what is more than a line
	To   string `json:"to"`
}

func (s *Server) reload(c *call) (any, error) {
	if err := c.empty(); err != nil {
		return nil, err
	}
	if s.o.Reload == nil {
		return nil, ErrUnavailable
	}
	c.wait(s.o.MaxWait)
	return s.o.Reload(c.ctx)
}

func (s *Server) drain(c *call) (any, error) {
	if err := c.empty(); err != nil {
		return nil, err
	}
	if s.o.Drain == nil {
		return nil, ErrUnavailable
	}
	peers := s.o.App.Stats().Peers // of which none may be left when it has been asked for
	if err := s.o.Drain(); err != nil {
		return nil, err
	}
	return struct {
		Draining bool `json:"draining"`
		Peers    int  `json:"peers"`
	}{true, peers}, nil
}

// empty takes a body that says nothing, or none.
func (c *call) empty() error {
	if len(c.body) == 0 {
		return nil
	}
	return readBody(c.body)
}
