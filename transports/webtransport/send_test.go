package webtransport

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// narrow is a stream that has room for some bytes at a time.
type narrow struct {
	room     chan byte
	deadline time.Time
}

func (n *narrow) Read([]byte) (int, error) { select {} }
func (n *narrow) Close() error             { return nil }

func (n *narrow) SetWriteDeadline(at time.Time) error {
	n.deadline = at
	return nil
}

func (n *narrow) Write(b []byte) (int, error) {
	timer := time.NewTimer(time.Until(n.deadline))
	defer timer.Stop()
	for i := range b {
		select {
		case n.room <- b[i]:
		default:
			select {
			case n.room <- b[i]:
			case <-timer.C:
				return i, os.ErrDeadlineExceeded
			}
		}
	}
	return len(b), nil
}

// TestSendNow has Send write by itself what the stream has room for, and leave the rest to a goroutine.
func TestSendNow(t *testing.T) {
	long := strings.Repeat("x", smallWrite)
	for _, tt := range []struct {
		name     string
		room     int
		messages []string
		now      int // how much is written when Send has returned for all of them
		took     time.Duration
	}{
		{"room for all", 100, []string{"hello", "world"}, 14, 0},
		{"room for some", 5, []string{"hello", "world"}, 5, shortWait},
		{"room for one", 7, []string{"hello", "wide", "world"}, 7, shortWait},
		{"no room", 0, []string{"hello", "world"}, 0, shortWait},
		{"long", 0, []string{long, "world"}, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newConn(&config{maxMessage: 1 << 16, queueSize: 1 << 20, writeTimeout: time.Minute, counters: new(counters)})
				s := &narrow{room: make(chan byte, tt.room)}
				c.attach(s)
				began := time.Now()
				var want []byte
				for _, m := range tt.messages {
					if err := c.Send([]byte(m)); err != nil {
						t.Fatal(err)
					}
					want = appendFrame(want, opText, []byte(m))
				}
				if took := time.Since(began); took != tt.took || len(s.room) != tt.now {
					t.Errorf("Send took %v and wrote %d bytes, expected %v and %d", took, len(s.room), tt.took, tt.now)
				}
				var got []byte
				for len(got) < len(want) {
					got = append(got, <-s.room)
				}
				if string(got) != string(want) {
					t.Errorf("got %q, expected %q", got, want)
				}
			})
		})
	}
}
