package webtransport_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/webtransport"
	"github.com/protoo-go/protoo/transports/webtransport/devcert"
)

// A server with a self-made certificate, and a client that knows its hash.
func Example() {
	app := core.New(core.Options{})
	app.Message("/hello", func(req *core.Request, _ core.Next) error {
		return req.Reply(200, "ok", "Hello, "+req.Peer().Username()+"!")
	})
	server := webtransport.New(app, func(r *core.ConnectRequest) (core.Identity, error) {
		return core.Identity{Username: r.QueryValue("username"), UUID: "1"}, nil
	}, webtransport.Options{})
	source, err := devcert.New("127.0.0.1")
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(conn, &tls.Config{GetCertificate: source.GetCertificate}) }()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	hashes, err := source.Hashes()
	if err != nil {
		fmt.Println(err)
		return
	}
	session, err := webtransport.Dial(ctx, "https://"+conn.LocalAddr().String()+"/protoo?username=alice", webtransport.DialOptions{CertificateHashes: hashes})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Package client does this, and connects again when the connection is lost.
	client := core.New(core.Options{})
	link, err := client.Connect(core.Identity{Username: "server", UUID: "1"}, session)
	if err != nil {
		fmt.Println(err)
		return
	}
	go session.Run(link)
	res, err := link.Peer().Send(core.NewRequest("message", "/hello", nil)).Wait(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Status(), res.Data())

	if err := server.Close(); err != nil {
		fmt.Println(err)
	}
	fmt.Println(<-served)
	// Output:
	// 200 "Hello, alice!"
	// http: Server closed
}
