package target

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"time"

	"github.com/protoo-go/protoo/bench/internal/machine"
)

// process is a program that runs.
type process struct {
	cmd    *exec.Cmd
	output tail
	exited chan struct{}
	result error // how it has ended, after exited
}

func (p *process) start(cmd *exec.Cmd, cpus []int) error {
	p.cmd = cmd
	p.exited = make(chan struct{})
	cmd.Stderr = &p.output
	separate(cmd)
	if err := machine.Start(cmd, cpus); err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	go func() {
		p.result = cmd.Wait()
		close(p.exited)
	}()
	return nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop waits for the process to end, which has been told to, and kills it if that takes too long.
func (p *process) stop() error {
	const patience = 30 * time.Second // the machine may be busy
	select {
	case <-p.exited:
		return p.ended()
	case <-time.After(patience):
	}
	_ = p.cmd.Process.Kill()
	<-p.exited
	return fmt.Errorf("%s did not end within %v", p.cmd.Path, patience)
}

// ended returns why the process has ended, if that was not as it should be.
func (p *process) ended() error {
	if p.result == nil {
		return nil
	}
	if exit, ok := errors.AsType[*exec.ExitError](p.result); ok && exit.ExitCode() < 0 {
		return nil // killed, which only we do
	}
	return fmt.Errorf("%s: %w: %s", p.cmd.Path, p.result, p.output.String())
}

// settled returns the resident memory when it has stopped to change.
func (p *process) settled(ctx context.Context) (uint64, error) {
	const step, steps, steady = 100 * time.Millisecond, 30, 10
	var last uint64
	same := 0
	for range steps {
		now, err := machine.Resident(p.pid())
		if err != nil {
			return 0, err
		}
		if d := max(now, last) - min(now, last); d > now/200 {
			same = 0
		} else if same++; same >= steady {
			return now, nil
		}
		last = now
		select {
		case <-time.After(step):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	return last, nil
}

// tail keeps the last of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(b []byte) (int, error) {
	const limit = 2000
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if extra := len(t.b) - limit; extra > 0 {
		t.b = append(t.b[:0], t.b[extra:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
