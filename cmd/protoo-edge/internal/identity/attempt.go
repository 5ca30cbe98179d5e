package identity

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/protoo-go/protoo/core"
)

// An attempt is somebody who wants to be let in.
type attempt struct {
	token              string
	basic              bool // username and password instead, of HTTP's Basic scheme (RFC 7617)
	username, password string
	uuid               string // that the client says it has

	request *core.ConnectRequest // nil for a peer that is in
	peer    *core.Peer           // nil for somebody who is not
}

// A grant says as whom somebody is let in.
type grant struct {
	username, uuid string
	data           map[string]any
	tokenID        string
	issued         time.Time // zero if that is not known
	expires        time.Time // zero if it does not
}

// newAttempt reads what a handshake says. Of several tokens that of the header counts.
func newAttempt(r *core.ConnectRequest, query string) *attempt {
	a := &attempt{request: r, uuid: r.QueryValue("uuid")}
	scheme, value, _ := strings.Cut(r.HeaderValue("Authorization"), " ")
	value = strings.TrimSpace(value)
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		a.token = value
	case strings.EqualFold(scheme, "Basic"):
		text, err := base64.StdEncoding.DecodeString(value)
		username, password, ok := strings.Cut(string(text), ":")
		if err == nil && ok && utf8.Valid(text) {
			a.basic, a.username, a.password = true, username, password
		}
	}
	if a.token == "" && !a.basic && query != "" {
		a.token = r.QueryValue(query)
	}
	return a
}

func (a *attempt) empty() bool { return a.token == "" && !a.basic }

// check bounds what a stranger has sent.
func (a *attempt) check(maxToken int) error {
	if len(a.token) > maxToken || len(a.username)+len(a.password) > maxToken {
		return &denial{Malformed, http.StatusUnauthorized, fmt.Sprintf("the token has more than %d bytes", maxToken)}
	}
	return nil
}

// check finds a grant under which nobody can connect. The names that are not the client's own have been checked.
func (g *grant) check() error {
	if g.uuid == "" {
		return &denial{WrongClaims, http.StatusBadRequest, "missing uuid: connect with ?uuid=DEVICE"}
	}
	if err := checkName(g.uuid); err != nil {
		return &denial{WrongClaims, http.StatusBadRequest, "uuid " + err.Error()}
	}
	return nil
}
