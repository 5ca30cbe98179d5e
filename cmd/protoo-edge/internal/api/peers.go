package api

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/protoo-go/protoo/core"
)

const (
	defaultPage = 100
	maxPage     = 1000
)

// device is a peer that is online.
type device struct {
	Username  string `json:"username"`
	UUID      string `json:"uuid"`
	Connected bool   `json:"connected"` // it has not just lost its connection
	Transport string `json:"transport,omitempty"`
	Address   string `json:"address,omitempty"`
}

type page struct {
	Peers []device `json:"peers"`
	Total int      `json:"total"`
	Next  string   `json:"next,omitempty"` // the cursor of the next page
}

// peers tells who is online, in the order of their names. Peers that come and go meanwhile can be missed or not; nobody is told twice.
func (s *Server) peers(c *call) (any, error) {
	var (
		username, uuid string
		after          *cursor
		limit          = defaultPage
	)
	for key, values := range c.query {
		if len(values) > 1 {
			return nil, &mistake{key, "given twice"}
		}
		var err error
		switch value := values[0]; key {
		case "username", "uuid":
			if value == "" || len(value) > maxName {
				return nil, &mistake{key, "expected a text of 1 to " + strconv.Itoa(maxName) + " bytes"}
			}
			if key == "username" {
				username = value
			} else {
				uuid = value
			}
		case "limit":
			if limit, err = strconv.Atoi(value); err != nil || limit < 0 || limit > maxPage {
				return nil, &mistake{key, "expected a whole number from 0 to " + strconv.Itoa(maxPage)}
			}
		case "cursor":
			if after = parseCursor(value); after == nil {
				return nil, &mistake{key, "expected what was called next in the page before"}
			}
		default:
			return nil, &mistake{join("", key), "unknown; expected username, uuid, limit or cursor"}
		}
	}
	c.target = who(username, uuid)
	if limit == 0 {
		return page{Peers: []device{}, Total: s.o.App.Peers(username, uuid, nil)}, nil
	}
	found, total := s.page(username, uuid, after, limit+1)
	result := page{Peers: []device{}, Total: total}
	if len(found) > limit {
		found = found[:limit]
		last := found[limit-1]
		result.Next = cursor{last.Username(), last.UUID()}.String()
	}
	for _, p := range found {
		d := device{Username: p.Username(), UUID: p.UUID()}
		if conn := p.Conn(); conn != nil {
			d.Connected = true
			d.Transport, d.Address, _ = strings.Cut(conn.String(), "/")
		}
		result.Peers = append(result.Peers, d)
	}
	return result, nil
}

// page returns the first n peers behind a cursor, and how many there are on all pages. One call at a time looks at all of them, so
// that pages of many peers do not take all processors.
func (s *Server) page(username, uuid string, after *cursor, n int) (found []*core.Peer, total int) {
	if username == "" {
		s.scan.Lock()
		defer s.scan.Unlock()
	}
	var before *core.Peer // nobody behind this one can be among the first n
	total = s.o.App.Peers(username, uuid, func(p *core.Peer) {
		if after != nil && compare(p, after.username, after.uuid) <= 0 || before != nil && compare(p, before.Username(), before.UUID()) > 0 {
			return
		}
		// Sorting now and then keeps what is held small, however many there are.
		if found = append(found, p); len(found) == 4*n {
			found = least(found, n)
			before = found[n-1]
		}
	})
	return least(found, n), total
}

// least returns the first n peers in the order of their names.
func least(peers []*core.Peer, n int) []*core.Peer {
	slices.SortFunc(peers, func(a, b *core.Peer) int {
		return compare(a, b.Username(), b.UUID())
	})
	return peers[:min(n, len(peers))]
}

// cursor is where a page ends.
type cursor struct{ username, uuid string }

// compare orders peers by their names.
func compare(p *core.Peer, username, uuid string) int {
	return cmp.Or(strings.Compare(p.Username(), username), strings.Compare(p.UUID(), uuid))
}

func (c cursor) String() string {
	text, err := json.Marshal([2]string{c.username, c.uuid})
	if err != nil {
		panic(err) // strings can be encoded
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// parseCursor returns nil if it is not one of ours.
func parseCursor(text string) *cursor {
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	var names []string
	if err != nil || json.Unmarshal(decoded, &names) != nil || len(names) != 2 {
		return nil
	}
	return &cursor{names[0], names[1]}
}
