package api

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/protoo-go/protoo/core"
)

const (
	maxName   = 256 // bytes of a username or uuid, as core has it
	maxMethod = 64
	maxPath   = 2048

	// maxDevices bounds the devices that are asked in one call, and maxTargets whom a broadcast names.
	maxDevices = 64
	maxTargets = 1000
	// maxProvisional bounds the provisional responses of a device that are told, and maxData the bytes of data in all
	// responses of a call. What is beyond is left out.
	maxProvisional = 16
	maxData        = 1 << 20
)

// message is a request for peers.
type message struct {
	method, path string
	data         json.RawMessage
}

func (m *message) fields() []field {
	return []field{text("method", &m.method, 1, maxMethod), text("path", &m.path, 1, maxPath), anything("data", &m.data)}
}

// nobody is an application without peers: it finds out whether a request can be sent.
var nobody = core.New(core.Options{})

func (m *message) request() (*core.Request, error) {
	if err := missing("method", m.method, "path", m.path); err != nil {
		return nil, err
	}
	req := core.NewRequest(m.method, m.path, m.data)
	if _, err := nobody.Broadcast("", "", req); err != nil {
		return nil, &InvalidError{Detail: err.Error()}
	}
	return req, nil
}

// missing finds the first key of key, value, key, value... whose value is "".
func missing(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			return &mistake{pairs[i], "missing"}
		}
	}
	return nil
}

// who names a user, or a device of one.
func who(username, uuid string) string {
	if uuid == "" {
		return username
	}
	return username + "/" + uuid
}

// response is what a device has answered, or what is said in its place.
type response struct {
	Username    string          `json:"username"`
	UUID        string          `json:"uuid"`
	Status      int             `json:"status"`
	Reason      string          `json:"reason"`
	Data        json.RawMessage `json:"data,omitempty"`
	Omitted     bool            `json:"omitted,omitempty"` // there was data, and no room for it
	Local       bool            `json:"local"`             // the device has given no answer
	Provisional []provisional   `json:"provisional,omitempty"`
}

type provisional struct {
	Status  int             `json:"status"`
	Reason  string          `json:"reason"`
	Data    json.RawMessage `json:"data,omitempty"`
	Omitted bool            `json:"omitted,omitempty"`
}

// send sends a request to the devices of a user and waits for their answers.
func (s *Server) send(c *call) (any, error) {
	var (
		username, uuid string
		m              message
		milliseconds   int
		answers        = "first"
		all            bool
	)
	err := readBody(c.body, append(m.fields(),
		text("username", &username, 1, maxName),
		text("uuid", &uuid, 1, maxName),
		number("timeoutMs", &milliseconds, 1, int(min(s.o.MaxWait.Milliseconds(), math.MaxInt32))),
		choice("answers", &answers, "first", "all"),
		toggle("provisional", &all),
	)...)
	if err == nil {
		err = missing("username", username)
	}
	if err != nil {
		return nil, err
	}
	c.target = who(username, uuid)
	req, err := m.request()
	if err != nil {
		return nil, err
	}
	timeout := s.timeout(m.method, time.Duration(milliseconds)*time.Millisecond)
	req.SetTimeout(timeout)
	var devices []*core.Peer
	s.o.App.Peers(username, uuid, func(p *core.Peer) { devices = append(devices, p) })
	switch {
	case len(devices) == 0:
		return nil, fail(http.StatusNotFound, "not-online", "there is no such peer online")
	case len(devices) > maxDevices:
		return nil, &InvalidError{Detail: fmt.Sprintf("the user has %d devices, at most %d are asked in one call", len(devices), maxDevices)}
	}
	c.wait(timeout)
	a := newAnswers(devices, req, all)
	defer a.cancel()
	for range devices {
		select {
		case i := <-a.finals:
			if answers == "first" && a.accepts(i) {
				return a.result(i), nil
			}
		case <-c.ctx.Done():
			return nil, c.ctx.Err()
		case <-s.ended.Done():
			return nil, errDraining()
		}
	}
	if answers == "first" {
		return a.result(a.best()), nil
	}
	return a.result(-1), nil
}

