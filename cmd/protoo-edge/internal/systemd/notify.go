// Package systemd talks to the service manager that has started the process, if it is systemd or speaks like it.
package systemd

import (
	"net"
	"os"
	"strings"
)

// Notify tells the service manager the state of the process, in the form of sd_notify(3). Without one it does nothing.
func Notify(state ...string) error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	// A name that begins with "@" is one in Linux's abstract namespace, to Go as well.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(strings.Join(state, "\n")))
	return err
}

// The states that protoo-edge is in.
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
)
