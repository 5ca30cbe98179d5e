package websocket_test

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// securePaths are those with TLS.
func securePaths() (secure []path) {
	for _, p := range paths {
		if p.tls {
			secure = append(secure, p)
		}
	}
	return secure
}

// dialTLS makes a TLS connection whose bytes go through what wrap returns.
func (s *server) dialTLS(t *testing.T, config *tls.Config, wrap func(net.Conn) net.Conn) *client {
	t.Helper()
	raw, err := s.dialBare(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	conn := tls.Client(wrap(raw.Conn), config)
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	return &client{Conn: conn, r: bufio.NewReaderSize(conn, 256)}
}

func (s *server) clientConfig() *tls.Config {
	config := s.tls.Clone()
	config.ServerName = "127.0.0.1"
	return config
}

// shaped is a connection whose bytes leave in other pieces than they were written in.
type shaped struct {
	net.Conn
	shape func(b []byte) (pieces [][]byte) // nil sends b as it is
}

func (s *shaped) Write(b []byte) (int, error) {
	if s.shape == nil {
		return s.Conn.Write(b)
	}
	for _, piece := range s.shape(b) {
		if _, err := s.Conn.Write(piece); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// TestRecords has TLS records reach the server in pieces, and many at a time, the first of them together with the handshake.
func TestRecords(t *testing.T) {
	const all = 1 << 20 // more than there is
	tests := []struct {
		name        string
		piece, most int // bytes in a piece; in a message
	}{
		{"byte by byte", 1, 300},
		{"in small pieces", 7, 5000},
		{"in pieces as long as a record", 16 << 10, 60_000},
		{"in large pieces", 50_000, 60_000},
		{"all at once", all, 60_000},
	}
	for _, p := range securePaths() {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, tt := range tests {
				t.Run(p.name+", "+tls.VersionName(version)+", "+tt.name, func(t *testing.T) {
					s := start(t, p, echo(), byQuery)
					config := s.clientConfig()
					config.MaxVersion = version
					wire := &shaped{}
					c := s.dialTLS(t, config, func(conn net.Conn) net.Conn { wire.Conn = conn; return wire })
					var waiting []byte
					wire.shape = func(b []byte) (pieces [][]byte) {
						for waiting = append(waiting, b...); len(waiting) >= tt.piece; waiting = waiting[tt.piece:] {
							pieces = append(pieces, waiting[:tt.piece])
						}
						return pieces
					}
					var want wanted
					send := func(b []byte) {
						t.Helper()
						if err := c.write(b); err != nil {
							t.Fatal(err)
						}
					}
					send(handshake("/?username=records&uuid=" + strconv.FormatInt(conversations.Add(1), 10)))
					for i := range 40 {
						pong := strings.Repeat("x", i)
						send(masked(final|9, []byte(pong)))
						want.pongs = append(want.pongs, pong)
					}
					for _, n := range []int{0, 100, 1000, 17_000, 60_000} {
						data := strings.Repeat("y", min(n, tt.most))
						send(text(echoRequest(data)))
						want.messages = append(want.messages, echoResponse(data))
					}
					wire.shape = nil
					if _, err := wire.Write(waiting); err != nil {
						t.Fatal(err)
					}
					c.switched(t)
					c.expect(t, want)
				})
			}
		}
	}
}

// TestGoodbye has clients end TLS and not TCP. For the server that is the end of the connection.
func TestGoodbye(t *testing.T) {
	for _, p := range securePaths() {
		t.Run(p.name, func(t *testing.T) {
			s := start(t, p, echo(), byQuery)
			for _, before := range [][]byte{nil, text(echoRequest("last")), text("not all of it")[:3], closing(1000, "")} {
				c := s.join(t)
				if err := c.write(before); err != nil {
					t.Fatal(err)
				}
				if err := c.Conn.(*tls.Conn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, c.Conn.(*tls.Conn).NetConn()) // until the server has ended it, too
				eventually(t, "the end of the connection", func() bool {
					n, _, _ := s.handler.Inside()
					return n == 0
				})
			}
		})
	}
}

// TestGoodbyeAtOnce has a client ask something and end TLS in one piece. It gets its answer before the end.
func TestGoodbyeAtOnce(t *testing.T) {
	for _, p := range securePaths() {
		t.Run(p.name, func(t *testing.T) {
			s := start(t, p, echo(), byQuery)
			wire := &shaped{}
			c := s.dialTLS(t, s.clientConfig(), func(conn net.Conn) net.Conn { wire.Conn = conn; return wire })
			if err := c.write(handshake("/?username=goodbye&uuid=1")); err != nil {
				t.Fatal(err)
			}
			c.switched(t)
			var waiting []byte
			wire.shape = func(b []byte) [][]byte { waiting = append(waiting, b...); return nil }
			if err := c.write(text(echoRequest("last"))); err != nil {
				t.Fatal(err)
			}
			if err := c.Conn.(*tls.Conn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			_ = wire.SetWriteDeadline(time.Time{}) // CloseWrite has set one that is over
			if _, err := wire.Conn.Write(waiting); err != nil {
				t.Fatal(err)
			}
			if answer, err := c.message(); err != nil || !strings.Contains(string(answer), "last") {
				t.Errorf("got %q, error %v", answer, err)
			}
		})
	}
}

// TestForgedRecord has a client send what it has not encrypted. It gets an alert, and the end.
func TestForgedRecord(t *testing.T) {
	for _, p := range securePaths() {
		t.Run(p.name, func(t *testing.T) {
			s := start(t, p, echo(), byQuery)
			other := newZipped(s.join(t), "")
			for _, tt := range []struct{ record, alert string }{
				{"\x17\x03\x03\x00\x20" + strings.Repeat("x", 32), "bad record MAC"},
				{"\x17\x03\x03\x00\x00", "bad record MAC"},
				{"\x17\x03\x03\xff\xff", "record overflow"},
				{"\x17\x02\x03\x00\x20", "protocol version"},
			} {
				c := s.join(t)
				if _, err := c.Conn.(*tls.Conn).NetConn().Write([]byte(tt.record)); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), tt.alert) {
					t.Errorf("%q: got error %v, want %q", tt.record, err, tt.alert)
				}
				_ = c.Close()
			}
			other.exchange(t, "others are served")
		})
	}
}

// sealer makes a client's TLS 1.3 records, so that there can be some that crypto/tls would not send.
type sealer struct {
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	count  uint64 // of records under this secret
}

func newSealer(t *testing.T, secret []byte) *sealer {
	t.Helper()
	block, err := aes.NewCipher(expandLabel(t, secret, "key", 16))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return &sealer{secret: secret, aead: aead, iv: expandLabel(t, secret, "iv", 12)}
}

// expandLabel is HKDF-Expand-Label (RFC 8446, section 7.1) without a context.
func expandLabel(t *testing.T, secret []byte, label string, n int) []byte {
	t.Helper()
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(append(append(info, byte(len(label))), label...), 0)
	key, err := hkdf.Expand(sha256.New, secret, string(info), n)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

const (
	handshakeRecord   = 22
	applicationRecord = 23
)

// record returns an encrypted record (RFC 8446, section 5.2).
func (s *sealer) record(kind byte, content []byte) []byte {
	plain := append(bytes.Clone(content), kind)
	header := []byte{applicationRecord, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(header[3:], uint16(len(plain)+s.aead.Overhead()))
	nonce := bytes.Clone(s.iv)
	binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])^s.count)
	s.count++
	return s.aead.Seal(bytes.Clone(header), nonce, plain, header)
}

