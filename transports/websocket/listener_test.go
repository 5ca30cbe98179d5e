package websocket_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/transports/websocket"
)

// script is a listener whose Accept fails and succeeds as it is told.
type script struct {
	net.Listener
	results chan error // nil for a connection
	calls   []time.Duration
	start   time.Time
}

func (s *script) Accept() (net.Conn, error) {
	s.calls = append(s.calls, time.Since(s.start))
	if err := <-s.results; err != nil {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
	}
	conn, _ := net.Pipe()
	return conn, nil
}

func (s *script) Close() error { close(s.results); return errors.New("closed once") }

func TestListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{results: make(chan error, 100), start: time.Now()}
		var reports []error
		l := websocket.NewListener(s, func(err error) { reports = append(reports, err) })
		accept := func(results ...error) error {
			t.Helper()
			for _, r := range results {
				s.results <- r
			}
			conn, err := l.Accept()
			if err == nil {
				_ = conn.Close()
			}
			if len(s.results) > 0 {
				t.Fatalf("%d results were not asked for", len(s.results))
			}
			return err
		}
		wantReports := func(n int) {
			t.Helper()
			if len(reports) != n {
				t.Fatalf("got reports %v, want %d", reports, n)
			}
		}

		if err := accept(nil); err != nil {
			t.Fatal(err)
		}
		wantReports(0)

		// Out of descriptors: it waits longer and longer, but no longer than a second.
		s.calls, s.start = nil, time.Now()
		if err := accept(slices.Concat(slices.Repeat([]error{syscall.EMFILE}, 10), []error{nil})...); err != nil {
			t.Fatal(err)
		}
		wantReports(1)
		if !errors.Is(reports[0], syscall.EMFILE) {
			t.Errorf("got report %v", reports[0])
		}
		at, wait := time.Duration(0), 5*time.Millisecond
		for i, call := range s.calls {
			if call != at {
				t.Errorf("call %d: at %v, want %v", i, call, at)
			}
			at, wait = at+wait, min(2*wait, time.Second)
		}

		// At the limit it succeeds and fails in turns: that is still the same episode.
		for _, cause := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
			for range 50 {
				if err := accept(cause, nil); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
			}
		}
		wantReports(1)

		time.Sleep(59 * time.Second)
		if err := accept(syscall.ENFILE, nil); err != nil {
			t.Fatal(err)
		}
		wantReports(2)

		// Other errors are not its business.
		if err := accept(syscall.EINVAL); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("got error %v", err)
		}
		wantReports(2)

		// Close ends the waiting.
		end := make(chan error)
		s.results <- syscall.EMFILE
		go func() {
			_, err := l.Accept()
			end <- err
		}()
		synctest.Wait()
		if err := fmt.Sprint(l.Close()); err != "closed once" {
			t.Errorf("Close: got %v", err)
		}
		if err := <-end; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: got %v", err)
		}
		if err := fmt.Sprint(l.Close()); err != "closed once" {
			t.Errorf("second Close: got %v", err)
		}
	})
}
