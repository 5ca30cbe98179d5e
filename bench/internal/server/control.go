package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/protoo-go/protoo/bench/internal/load"
	"github.com/protoo-go/protoo/bench/internal/machine"
)

// Hello is the first thing that a server process writes.
type Hello struct {
	URL         string `json:"url"`     // peers add ?username=&uuid=
	Address     string `json:"address"` // host:port of the socket
	Certificate []byte `json:"certificate,omitempty"`
	Error       string `json:"error,omitempty"`
}

// Command is one line on a server process's standard input. For each there is a line with a Result.
type Command struct {
	Do  string    `json:"do"`            // one of the names below
	Job *load.Job `json:"job,omitempty"` // for DoLoad
}

// What a server process can be told to do. It ends with its standard input.
const (
	DoCPU      = "cpu"      // say what it has used
	DoResident = "resident" // give back what it does not need, and say what is left
	DoLoad     = "load"     // drive itself, which only makes sense for the memory transport
)

// Result is the answer to a command.
type Result struct {
	CPU         machine.Reading   `json:"cpu"`
	Resident    uint64            `json:"resident,omitempty"`
	Measurement *load.Measurement `json:"measurement,omitempty"`
	Error       string            `json:"error,omitempty"`
}

// Run is a server process: it serves a transport on a host, an IP address, until stdin ends.
func Run(ctx context.Context, transport, host string, stdin io.Reader, stdout io.Writer) error {
	out := json.NewEncoder(stdout)
	s, err := start(transport, host)
	if err != nil {
		return errors.Join(err, out.Encode(Hello{Error: err.Error()}))
	}
	err = out.Encode(Hello{URL: s.url, Address: s.address, Certificate: s.certificate})
	for in := json.NewDecoder(stdin); err == nil; {
		var c Command
		if err = in.Decode(&c); err == nil {
			err = out.Encode(s.do(ctx, c))
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, s.close())
}

func (s *server) do(ctx context.Context, c Command) (r Result) {
	var err error
	switch {
	case c.Do == DoCPU:
		r.CPU, err = machine.CPUOfSelf()
	case c.Do == DoResident:
		r.Resident, err = machine.ResidentSelf()
	case c.Do == DoLoad && c.Job != nil && s.memory != nil:
		r.Measurement, err = load.Run(ctx, load.InProcess{Transport: s.memory}, *c.Job)
	default:
		err = errors.New("unknown command " + c.Do)
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}
