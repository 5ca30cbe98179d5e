package load

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// fanout has one sender, and the job's peers as the devices of one user.
func (r *run) fanout() error {
	const user = "everybody"
	d := r.server.Dialect()
	sender, err := r.connect("sender", uuid)
	if err != nil {
		return err
	}
	devices := make([]Conn, r.job.Peers)
	if err := r.dialAll(len(devices), func(i int) (err error) {
		devices[i], err = r.connect(user, strconv.Itoa(i))
		return err
	}); err != nil {
		return err
	}

	var sent, missing atomic.Int64 // when the message under way was sent, and who has yet to get it
	delivered := make(chan struct{}, 1)
	var all sync.WaitGroup
	for i, conn := range devices {
		all.Go(func() {
			f, next := newDelivery(user, r.job.Payload), int64(firstID)
			r.receive(fmt.Sprintf("device %d", i), conn, func(msg []byte) error {
				n, id, err := f.match(msg)
				if err != nil {
					return err
				}
				if n != next {
					return fmt.Errorf("got message %d, expected %d", n, next)
				}
				next++
				r.count(i, r.now()-time.Duration(sent.Load()))
				if missing.Add(-1) == 0 {
					delivered <- struct{}{}
				}
				return conn.Send([]byte(`{"status":200,"reason":"OK","id":` + id + `}`))
			})
		})
	}
	all.Go(func() {
		request := newForm(on(d.Request, "/users/"+user), r.job.Payload)
		response := newForm(fmt.Sprintf(`{"status":200,"reason":"message sent to %d peers","id":"$id"}`, len(devices)), r.job.Payload)
		id := int64(firstID)
		send := func() error {
			missing.Store(int64(len(devices)))
			sent.Store(int64(r.now()))
			return sender.Send(request.fill(id))
		}
		if err := send(); err != nil {
			r.failed("sender", err)
			return
		}
		r.receive("sender", sender, func(msg []byte) error {
			n, err := response.match(msg)
			if err != nil {
				return err
			}
			if n != id {
				return errUnasked
			}
			select {
			case <-delivered:
			case <-r.ctx.Done():
				return nil
			}
			id++
			return send()
		})
	})
	err = r.measure()
	r.fail(errDone)
	r.leave()
	all.Wait()
	return err
}

// A delivery is a message to many, whose id the server chooses.
type delivery struct {
	before []byte
	after  *form
}

func newDelivery(user string, payload int) delivery {
	return delivery{
		before: []byte(`{"method":"message","path":"/users/` + user + `","id":`),
		after:  newForm(`,"data":$data,"sender":{"username":"sender","uuid":"`+uuid+`"}}`, payload),
	}
}

// match returns the message's number, and the id as it was written.
func (d delivery) match(msg []byte) (n int64, id string, err error) {
	rest, ok := bytes.CutPrefix(msg, d.before)
	end := bytes.IndexByte(rest, ',')
	if !ok || end < 0 {
		return 0, "", fmt.Errorf("got %s, expected %s", excerpt(msg), excerpt(d.before))
	}
	if n, err = d.after.match(rest[end:]); err != nil {
		return 0, "", err
	}
	return n, string(rest[:end]), nil
}
