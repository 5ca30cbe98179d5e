package netpath

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// connectTUN connects with two TUN devices, between which this program carries the packets: it loses IP packets before TCP or QUIC
// see them, as a real path does, on kernels that have no netem.
func (p *Path) connectTUN(namespace, device, here, there string, l Loss) error {
	p.Label = fmt.Sprintf("network namespace, TUN devices whose packets this program carries: %s", l)
	outer, inner := device+"a", device+"b"
	a, err := openTUN(outer)
	if err != nil {
		return err
	}
	b, err := openTUN(inner)
	if err != nil {
		_ = a.Close()
		return err
	}
	var running sync.WaitGroup
	running.Go(func() { l.carry(a, b) })
	running.Go(func() { l.carry(b, a) })
	p.atClose(func() error {
		err := firstError(a.Close(), b.Close())
		running.Wait()
		return err
	})
	return firstError(
		ip("link", "set", inner, "netns", namespace),
		up(nil, outer, here, there),
		up([]string{"-n", namespace}, inner, there, here),
	)
}

func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make the device %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

// carry takes packets from one device to the other, until from is closed.
func (l Loss) carry(from, to *os.File) {
	type packet struct {
		due  time.Time
		data []byte
	}
	const queue, mtu = 10_000, 1500
	packets := make(chan packet, queue)
	var running sync.WaitGroup
	running.Go(func() {
		for p := range packets {
			time.Sleep(time.Until(p.due))
			_, _ = to.Write(p.data) // lost when the device is down
		}
	})
	defer running.Wait()
	defer close(packets)
	for {
		data := make([]byte, mtu)
		n, err := from.Read(data)
		if err != nil {
			return
		}
		if rand.Float64() < l.Part {
			continue
		}
		select {
		case packets <- packet{time.Now().Add(l.Delay), data[:n]}:
		default: // as a router does that has no room
		}
	}
}
