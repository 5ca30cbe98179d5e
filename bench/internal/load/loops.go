package load

import (
	"errors"
	"fmt"
	"sync"
)

func (r *run) closed() error {
	d := r.server.Dialect()
	return r.loops(r.job.Peers, func(i int, conn Conn) (*caller, error) {
		return newCaller(i, r.firstOf(i), conn, on(d.Request, "/echo"), d.Response, r.job.Payload, r.job.InFlight), nil
	})
}

// loops has n peers, each sending as soon as an answer comes.
func (r *run) loops(n int, prepare func(i int, conn Conn) (*caller, error)) error {
	callers := make([]*caller, n)
	err := r.dialAll(n, func(i int) error {
		conn, err := r.connect(username(i), uuid)
		if err == nil {
			callers[i], err = prepare(i, conn)
		}
		return err
	})
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	for _, c := range callers {
		all.Go(func() { r.loop(c) })
	}
	err = r.measure()
	r.fail(errDone)
	r.leave()
	all.Wait()
	return err
}

func (r *run) loop(c *caller) {
	who := username(c.number)
	for range len(c.waiting) {
		now := r.now()
		if _, err := c.send(now, now); err != nil {
			r.failed(who, err)
			return
		}
	}
	r.receive(who, c.conn, func(msg []byte) error {
		_, sent, err := c.answered(msg)
		if err != nil {
			return err
		}
		now := r.now()
		r.count(c.number, now-sent)
		ok, err := c.send(now, now)
		if !ok && err == nil {
			err = errOrder
		}
		return err
	})
}

// relay has as many pairs of peers as the job has peers: u0 sends to v0, and so on.
func (r *run) relay() error {
	d := r.server.Dialect()
	var answering sync.WaitGroup
	err := r.loops(r.job.Peers, func(i int, conn Conn) (*caller, error) {
		name := fmt.Sprintf("v%d", i)
		path := fmt.Sprintf("/users/%s/%s", name, uuid)
		other, err := r.connect(name, uuid)
		if err != nil {
			return nil, err
		}
		forwarded := fmt.Sprintf(`{"method":"message","path":"%s","id":"$id","data":$data,"sender":{"username":"%s","uuid":"%s"}}`, path, username(i), uuid)
		arriving, reply := newForm(forwarded, r.job.Payload), newForm(d.Response, r.job.Payload)
		answering.Go(func() {
			r.receive(name, other, func(msg []byte) error {
				id, err := arriving.match(msg)
				if err != nil {
					return err
				}
				return other.Send(reply.fill(id))
			})
		})
		return newCaller(i, r.firstOf(i), conn, on(d.Request, path), d.Response, r.job.Payload, r.job.InFlight), nil
	})
	r.fail(errDone)
	r.leave()
	answering.Wait()
	return err
}

var errOrder = errors.New("answers come in another order than the requests")
