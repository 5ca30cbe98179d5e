package load

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// storm has the job's number of peers arrive at a time. Each connects, has one request answered, and leaves.
func (r *run) storm() error {
	d := r.server.Dialect()
	var arrived atomic.Int64
	var all sync.WaitGroup
	for i := range r.job.Peers {
		all.Go(func() {
			for r.ctx.Err() == nil {
				if err := r.visit(i, arrived.Add(1), d); err != nil && r.ctx.Err() == nil {
					r.failed("connection storm", err)
				}
			}
		})
	}
	err := r.measure()
	r.fail(errDone)
	r.leave()
	all.Wait()
	return err
}

func (r *run) visit(i int, visitor int64, d Dialect) error {
	began := r.now()
	conn, err := r.dial(username(int(visitor)), uuid)
	if err != nil {
		return err
	}
	defer r.hangUp(conn)
	c := newCaller(i, firstID+visitor, conn, on(d.Request, "/echo"), d.Response, r.job.Payload, 1)
	if _, err := c.send(began, began); err != nil {
		return err
	}
	msg, err := conn.Receive()
	if err != nil {
		return err
	}
	if _, _, err := c.answered(msg); err != nil {
		return err
	}
	r.count(i, r.now()-began)
	return nil
}

// Steps returns the numbers of peers at which Idle looks at the memory.
func (j Job) Steps() []int { return []int{0, j.Peers / 4, j.Peers / 2, j.Peers * 3 / 4, j.Peers} }

// idle connects the job's peers step by step.
func (r *run) idle() error {
	connected := 0
	var listening sync.WaitGroup
	defer listening.Wait()
	defer r.leave()
	return r.between(func() error {
		for _, until := range r.job.Steps() {
			err := r.dialAll(until-connected, func(i int) error {
				name := username(connected + i)
				conn, err := r.connect(name, uuid)
				if err != nil {
					return err
				}
				listening.Go(func() {
					r.receive(name, conn, func(msg []byte) error { return fmt.Errorf("got %s, expected nothing", excerpt(msg)) })
				})
				return nil
			})
			if err != nil {
				return err
			}
			connected = until
			resident, err := r.server.Resident(r.ctx)
			if err != nil {
				return err
			}
			r.measurement.Memory = append(r.measurement.Memory, Memory{Peers: connected, Resident: resident})
		}
		r.fail(errDone)
		return nil
	})
}
