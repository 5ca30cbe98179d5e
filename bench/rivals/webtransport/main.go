// Command webtransport answers protoo requests with the least that github.com/quic-go/webtransport-go needs for it: no
// router, no peers, no transactions. It is what protoo's cost per request over WebTransport is compared with.
//
// A request to /all is answered and then sent to all sessions, to compare what that costs.
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
	"github.com/quic-go/webtransport-go"

	"github.com/protoo-go/protoo/bench/rivals/internal/attend"
)

var (
	mu      sync.Mutex
	streams = make(map[*webtransport.Stream]*sync.Mutex)
)

func certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func appendText(dst, payload []byte) []byte {
	return append(quicvarint.Append(append(dst, 1), uint64(len(payload))), payload...)
}

func serve(session *webtransport.Session) {
	stream, err := session.AcceptStream(session.Context())
	if err != nil {
		return
	}
	writing := new(sync.Mutex)
	mu.Lock()
	streams[stream] = writing
	mu.Unlock()
	defer func() {
		mu.Lock()
		delete(streams, stream)
		mu.Unlock()
	}()
	r := bufio.NewReaderSize(stream, 2048)
	var in, out []byte
	for {
		op, err := r.ReadByte()
		if err != nil {
			return
		}
		n, err := quicvarint.Read(r)
		if err != nil || n > 64<<10 {
			return
		}
		if uint64(cap(in)) < n {
			in = make([]byte, n)
		}
		in = in[:n]
		if _, err := io.ReadFull(r, in); err != nil {
			return
		}
		if op != 1 {
			continue
		}
		var req struct {
			Path string          `json:"path"`
			ID   json.RawMessage `json:"id"`
			Data json.RawMessage `json:"data"`
		}
		if json.Unmarshal(in, &req) != nil {
			continue
		}
		msg := append([]byte(nil), `{"status":200,"reason":"ok","id":`...)
		msg = append(msg, req.ID...)
		msg = append(msg, `,"data":`...)
		msg = append(append(msg, req.Data...), '}')
		out = appendText(out[:0], msg)
		writing.Lock()
		_, err = stream.Write(out)
		writing.Unlock()
		if err != nil {
			return
		}
		if req.Path == "/all" {
			msg = append(append(append(msg[:0], `{"method":"message","path":"/all","id":"~1","data":`...), req.Data...), '}')
			out = appendText(out[:0], msg)
			mu.Lock()
			for to, writing := range streams {
				writing.Lock()
				_, _ = to.Write(out)
				writing.Unlock()
			}
			mu.Unlock()
		}
	}
}

func main() {
	addr := attend.Address("127.0.0.1:8083") // over UDP
	h := &http3.Server{TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{certificate()}})}
	server := &webtransport.Server{H3: h, CheckOrigin: func(*http.Request) bool { return true }}
	webtransport.ConfigureHTTP3Server(h)
	h.QUICConfig = &quic.Config{EnableDatagrams: true, EnableStreamResetPartialDelivery: true, KeepAlivePeriod: 15 * time.Second}
	h.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := server.Upgrade(w, r)
		if err != nil {
			return
		}
		go serve(session)
	})
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.Serve(conn))
}
