//go:build linux

// Command wtload measures a WebTransport server that speaks protoo's frames, from outside: a closed loop of round
// trips, requests at a slow pace, a request that is sent to everybody, and the memory of idle sessions.
//
// The figure to compare between servers is the server's CPU time per request, which another busy process disturbs
// less than a rate.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
	"github.com/quic-go/webtransport-go"
	"golang.org/x/sys/unix"
)

var (
	addr     = flag.String("addr", "127.0.0.1:8083", "host:port of the server")
	path     = flag.String("path", "/protoo?username=u%d&uuid=1", "of the URL; %d is the session's number")
	mode     = flag.String("mode", "loop", "loop, sparse, fanout or idle")
	sessions = flag.Int("sessions", 64, "how many there are")
	window   = flag.Int("window", 1, "requests in flight per session, in a loop")
	every    = flag.Duration("every", time.Second, "between two requests of a session, when they are sparse")
	payload  = flag.Int("payload", 128, "bytes of data in a request")
	duration = flag.Duration("d", 5*time.Second, "measured time")
	warm     = flag.Duration("warm", time.Second, "time before that")
	pid      = flag.Int("pid", 0, "the server's process")
)

// client is a session with its stream.
type client struct {
	conn   *quic.Conn
	stream *webtransport.Stream
	r      *bufio.Reader
	in     []byte
	out    []byte
}

// sockets are shared by some sessions each, so that no socket's buffer overflows.
func sockets(n int) []*quic.Transport {
	const each = 16
	var all []*quic.Transport
	for range (n + each - 1) / each {
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			log.Fatal(err)
		}
		all = append(all, &quic.Transport{Conn: conn})
	}
	return all
}

func dial(over *quic.Transport, n int) (*client, error) {
	to, err := net.ResolveUDPAddr("udp", *addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http3.NextProtoH3}}
	conn, err := over.Dial(ctx, to, config, &quic.Config{
		MaxIdleTimeout: 2 * time.Minute, EnableDatagrams: true, EnableStreamResetPartialDelivery: true,
	})
	if err != nil {
		return nil, err
	}
	cc, err := new(webtransport.Transport).NewClientConn(conn)
	if err != nil {
		return nil, err
	}
	_, session, err := cc.Dial(ctx, "https://"+*addr+strings.ReplaceAll(*path, "%d", strconv.Itoa(n)), nil)
	if err != nil {
		return nil, err
	}
	stream, err := session.OpenStream()
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, stream: stream, r: bufio.NewReaderSize(stream, 2048)}
	_, err = stream.Write([]byte{9, 0})
	return c, err
}

// dialAll opens the sessions, a few at a time, and tries again when the server is too busy for one.
func dialAll() []*client {
	over := sockets(*sessions)
	all := make([]*client, *sessions)
	var dialing sync.WaitGroup
	next := make(chan int)
	for range 8 {
		dialing.Go(func() {
			for i := range next {
				for attempt := 0; ; attempt++ {
					c, err := dial(over[i%len(over)], i)
					if err == nil {
						all[i] = c
						break
					}
					if attempt == 10 {
						log.Fatal(err)
					}
					time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
				}
			}
		})
	}
	for i := range all {
		next <- i
	}
	close(next)
	dialing.Wait()
	return all
}

// hangUp ends the connections. A server that only lost them would look for their clients during the next measurement.
func hangUp(all []*client) {
	for _, c := range all {
		_ = c.conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
	}
}

func (c *client) send(path string, id int, data string) error {
	msg := fmt.Appendf(nil, `{"method":"message","path":%q,"id":"%d","data":{"type":"text","text":"%s"}}`, path, id, data)
	c.out = append(quicvarint.Append(append(c.out[:0], 1), uint64(len(msg))), msg...)
	_, err := c.stream.Write(c.out)
	return err
}

// receive returns the next message.
func (c *client) receive() ([]byte, error) {
	for {
		op, err := c.r.ReadByte()
		if err != nil {
			return nil, err
		}
		n, err := quicvarint.Read(c.r)
		if err != nil {
			return nil, err
		}
		if uint64(cap(c.in)) < n {
			c.in = make([]byte, n)
		}
		c.in = c.in[:n]
		if _, err := io.ReadFull(c.r, c.in); err != nil {
			return nil, err
		}
		switch op {
		case 1:
			return c.in, nil
		case 8:
			return nil, fmt.Errorf("closed: %q", c.in)
		}
	}
}

// cpu returns what the server has used, from the process's own clock, which is exact where /proc counts ticks.
func cpu() time.Duration {
	const sched = 2 // of the clocks in linux/posix-timers.h the one for user and system
	var t unix.Timespec
	_ = unix.ClockGettime(int32(^*pid<<3|sched), &t)
	return time.Duration(t.Nano())
}

