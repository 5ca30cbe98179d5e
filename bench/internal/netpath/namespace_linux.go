package netpath

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// ends returns the addresses of the two ends of a process's path, in the network 198.18.0.0/15 that RFC 2544 reserves for benchmarks. Two
// processes have different ones, unless they are very unlucky.
func ends(pid int) (here, there string) {
	const each = 4
	n := pid % (1 << 17 / each) * each
	at := func(n int) string { return fmt.Sprintf("198.%d.%d.%d", 18+n>>16, n>>8&0xff, n&0xff) }
	return at(n + 1), at(n + 2)
}

// newNamespace puts the server into a network namespace of its own. It needs root, and the programs of iproute2.
func newNamespace(l Loss) (*Path, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("not root")
	}
	name := fmt.Sprintf("protoo-bench-%d", os.Getpid())
	device := fmt.Sprintf("pb%d", os.Getpid())
	here, there := ends(os.Getpid())
	p := &Path{Host: there, Program: []string{"ip", "netns", "exec", name}}
	p.Via = func(_, address string) (string, error) { return address, nil }
	if err := ip("netns", "add", name); err != nil {
		return nil, err
	}
	remove, err := guard("ip", "netns", "del", name)
	if err != nil {
		return nil, errors.Join(err, ip("netns", "del", name))
	}
	p.atClose(remove)
	connect := p.connectEmulated
	if err := emulation(name); err != nil {
		connect = p.connectTUN
	}
	if err := connect(name, device, here, there, l); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// guard returns what runs a command, which runs as well when this program ends without having called it, whatever it is that ends it.
func guard(command ...string) (func() error, error) {
	cmd := exec.Command("sh", append([]string{"-c", `cat >/dev/null; exec "$@"`, "sh"}, command...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is not for it
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() error {
		_ = alive.Close()
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(command, " "), err)
		}
		return nil
	}, nil
}

// emulation tells whether the kernel has netem, by trying it on the namespace's own loopback.
func emulation(namespace string) error {
	return ip("netns", "exec", namespace, "tc", "qdisc", "add", "dev", "lo", "root", "netem")
}

// connectEmulated connects with a pair of virtual Ethernet devices, of which both lose and delay what they send.
func (p *Path) connectEmulated(namespace, device, here, there string, l Loss) error {
	p.Label = fmt.Sprintf("network namespace, tc netem: %s", l)
	outer, inner := device+"a", device+"b"
	if err := ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", namespace); err != nil {
		return err
	}
	p.atClose(func() error { return ip("link", "del", outer) })
	netem := []string{"root", "netem", "limit", "100000", "delay", l.Delay.String(), "loss", fmt.Sprintf("%g%%", 100*l.Part)}
	return firstError(
		run("tc", append([]string{"qdisc", "add", "dev", outer}, netem...)...),
		ip(append([]string{"netns", "exec", namespace, "tc", "qdisc", "add", "dev", inner}, netem...)...),
		up(nil, outer, here, there),
		up([]string{"-n", namespace}, inner, there, here),
	)
}

// up gives a point-to-point device its addresses and turns it on.
func up(where []string, device, own, peer string) error {
	return firstError(
		ip(append(slices.Clip(where), "addr", "add", own, "peer", peer, "dev", device)...),
		ip(append(slices.Clip(where), "link", "set", device, "up")...),
	)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func ip(args ...string) error { return run("ip", args...) }

func run(program string, args ...string) error {
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