// keyUpdate returns the record that announces the next secret, and asks for the server's, and goes on under that secret
// (RFC 8446, section 4.6.3).
func (s *sealer) keyUpdate(t *testing.T) []byte {
	t.Helper()
	record := s.record(handshakeRecord, []byte{24, 0, 0, 1, 1})
	*s = *newSealer(t, expandLabel(t, s.secret, "traffic upd", sha256.Size))
	return record
}

// keyLog remembers the client's secret.
type keyLog struct {
	mu     sync.Mutex
	client []byte
}

func (k *keyLog) Write(line []byte) (int, error) {
	words := strings.Fields(string(line))
	if words[0] == "CLIENT_TRAFFIC_SECRET_0" {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.client, _ = hex.DecodeString(words[2])
	}
	return len(line), nil
}

// joinSealing returns a client that reads as usual. What is written goes through the sealer to wire.
func (s *server) joinSealing(t *testing.T) (c *client, seal *sealer, wire net.Conn) {
	t.Helper()
	log := &keyLog{}
	config := s.clientConfig()
	config.KeyLogWriter = log
	c = s.dialTLS(t, config, func(conn net.Conn) net.Conn { wire = conn; return conn })
	if suite := c.Conn.(*tls.Conn).ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		t.Skipf("%s is what crypto/tls chooses where there are no instructions for AES", tls.CipherSuiteName(suite))
	}
	if err := c.write(handshake("/?username=sealing&uuid=" + strconv.FormatInt(conversations.Add(1), 10))); err != nil {
		t.Fatal(err)
	}
	c.switched(t)
	seal = newSealer(t, log.client)
	seal.count = 1 // the request was the first
	return c, seal, wire
}

