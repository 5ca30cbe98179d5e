// Package netpath makes a network between two processes of one machine that loses and delays packets.
package netpath

import (
	"errors"
	"fmt"
	"time"
)

// Loss is what a path does to packets.
type Loss struct {
	Part  float64       // of the packets in each direction that is lost: 0.01 is 1 %
	Delay time.Duration // of each packet in each direction
}

func (l Loss) String() string {
	return fmt.Sprintf("%g %% lost and %v delay, each way", 100*l.Part, l.Delay)
}

// A Path is such a network. The zero value of Host and Program stands for this machine's loopback, where
// only Via leads through the path.
type Path struct {
	Label   string   // what it is, for the report: the same whenever it is the same
	Note    string   // why it is not a better one, or ""
	Host    string   // IP address that the server has to listen on
	Program []string // what has to start the server
	// Via returns the address to dial for a server's, on the network "tcp" or "udp". Close ends it.
	Via   func(network, address string) (string, error)
	close []func() error
}

// New makes the best path that the system and the user's rights allow: a network namespace with tc netem, or one behind TUN devices
// whose packets pass through this program, or proxies on loopback, which cannot make TCP lose anything. The label says which it is.
func New(l Loss) (*Path, error) {
	p, refused := newNamespace(l)
	if refused == nil {
		return p, nil
	}
	p, err := newProxies(l)
	if err != nil {
		return nil, errors.Join(err, refused)
	}
	p.Note = fmt.Sprintf("no network namespace for loss and delay: %v", refused)
	return p, nil
}

// Close undoes everything. Servers on the path must have ended.
func (p *Path) Close() error {
	var errs []error
	for i := range p.close {
		errs = append(errs, p.close[len(p.close)-1-i]())
	}
	p.close = nil
	return errors.Join(errs...)
}

func (p *Path) atClose(f func() error) { p.close = append(p.close, f) }
