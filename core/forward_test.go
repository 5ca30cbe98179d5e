package core

import (
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		from, to := dial(t, app, "alice", "1"), dial(t, app, "bob", "1")
		var last *Transaction
		app.Use("/", func(req *Request, _ Next) error {
			last = Forward(req, to.peer())
			return nil
		})
		forward := func(id string) string {
			from.receive(`{"method":"message","path":"/some/where","id":` + id + `,"data":{"a": 1}}`)
			sent := to.take()
			if len(sent) != 1 {
				t.Fatalf("%d messages were forwarded", len(sent))
			}
			return sent[0]
		}
		if got, want := forward(`7`),
			`{"method":"message","path":"/some/where","id":7,"data":{"a": 1},"sender":{"username":"alice","uuid":"1"}}`; got != want {
			t.Errorf("forwarded\n%s\nwant\n%s", got, want)
		}
		for _, response := range []string{
			`{"status":100,"reason":"trying","id":7}`,
			`{"status":199,"reason":"日本","id":7,"data":[1, 2]}`,
			`{"status":486,"reason":"busy","id":7,"data":{"x":null}}`,
		} {
			to.receive(response)
			from.want(t, response)
		}

		forward(`8`)
		time.Sleep(10*time.Second + 1)
		from.want(t, `{"status":408,"reason":"sending timeout","id":8}`)
		forward(`9`)
		last.Cancel()
		from.want(t, `{"status":487,"reason":"canceled","id":9}`)
		forward(`10`)
		to.room = 0
		from.receive(ask("/", "slow", ""))
		from.want(t, `{"status":503,"reason":"peer too slow","id":"slow"}`)
		to.link.Closed(CloseTryAgainLater, "too slow")
		from.want(t, `{"status":410,"reason":"peer offline","id":10}`)
		from.receive(ask("/", "gone", ""))
		from.want(t, `{"status":410,"reason":"peer offline","id":"gone"}`)

		// The asker goes first.
		to = dial(t, app, "bob", "1")
		forward(`11`)
		from.link.Closed(1000, "")
		to.receive(`{"status":200,"reason":"ok","id":11}`)
		wantStatus(t, last, "200 ok")
	})
}

// TestForwardIDClash forwards requests of several peers, all with the same id, to one.
func TestForwardIDClash(t *testing.T) {
	app := New(Options{})
	to := dial(t, app, "bob", "1")
	app.Use("/", func(req *Request, _ Next) error {
		Forward(req, to.peer())
		return nil
	})
	var from []*fakeConn
	for i := range 5 {
		c := dial(t, app, "alice", strconv.Itoa(i))
		c.receive(ask("/", "1", strconv.Itoa(i)))
		from = append(from, c)
	}
	for i, text := range to.take() {
		m, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		to.receive(fmt.Sprintf(`{"status":200,"reason":"%s","id":%s}`, m.data, m.id))
		from[i].want(t, answer(200, strconv.Itoa(i), "1"))
	}
}
