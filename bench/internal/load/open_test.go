package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/bench/internal/machine"
)

// fake is a server that answers at once, except that it takes nothing for a while: whoever sends then has to wait.
type fake struct {
	stallFrom, stallUntil time.Time
	answer                func(msg string) string
	dialect               *Dialect // protoo's, if nil
}

func (s *fake) Dial(context.Context, string, string) (Conn, error) {
	return &fakeConn{server: s, answers: make(chan []byte, 10_000), gone: make(chan struct{})}, nil
}

func (s *fake) Dialect() Dialect { return *cmp.Or(s.dialect, &Protoo) }

func (*fake) CPU() (machine.Reading, error) { return machine.Reading{}, nil }

func (*fake) Resident(context.Context) (uint64, error) { return 1 << 20, nil }

type fakeConn struct {
	server  *fake
	answers chan []byte
	gone    chan struct{}
	end     sync.Once // a visitor who leaves and the end of the run may both close it
}

func (c *fakeConn) Send(msg []byte) error {
	if now := time.Now(); now.After(c.server.stallFrom) && now.Before(c.server.stallUntil) {
		time.Sleep(c.server.stallUntil.Sub(now))
	}
	answer := strings.Replace(string(msg), `"method":"message","path":"/echo"`, `"status":200,"reason":"OK"`, 1)
	if c.server.answer != nil {
		answer = c.server.answer(answer)
	}
	if answer != "" {
		c.answers <- []byte(answer)
	}
	return nil
}

func (c *fakeConn) Receive() ([]byte, error) {
	select {
	case msg := <-c.answers:
		return msg, nil
	case <-c.gone:
		return nil, context.Canceled
	}
}

func (c *fakeConn) Close() error {
	c.end.Do(func() { close(c.gone) })
	return nil
}

func (*fakeConn) Traffic() Traffic { return Traffic{} }

// openFake runs an open loop in simulated time.
func openFake(t *testing.T, s *fake, job Job) (*Measurement, error) {
	t.Helper()
	job.Kind = Open
	return do(t.Context(), s, job, func(r *run) error { return r.openWith(time.Sleep) })
}

// A server that stands still for two of ten seconds delays a fifth of the requests that should have been sent. A generator
// that waits with it and counts from when it got to send sees one slow request in a thousand.
func TestCoordinatedOmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fake{stallFrom: time.Now().Add(4 * time.Second), stallUntil: time.Now().Add(6 * time.Second)}
		m, err := openFake(t, s, Job{Peers: 1, Payload: 10, Rate: 100, Duration: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if m.Sent != 1000 || m.Requests != 1000 || m.Lost != 0 || m.Busy != 0 {
			t.Errorf("%d sent, %d answered, %d lost, %d not sent", m.Sent, m.Requests, m.Lost, m.Busy)
		}
		for _, tt := range []struct {
			name     string
			h        *Histogram
			q        float64
			from, to time.Duration
		}{
			{"corrected", m.Latency, 0.75, 0, time.Millisecond},
			{"corrected", m.Latency, 0.9, 900 * time.Millisecond, 1100 * time.Millisecond},
			{"corrected", m.Latency, 0.99, 1800 * time.Millisecond, 2 * time.Second},
			{"uncorrected", m.Service, 0.99, 0, time.Millisecond},
			{"uncorrected", m.Service, 1, 1900 * time.Millisecond, 2100 * time.Millisecond},
			{"lag", m.Lag, 0.9, 900 * time.Millisecond, 1100 * time.Millisecond},
		} {
			if got := tt.h.Quantile(tt.q); got < tt.from || got > tt.to {
				t.Errorf("%s %g: %v, want %v to %v", tt.name, tt.q, got, tt.from, tt.to)
			}
		}
	})
}

func TestWarmupDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fake{stallFrom: time.Now(), stallUntil: time.Now().Add(time.Second)}
		m, err := openFake(t, s, Job{Peers: 2, Payload: 10, Rate: 100, Warmup: 2 * time.Second, Duration: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if m.Requests != 100 || m.Latency.Quantile(1) > time.Millisecond || m.Elapsed > 1100*time.Millisecond {
			t.Errorf("%d requests in %v, the slowest %v", m.Requests, m.Elapsed, m.Latency.Quantile(1))
		}
	})
}

