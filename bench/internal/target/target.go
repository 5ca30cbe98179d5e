// Package target starts the servers that are measured, each in a process of its own.
package target

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"

	"github.com/protoo-go/protoo/bench/internal/load"
	"github.com/protoo-go/protoo/bench/internal/machine"
	"github.com/protoo-go/protoo/bench/internal/server"
)

// Datagram is the WebTransport server, when requests come as datagrams.
const Datagram = "webtransport-datagram"

// Options say how a server is started.
type Options struct {
	Program []string // and its arguments, before those that say what to serve: the program that calls server.Run
	CPUs    []int    // that it may use; none means all
	Host    string   // IP address to listen on; default 127.0.0.1
	// Path, if not nil, leads clients to the server another way: given a network, "tcp" or "udp", and an address of the server's,
	// it returns the address to dial.
	Path func(network, address string) (string, error)
}

// A Server is a process. It is a load.Server.
type Server struct {
	process
	control *control
	rival   bool   // not ours: it answers, but says nothing
	address string // what clients dial
	target  func(username, uuid string) string
	proto   string // of WebSocket
	tls     *tls.Config
	dialect load.Dialect
	over    *load.WebTransport // nil for WebSocket
}

// Start starts one of our transports, or Datagram. The caller closes it.
func Start(ctx context.Context, transport string, o Options) (*Server, error) {
	host := o.Host
	if host == "" {
		host = "127.0.0.1"
	}
	kind := transport
	if transport == Datagram {
		kind = server.WebTransport
	}
	cmd := exec.Command(o.Program[0], append(o.Program[1:len(o.Program):len(o.Program)], kind, host)...)
	s := &Server{dialect: load.Protoo, proto: "protoo"}
	s.dialect.Lossy = transport == Datagram
	if err := s.launch(cmd, o.CPUs); err != nil {
		return nil, err
	}
	if err := s.greet(ctx, transport, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// launch starts the process, with a pipe to tell it what to do. It ends with that pipe, and so with this program, whatever becomes of it.
func (s *Server) launch(cmd *exec.Cmd, cpus []int) (err error) {
	if s.control, err = newControl(cmd); err != nil {
		return err
	}
	err = s.start(cmd, cpus)
	_ = s.control.theirs.Close() // so that there is an end when the process ends
	if err != nil {
		s.control.close()
		_ = s.control.stdout.Close()
	}
	return err
}

// greet learns from the process where it listens.
func (s *Server) greet(ctx context.Context, transport string, o Options) error {
	hello, err := s.control.hello(ctx)
	if err != nil || hello.URL == "" {
		return err
	}
	u, err := url.Parse(hello.URL)
	if err != nil {
		return err
	}
	s.target = func(username, uuid string) string {
		return fmt.Sprintf("%s?username=%s&uuid=%s", u, username, uuid)
	}
	network := "tcp"
	if len(hello.Certificate) > 0 {
		if s.tls, err = trust(hello.Certificate, u.Hostname()); err != nil {
			return err
		}
	}
	if u.Scheme == "https" {
		network = "udp"
		s.over = &load.WebTransport{TLS: s.tls, Datagrams: transport == Datagram}
	}
	s.address = hello.Address
	if o.Path != nil {
		s.address, err = o.Path(network, hello.Address)
	}
	return err
}

func trust(certificate []byte, host string) (*tls.Config, error) {
	leaf, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &tls.Config{RootCAs: roots, ServerName: host}, nil
}

func (s *Server) Dial(ctx context.Context, username, uuid string) (load.Conn, error) {
	if s.over != nil {
		return s.over.Dial(ctx, s.target(username, uuid), s.address)
	}
	return load.DialWebSocket(ctx, s.target(username, uuid), s.address, s.proto, s.tls)
}

func (s *Server) Dialect() load.Dialect { return s.dialect }

func (s *Server) CPU() (machine.Reading, error) {
	cpu, err := machine.CPUOf(s.pid())
	if errors.Is(err, machine.ErrUnsupported) && !s.rival {
		r, e := s.control.do(server.Command{Do: server.DoCPU})
		return r.CPU, e
	}
	return cpu, err
}

// Resident has the process give back what it does not need. Others than ours may do some of that later, so it waits until nothing changes.
func (s *Server) Resident(ctx context.Context) (uint64, error) {
	r, err := s.ask(ctx, server.Command{Do: server.DoResident})
	if err == nil && s.rival {
		return s.settled(ctx)
	}
	return r.Resident, err
}

// ask has the process do something that takes a while. If that takes too long, it is killed.
func (s *Server) ask(ctx context.Context, command server.Command) (server.Result, error) {
	stop := context.AfterFunc(ctx, func() { _ = s.cmd.Process.Kill() })
	defer stop()
	r, err := s.control.do(command)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return r, err
}

// Load has a process drive itself: that is how the memory transport is measured.
func (s *Server) Load(ctx context.Context, job load.Job) (*load.Measurement, error) {
	r, err := s.ask(ctx, server.Command{Do: server.DoLoad, Job: &job})
	return r.Measurement, err
}

// Close ends the process.
func (s *Server) Close() error {
	if s.over != nil {
		s.over.Close()
	}
	s.control.close()
	defer s.control.stdout.Close()
	return s.stop()
}

// free returns an address of this machine that nobody listens on.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// Program returns how this very program is started to call server.Run.
func Program(argument string) ([]string, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return []string{exe, argument}, nil
}

func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
