// The server that the JavaScript client is tested with in browsers. It does on demand what protoo-edge does only when something
// goes wrong: it closes with any code, refuses, and sends more than anybody reads.
//
// It listens on TCP and UDP, on one port number: for WebSocket, and for WebTransport with a certificate of its own making.
package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/websocket"
	"github.com/protoo-go/protoo/transports/webtransport"
	"github.com/protoo-go/protoo/transports/webtransport/devcert"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "address to listen on, for TCP and UDP")
	grace := flag.Duration("grace", 0, "how long a peer without a connection is still online")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *addr, *grace, os.Stdout); err != nil {
		slog.Error(err.Error())
		os.Exit(1)
	}
}

// serve prints where it listens and with which certificates, and serves until ctx ends.
func serve(ctx context.Context, addr string, grace time.Duration, out io.Writer) error {
	tcp, udp, err := listen(addr)
	if err != nil {
		return err
	}
	certificates, err := devcert.New("127.0.0.1")
	if err != nil {
		return err
	}
	hashes, err := certificates.Hashes()
	if err != nil {
		return err
	}

	app := newApp(grace)
	ws := websocket.New(app, accept, websocket.Options{Origins: []string{"*"}})
	wt := webtransport.New(app, accept, webtransport.Options{Origins: []string{"*"}, Datagrams: true})
	app.Attach(ws)
	app.Attach(wt)
	server := &http.Server{Handler: ws, ReadHeaderTimeout: time.Minute}

	failed := make(chan error, 2)
	go func() { failed <- server.Serve(tcp) }()
	go func() { failed <- wt.Serve(udp, &tls.Config{GetCertificate: certificates.GetCertificate}) }()
	encoded := make([]string, len(hashes))
	for i, hash := range hashes {
		encoded[i] = base64.StdEncoding.EncodeToString(hash[:])
	}
	fmt.Fprintf(out, "listening on http://%s with certificates %s\n", tcp.Addr(), strings.Join(encoded, " "))

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain(app)
	return errors.Join(app.Close(true), server.Close())
}

// drain closes all peers as protoo-edge does when it is told to end, but without patience.
func drain(app *core.App) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	var drained sync.WaitGroup
	app.Peers("", "", func(p *core.Peer) {
		// An error says that something was cut off, which is what there is a test for.
		drained.Go(func() { _ = p.Drain(ctx, core.CloseRestart, core.ReconnectHint("restart", 0)) })
	})
	drained.Wait()
}

// listen opens a port for TCP and UDP. When any will do, the one that TCP gets may be taken for UDP.
func listen(addr string) (net.Listener, net.PacketConn, error) {
	for attempt := 1; ; attempt++ {
		tcp, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, nil, err
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			return tcp, udp, nil
		}
		_ = tcp.Close()
		if attempt == 100 || !strings.HasSuffix(addr, ":0") {
			return nil, nil, err
		}
	}
}

// accept believes the query. A status in it refuses.
func accept(r *core.ConnectRequest) (core.Identity, error) {
	var status int
	if _, err := fmt.Sscan(r.QueryValue("token"), &status); err == nil {
		return core.Identity{}, core.Reject(status, "refused as asked for")
	}
	return core.Identity{Username: r.QueryValue("username"), UUID: r.QueryValue("uuid")}, nil
}