// timeout is how long peers may take to answer.
func (s *Server) timeout(method string, chosen time.Duration) time.Duration {
	d := chosen
	if d == 0 && s.o.Timeout != nil {
		d = s.o.Timeout(method)
	}
	switch {
	case d > 0:
	case method == "session":
		d = 2 * time.Minute
	default:
		d = 10 * time.Second
	}
	return min(d, s.o.MaxWait)
}

// answers collects the responses of some devices to one request.
type answers struct {
	transactions []*core.Transaction
	finals       chan int // the device that has given its final response, by number

	mu        sync.Mutex
	responses []response
	order     []int // in which the final ones came
	room      int   // for data, in bytes
}

func newAnswers(devices []*core.Peer, req *core.Request, all bool) *answers {
	a := &answers{finals: make(chan int, len(devices)), responses: make([]response, len(devices)), room: maxData}
	for i, p := range devices {
		a.responses[i] = response{Username: p.Username(), UUID: p.UUID()}
		t := p.Send(req)
		a.transactions = append(a.transactions, t)
		t.OnResponse(func(res *core.Response) {
			if !res.IsProvisional() {
				a.final(i, res)
			} else if all {
				a.provisional(i, res)
			}
		})
	}
	return a
}

func (a *answers) final(i int, res *core.Response) {
	a.mu.Lock()
	r := &a.responses[i]
	r.Status, r.Reason, r.Local = res.Status(), res.Reason(), res.IsLocal()
	r.Data, r.Omitted = a.take(res)
	a.order = append(a.order, i)
	a.mu.Unlock()
	a.finals <- i
}

func (a *answers) provisional(i int, res *core.Response) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := &a.responses[i]
	if len(r.Provisional) == maxProvisional {
		return
	}
	p := provisional{Status: res.Status(), Reason: res.Reason()}
	p.Data, p.Omitted = a.take(res)
	r.Provisional = append(r.Provisional, p)
}

// take is called with the lock.
func (a *answers) take(res *core.Response) (data json.RawMessage, omitted bool) {
	if len(res.Data()) > a.room {
		return nil, true
	}
	a.room -= len(res.Data())
	return json.RawMessage(res.Data()), false
}

func (a *answers) accepts(i int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.responses[i].Status >= 200 && a.responses[i].Status < 300
}

// best returns the first answer that a device has given, or else the first that was made here.
func (a *answers) best() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, i := range a.order {
		if !a.responses[i].Local {
			return i
		}
	}
	return a.order[0]
}

type sent struct {
	Responses []response `json:"responses"`
}

// result is what one device has answered, or with -1 what all have.
func (a *answers) result(i int) sent {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i >= 0 {
		return sent{[]response{a.responses[i]}}
	}
	return sent{append([]response(nil), a.responses...)}
}

// cancel forgets the requests that are not answered yet.
func (a *answers) cancel() {
	for _, t := range a.transactions {
		t.Cancel()
	}
}

// broadcast sends a request to many and waits for nobody.
func (s *Server) broadcast(c *call) (any, error) {
	type target struct{ username, uuid string }
	var (
		m       message
		all     bool
		targets []target
	)
	err := readBody(c.body, append(m.fields(),
		toggle("all", &all),
		list("to", maxTargets, func(value json.RawMessage, path string) error {
			var t target
			err := readObject(value, path, []field{text("username", &t.username, 1, maxName), text("uuid", &t.uuid, 1, maxName)})
			if err == nil {
				err = missing(path+".username", t.username)
			}
			targets = append(targets, t)
			return err
		}),
	)...)
	if err != nil {
		return nil, err
	}
	if all == (len(targets) > 0) {
		return nil, &mistake{"to", "expected either to or all: true"}
	}
	req, err := m.request()
	if err != nil {
		return nil, err
	}
	c.wait(s.o.MaxWait)
	if all {
		c.target = "all"
		n, err := s.o.App.Broadcast("", "", req)
		return broadcasted{Sent: n}, err
	}
	c.target = strconv.Itoa(len(targets)) + " targets"
	var result broadcasted
	for _, t := range targets {
		if s.o.App.Peers(t.username, t.uuid, nil) == 0 {
			result.Absent++
			continue
		}
		n, err := s.o.App.Broadcast(t.username, t.uuid, req)
		if err != nil {
			return nil, err
		}
		result.Sent += n
	}
	return result, nil
}

type broadcasted struct {
	Sent   int `json:"sent"`   // devices
	Absent int `json:"absent"` // entries of "to" without a device online
}