// Where requests get lost, percentiles are of what was sent. Elsewhere a loss is a failure.
func TestOpenLosses(t *testing.T) {
	lossy := Protoo
	lossy.Lossy = true
	for _, dialect := range []*Dialect{&lossy, nil} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			s := &fake{dialect: dialect, answer: func(msg string) string {
				if n++; n%10 == 0 {
					return ""
				}
				return msg
			}}
			m, err := openFake(t, s, Job{Peers: 1, Payload: 10, Rate: 100, Duration: time.Second})
			if dialect == nil {
				if err == nil {
					t.Error("a reliable transport may lose requests")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if m.Sent != 100 || m.Lost != 10 || m.Requests != 90 {
				t.Errorf("%d sent, %d lost, %d answered", m.Sent, m.Lost, m.Requests)
			}
			if d := m.Latency.Quantile(0.9); d > time.Millisecond {
				t.Errorf("nine of ten took %v", d)
			}
			if d := m.Latency.Quantile(0.91); d < Never {
				t.Errorf("91 of 100 took %v, but only 90 have an answer", d)
			}
		})
	}
}

// A peer that gets no answer any more, but keeps its connection, is noticed, although the other one goes on.
func TestSilence(t *testing.T) {
	for _, kind := range []Kind{Closed, Storm} {
		for swallowed, ok := range map[int64]bool{1: false, 150: false, 299: false, 0: true} {
			synctest.Test(t, func(t *testing.T) {
				var n atomic.Int64
				s := &fake{answer: func(msg string) string {
					if n.Add(1) == swallowed {
						return ""
					}
					return echoLate(msg)
				}}
				job := Job{Kind: kind, Peers: 2, Payload: 10, Warmup: 500 * time.Millisecond, Duration: time.Second}
				if _, err := Run(t.Context(), s, job); (err == nil) != ok {
					t.Errorf("%s without answer %d: got %v", kind, swallowed, err)
				}
			})
		}
	}
}

// messenger is a server that passes what a sender sends on to all devices, after change has seen it.
type messenger struct {
	fake
	mu      sync.Mutex
	devices []*fakeConn
	change  func(device int, msg string) []string
}

func (s *messenger) Dial(ctx context.Context, username, uuid string) (Conn, error) {
	conn, err := s.fake.Dial(ctx, username, uuid)
	if username == "sender" {
		return senderConn{conn.(*fakeConn), s}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.devices = append(s.devices, conn.(*fakeConn))
	return deviceConn{conn}, err
}

type deviceConn struct{ Conn }

func (deviceConn) Send([]byte) error { return nil }

type senderConn struct {
	*fakeConn
	server *messenger
}

func (c senderConn) Send(msg []byte) error {
	time.Sleep(time.Millisecond)
	_, rest, _ := strings.Cut(string(msg), `"id":"`)
	id, rest, _ := strings.Cut(rest, `"`)
	for i, device := range c.server.devices {
		for _, text := range c.server.change(i, `{"method":"message","path":"/users/everybody","id":"~1"`+strings.TrimSuffix(rest, "}")+`,"sender":{"username":"sender","uuid":"d"}}`) {
			device.answers <- []byte(text)
		}
	}
	c.answers <- fmt.Appendf(nil, `{"status":200,"reason":"message sent to %d peers","id":"%s"}`, len(c.server.devices), id)
	return nil
}

// Each device has to get each message once, and no other.
func TestFanout(t *testing.T) {
	const first, second = "1000000000", "1000000001"
	for _, tt := range []struct {
		name   string
		change func(device int, msg string) []string
		ok     bool
	}{
		{"as it should be", func(_ int, msg string) []string { return []string{msg} }, true},
		{"twice to one, instead of once to each", func(device int, msg string) []string {
			return [][]string{{msg, msg}, nil}[device]
		}, false},
		{"the first again", func(_ int, msg string) []string { return []string{strings.Replace(msg, second, first, 1)} }, false},
		{"to one only", func(device int, msg string) []string { return [][]string{{msg}, nil}[device] }, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &messenger{change: tt.change}
			m, err := Run(t.Context(), s, Job{Kind: Fanout, Peers: 2, Payload: 10, Duration: 100 * time.Millisecond})
			if (err == nil) != tt.ok {
				t.Errorf("%s: got %+v, %v", tt.name, m, err)
			}
		})
	}
}

// An answer to another peer's request is none.
func TestCrossTalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := make(chan string), make(chan string)
		s := &fake{answer: func(msg string) string { // each gets what the other one has asked for
			msg = echoLate(msg)
			select {
			case one <- msg:
				return <-other
			case theirs := <-one:
				other <- msg
				return theirs
			case <-time.After(time.Second):
				return ""
			}
		}}
		if m, err := Run(t.Context(), s, Job{Kind: Closed, Peers: 2, Payload: 10, Duration: time.Second}); err == nil {
			t.Errorf("nobody noticed: %+v", m)
		} else if !errors.Is(err, errUnasked) {
			t.Errorf("got %v", err)
		}
	})
}