func rss() int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", *pid))
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	var kb int
	_, _ = fmt.Sscan(rest, &kb)
	return kb
}

// measurement is what happened in the measured time.
type measurement struct {
	measuring atomic.Bool
	done      atomic.Bool
	count     atomic.Int64

	mu        sync.Mutex
	latencies []time.Duration
}

func (m *measurement) add(began time.Time, latencies *[]time.Duration) {
	if m.measuring.Load() {
		m.count.Add(1)
		*latencies = append(*latencies, time.Since(began))
	}
}

func (m *measurement) keep(latencies []time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latencies = append(m.latencies, latencies...)
}

// loop keeps a number of requests in flight.
func (m *measurement) loop(c *client, data string) {
	began := make([]time.Time, *window)
	var latencies []time.Duration
	defer func() { m.keep(latencies) }()
	for id := 0; !m.done.Load(); id++ {
		slot := id % *window
		if id >= *window {
			if _, err := c.receive(); err != nil {
				log.Fatal(err)
			}
			m.add(began[slot], &latencies)
		}
		began[slot] = time.Now()
		if err := c.send("/echo", id, data); err != nil {
			log.Fatal(err)
		}
	}
}

// sparse sends a request now and then.
func (m *measurement) sparse(c *client, data string) {
	var latencies []time.Duration
	defer func() { m.keep(latencies) }()
	time.Sleep(rand.N(*every))
	for id := 0; !m.done.Load(); id++ {
		began := time.Now()
		if err := c.send("/echo", id, data); err != nil {
			log.Fatal(err)
		}
		if _, err := c.receive(); err != nil {
			log.Fatal(err)
		}
		m.add(began, &latencies)
		time.Sleep(time.Until(began.Add(*every)))
	}
}

// fanout has one client send to all, again when all have got it.
func (m *measurement) fanout(all []*client, data string) {
	got := make(chan struct{}, len(all))
	for id, c := range all {
		// With an answer, the server has the session's stream for sure, and does not leave it out.
		if err := c.send("/echo", id, data); err != nil {
			log.Fatal(err)
		}
		if _, err := c.receive(); err != nil {
			log.Fatal(err)
		}
		go func() {
			for {
				msg, err := c.receive()
				if err != nil {
					if !m.done.Load() {
						log.Fatal(err)
					}
					return
				}
				if strings.Contains(string(msg[:20]), "method") {
					got <- struct{}{}
				}
			}
		}()
	}
	var latencies []time.Duration
	defer func() { m.keep(latencies) }()
	for id := 0; !m.done.Load(); id++ {
		began := time.Now()
		if err := all[0].send("/all", id, data); err != nil {
			log.Fatal(err)
		}
		for range all {
			<-got
			m.add(began, &latencies)
		}
	}
}

func main() {
	flag.Parse()
	before := rss()
	all := dialAll()
	defer hangUp(all)
	result := map[string]any{"mode": *mode, "sessions": *sessions}
	defer func() { _ = json.NewEncoder(os.Stdout).Encode(result) }()
	if *mode == "idle" {
		time.Sleep(5 * time.Second)
		result["kb_per_session"] = float64(rss()-before) / float64(*sessions)
		began := cpu()
		time.Sleep(*duration)
		result["cpu_us_per_session_and_minute"] = float64((cpu() - began).Microseconds()) / float64(*sessions) * (time.Minute.Seconds() / duration.Seconds())
		return
	}
	m := new(measurement)
	data := strings.Repeat("x", *payload)
	var running sync.WaitGroup
	switch *mode {
	case "loop":
		for _, c := range all {
			running.Go(func() { m.loop(c, data) })
		}
	case "sparse":
		for _, c := range all {
			running.Go(func() { m.sparse(c, data) })
		}
	case "fanout":
		running.Go(func() { m.fanout(all, data) })
	default:
		log.Fatalf("unknown mode %q", *mode)
	}
	time.Sleep(*warm)
	used, began := cpu(), time.Now()
	m.measuring.Store(true)
	time.Sleep(*duration)
	m.measuring.Store(false)
	used, took := cpu()-used, time.Since(began)
	result["rss_kb"] = rss()
	m.done.Store(true)
	running.Wait()
	n := m.count.Load()
	slices.Sort(m.latencies)
	if n > 0 {
		result["per_s"] = float64(n) / took.Seconds()
		result["server_cpu_us"] = float64(used.Microseconds()) / float64(n)
		result["p50_us"] = m.latencies[len(m.latencies)/2].Microseconds()
		result["p99_us"] = m.latencies[len(m.latencies)*99/100].Microseconds()
	}
}
