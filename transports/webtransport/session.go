package webtransport

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/protoo-go/protoo/core"
)

// A stream is the one that carries everything: a [*webtransport.Stream], but for some tests.
type stream interface {
	io.ReadWriteCloser // Close ends our direction
	SetWriteDeadline(time.Time) error
}

// session is what a connection needs of WebTransport, on either side.
type session struct {
	*webtransport.Session
	connect *http3.Stream // the CONNECT request's; nil on clients
	quic    *quic.Conn    // the session's own connection; nil on servers
}

// codeWait is how long the code may take with which a session was closed: a browser's reset of the stream can overtake it.
const codeWait = 200 * time.Millisecond

// verdict says how the other side has ended a session whose stream has failed with err. It may take codeWait.
func (s *session) verdict(err error) (code int, reason string) {
	for _, e := range [...]error{s.ending(), err} {
		if code, reason, told := told(e); told {
			return code, reason
		}
	}
	return core.CloseAbnormal, "connection lost"
}

// ending waits for the error that the session ends with. Its context does not say it, whoever accepts streams learns it.
func (s *session) ending() error {
	ctx, cancel := context.WithTimeout(context.Background(), codeWait)
	defer cancel()
	for {
		if _, err := s.AcceptStream(ctx); err != nil {
			return err
		}
	}
}

// told reads a close code out of an error.
func told(err error) (code int, reason string, ok bool) {
	if e, ok := errors.AsType[*webtransport.SessionError](err); ok && e.Remote {
		if code := int(e.ErrorCode); core.ValidCloseCode(code) {
			return code, strings.ToValidUTF8(e.Message, "\ufffd"), true
		}
		return core.CloseNoStatus, "", true
	}
	if e, ok := errors.AsType[*quic.ApplicationError](err); ok && e.Remote {
		// A browser ends the whole connection when a page is left.
		done := e.ErrorCode == 0 || e.ErrorCode == quic.ApplicationErrorCode(http3.ErrCodeNoError)
		return core.CloseNoStatus, "", done
	}
	// The CONNECT stream has ended without a word, which webtransport-go takes for an error of this kind.
	if e, ok := errors.AsType[*http3.Error](err); ok && e.ErrorMessage == io.EOF.Error() {
		return core.CloseNoStatus, "", true
	}
	return 0, "", false
}

// extra tells whether the other side has opened a stream that has no purpose.
func (s *session) extra() bool {
	_, err := s.AcceptStream(ended)
	if err == nil {
		return true
	}
	_, err = s.AcceptUniStream(ended)
	return err == nil
}

// ended is a context for what is not to wait.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// farewell tells a client that has no close frame how its session ends (draft-ietf-webtrans-http3, section 6). It must have read all
// that is for it: with this, browsers throw away what they have not given to the page. Session.CloseWithError
// does not do, because it stops the other direction at the same moment, and browsers then see a broken session and no code.
func (s *session) farewell(code int, reason string) {
	if s.connect == nil {
		return
	}
	if s.connect.TryWriteAll(appendCloseCapsule(nil, code, reason)) == nil {
		_ = s.connect.Close()
	}
}

// closeCapsule is the type of the capsule CLOSE_WEBTRANSPORT_SESSION.
const closeCapsule = 0x2843

func appendCloseCapsule(dst []byte, code int, reason string) []byte {
	dst = appendVarint(dst, closeCapsule)
	dst = appendVarint(dst, 4+len(reason))
	dst = binary.BigEndian.AppendUint32(dst, uint32(sessionCode(code)))
	return append(dst, reason...)
}

// sessionCode returns a close code as WebTransport has it, where 0 is none.
func sessionCode(code int) webtransport.SessionErrorCode {
	if !core.ValidCloseCode(code) {
		return 0
	}
	return webtransport.SessionErrorCode(code)
}

// kill ends the session at once. It may take some milliseconds.
func (s *session) kill(code int, reason string) {
	if s.quic == nil {
		_ = s.CloseWithError(sessionCode(code), reason)
		return
	}
	result := http3.ErrCodeNoError
	if code == core.CloseAbnormal {
		result = http3.ErrCodeRequestCanceled
	}
	_ = s.quic.CloseWithError(quic.ApplicationErrorCode(result), "")
}

// A responder is what http3 has as a ResponseWriter.
type responder interface {
	http.ResponseWriter
	http.Flusher
	http3.Settingser
	http3.HTTPStreamer
}

// taker keeps the stream that it gives away.
type taker struct {
	responder
	stream *http3.Stream
}

func (t *taker) HTTPStream() *http3.Stream {
	t.stream = t.responder.HTTPStream()
	return t.stream
}

// responderOf looks for http3's ResponseWriter inside those that handlers have put around it.
func responderOf(w http.ResponseWriter) (responder, bool) {
	for {
		if r, ok := w.(responder); ok {
			return r, true
		}
		inner, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil, false
		}
		w = inner.Unwrap()
	}
}

// wait waits until the session is over, and reports whether it is.
func (s *session) wait(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.Context().Done():
		return true
	case <-timer.C:
		return false
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	if udp, ok := a.(*net.UDPAddr); ok {
		p := udp.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	p, _ := netip.ParseAddrPort(a.String())
	return p
}