// TestKeyUpdate has a client change its keys, and ask for the server's to be changed, again and again.
func TestKeyUpdate(t *testing.T) {
	for _, p := range securePaths() {
		t.Run(p.name, func(t *testing.T) {
			s := start(t, p, echo(), byQuery)
			c, seal, wire := s.joinSealing(t)
			var b []byte
			var want wanted
			for i := range 100 {
				b = append(b, seal.keyUpdate(t)...)
				// Answers to more than 16 of these that arrive together would be too many for the client.
				data := strings.Repeat("x", 5000+10*i)
				b = append(b, seal.record(applicationRecord, text(echoRequest(data)))...)
				want.messages = append(want.messages, echoResponse(data))
			}
			b = append(b, seal.keyUpdate(t)...) // with nothing behind it
			for len(b) > 0 {
				n := min(len(b), 1+rand.IntN(3000))
				if _, err := wire.Write(b[:n]); err != nil {
					t.Fatal(err)
				}
				b = b[n:]
			}
			var got wanted
			for len(got.messages) < len(want.messages) {
				c.collect(t, &got)
			}
			for i := range want.messages {
				if got.messages[i] != want.messages[i] {
					t.Fatalf("message %d: got %.300q", i, got.messages[i])
				}
			}
		})
	}
}

// TestUselessRecords has a client change its keys and say nothing. crypto/tls does not put up with that for long.
func TestUselessRecords(t *testing.T) {
	for _, p := range securePaths() {
		t.Run(p.name, func(t *testing.T) {
			s := start(t, p, echo(), byQuery)
			c, seal, wire := s.joinSealing(t)
			var b []byte
			for range 100 {
				b = append(b, seal.keyUpdate(t)...)
			}
			if _, err := wire.Write(b); err != nil {
				t.Fatal(err)
			}
			_ = c.SetReadDeadline(time.Now().Add(time.Minute))
			for {
				_, err := c.r.ReadByte()
				if errors.Is(err, net.ErrClosed) || err != nil && strings.Contains(err.Error(), "timeout") {
					t.Fatalf("got error %v, want the server to end it", err)
				}
				if err != nil {
					break
				}
			}
			eventually(t, "the end of the connection", func() bool {
				n, _, _ := s.handler.Inside()
				return n == 0
			})
		})
	}
}

// TestHaste has clients ask for a connection and end it at once, before the server has taken it over: what is to be
// written and the end are then seen together.
func TestHaste(t *testing.T) {
	for _, p := range securePaths() {
		t.Run(p.name, func(t *testing.T) {
			s := start(t, p, echo(), byQuery)
			other := newZipped(s.join(t), "")
			var clients sync.WaitGroup
			for i := range 8 {
				clients.Go(func() {
					for j := range 40 {
						c, err := s.dialBare(s.tls)
						if err != nil {
							t.Error(err)
							return
						}
						_ = c.write(handshake(fmt.Sprintf("/?username=hasty&uuid=%d-%d", i, j)))
						if j%2 == 0 {
							_ = c.write(text(echoRequest("unread")))
						}
						_ = c.Conn.(*tls.Conn).CloseWrite()
						_ = c.Close()
					}
				})
			}
			clients.Wait()
			other.exchange(t, "others are served")
			eventually(t, "the end of the connections", func() bool {
				n, _, _ := s.handler.Inside()
				return n == 1
			})
		})
	}
}
