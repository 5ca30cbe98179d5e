package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"

	"github.com/protoo-go/protoo/bench/internal/server"
)

// control is the pipe to a server process.
type control struct {
	stdin  io.WriteCloser
	stdout io.Closer
	theirs io.Closer // the process's end of stdout
	out    *json.Encoder
	in     *json.Decoder

	mu sync.Mutex
}

func newControl(cmd *exec.Cmd) (*control, error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	// Not StdoutPipe: Wait would close it before the last answer is read.
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = w
	return &control{stdin: stdin, stdout: r, theirs: w, out: json.NewEncoder(stdin), in: json.NewDecoder(r)}, nil
}

func (c *control) hello(ctx context.Context) (h server.Hello, err error) {
	decoded := make(chan error, 1)
	go func() { decoded <- c.in.Decode(&h) }()
	select {
	case err = <-decoded:
	case <-ctx.Done():
		_ = c.stdin.Close() // which ends the process
		err = <-decoded     // it cannot last any more
		return h, errors.Join(context.Cause(ctx), err)
	}
	if err != nil {
		return h, fmt.Errorf("a server process has ended at once: %w", err)
	}
	if h.Error != "" {
		return h, errors.New(h.Error)
	}
	return h, nil
}

func (c *control) do(command server.Command) (r server.Result, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.out.Encode(command); err != nil {
		return r, fmt.Errorf("command %q to a server process: %w", command.Do, err)
	}
	if err := c.in.Decode(&r); err != nil {
		return r, fmt.Errorf("answer of a server process to %q: %w", command.Do, err)
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}

// close tells the process to end.
func (c *control) close() {
	_ = c.stdin.Close()
}