// echoLate answers after a while, so that simulated time goes on.
func echoLate(msg string) string {
	time.Sleep(10 * time.Millisecond)
	return msg
}

// Pings of a protocol above WebSocket are answered, and are no answers.
func TestPing(t *testing.T) {
	dialect := Protoo
	dialect.Ping, dialect.Pong = "2", "3"
	for _, kind := range []Kind{Closed, Storm, Idle} {
		synctest.Test(t, func(t *testing.T) {
			s := &pinging{fake: fake{dialect: &dialect}}
			if _, err := Run(t.Context(), s, Job{Kind: kind, Peers: 1, Payload: 10, Duration: 100 * time.Millisecond}); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			if s.pongs == 0 {
				t.Errorf("%s: no ping was answered", kind)
			}
		})
	}
}

// pinging sends a ping to each connection, and counts the answers.
type pinging struct {
	fake
	pongs int
}

func (s *pinging) Dial(ctx context.Context, username, uuid string) (Conn, error) {
	conn, err := s.fake.Dial(ctx, username, uuid)
	conn.(*fakeConn).answers <- []byte("2")
	return pingedConn{conn.(*fakeConn), s}, err
}

func (s *pinging) Resident(ctx context.Context) (uint64, error) {
	time.Sleep(time.Millisecond)
	return s.fake.Resident(ctx)
}

type pingedConn struct {
	*fakeConn
	server *pinging
}

func (c pingedConn) Send(msg []byte) error {
	if string(msg) == "3" {
		c.server.pongs++
		return nil
	}
	time.Sleep(time.Millisecond)
	return c.fakeConn.Send(msg)
}

func TestWrongAnswers(t *testing.T) {
	for name, answer := range map[string]func(string) string{
		"status":    func(msg string) string { return strings.Replace(msg, "200", "500", 1) },
		"data":      func(msg string) string { return strings.Replace(msg, "text", "test", 1) },
		"old id":    func(string) string { return string(newForm(Protoo.Response, 10).fill(firstID - 1)) },
		"malformed": func(string) string { return "{" },
	} {
		for _, kind := range []Kind{Closed, Storm} {
			t.Run(name+" "+string(kind), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m, err := Run(t.Context(), &fake{answer: answer}, Job{Kind: kind, Peers: 2, Payload: 10, Duration: time.Second})
					if err == nil {
						t.Errorf("nobody noticed: %+v", m)
					}
				})
			})
		}
	}
}

// slow is a server that takes too long to accept some connections.
type slow struct {
	fake
	left *atomic.Int64
}

type errSlow struct{ error }

func (errSlow) Timeout() bool { return true }

func (errSlow) Temporary() bool { return false }

func (s *slow) Dial(ctx context.Context, username, uuid string) (Conn, error) {
	if s.left.Add(-1) >= 0 {
		return nil, errSlow{errors.New("too slow")}
	}
	return s.fake.Dial(ctx, username, uuid)
}

// Connecting is tried again, except where it is what is measured.
func TestConnectAgain(t *testing.T) {
	for _, tt := range []struct {
		kind  Kind
		slow  int64
		peers int
		ok    bool
	}{
		{Open, 2, 1, true},
		{Open, 3, 1, false},
		{Idle, 2, 4, true},
		{Storm, 1, 1, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &slow{left: new(atomic.Int64)}
			s.left.Store(tt.slow)
			behave := map[Kind]func(*run) error{Open: func(r *run) error { return r.openWith(time.Sleep) }, Idle: (*run).idle, Storm: (*run).storm}
			job := Job{Kind: tt.kind, Peers: tt.peers, Payload: 10, Rate: 100, Duration: time.Second}
			if _, err := do(t.Context(), s, job, behave[tt.kind]); (err == nil) != tt.ok {
				t.Errorf("%s with %d slow attempts: got %v", tt.kind, tt.slow, err)
			}
		})
	}
}

func TestJobs(t *testing.T) {
	for _, job := range []Job{
		{Kind: "other", Peers: 1, Payload: 10},
		{Kind: Closed, Payload: 10},
		{Kind: Closed, Peers: 1},
		{Kind: Open, Peers: 1, Payload: 10},
	} {
		if _, err := Run(t.Context(), &fake{}, job); err == nil {
			t.Errorf("%+v was done", job)
		}
	}
}

func TestInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := Run(ctx, &fake{answer: func(string) string { return "" }}, Job{Kind: Closed, Peers: 3, Payload: 10, Duration: time.Hour})
		if err != context.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
	})
}
