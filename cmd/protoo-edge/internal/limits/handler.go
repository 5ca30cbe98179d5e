package limits

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/protoo-go/protoo/core"
)

// attempt is a handshake.
type attempt struct {
	visitor *visitor
	header  http.Header // of the answer
	taken   bool        // the visitor belongs to a connection
}

type attemptKey struct{}

// Handler counts the handshakes that a transport's handler is asked for, and refuses those beyond the limits with a status and
// Retry-After. The request's RemoteAddr is whom they are counted as.
func (l *Limits) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, refused := l.enter(r.RemoteAddr)
		if refused != nil {
			answer(w, r, refused)
			return
		}
		a := &attempt{visitor: v, header: w.Header()}
		defer func() {
			if !a.taken {
				v.Closed()
			}
		}()
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), attemptKey{}, a)))
	})
}

func answer(w http.ResponseWriter, r *http.Request, refused *refusal) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Retry-After", strconv.Itoa(seconds(refused.wait)))
	if r.ProtoMajor == 1 {
		h.Set("Connection", "close") // or it would keep its socket until an idle timeout
	}
	w.WriteHeader(refused.Status)
	fmt.Fprintln(w, refused.Reason)
}

// Accept bounds the connections of each user, and gives those that Handler has counted their meter. It is to be around everything
// that decides who a connection is.
func (l *Limits) Accept(next core.Accept) core.Accept {
	return func(r *core.ConnectRequest) (core.Identity, error) {
		id, err := next(r)
		if err != nil {
			return id, err
		}
		a := attemptOf(r)
		if l.crowded(id) {
			if a != nil {
				a.header.Set("Retry-After", strconv.Itoa(seconds(roomAfter)))
			}
			return core.Identity{}, errCrowded
		}
		if a == nil {
			return id, nil
		}
		a.taken = true
		id.Meter = a.visitor
		if id.Introduction != nil {
			id.Introduction = l.introduction(*id.Introduction, a.visitor)
		} else {
			a.visitor.who.Store(debtorOf(id))
		}
		return id, nil
	}
}

// introduction is Accept for those that say later who they are.
func (l *Limits) introduction(in core.Introduction, v *visitor) *core.Introduction {
	next := in.Accept
	in.Accept = func(req *core.Request) (core.Identity, error) {
		id, err := next(req)
		switch {
		case err != nil:
			return id, err
		case l.crowded(id):
			return core.Identity{}, errCrowded
		}
		v.who.Store(debtorOf(id))
		return id, nil
	}
	return &in
}

func attemptOf(r *core.ConnectRequest) *attempt {
	raw, ok := r.Raw.(*http.Request)
	if !ok {
		return nil
	}
	a, _ := raw.Context().Value(attemptKey{}).(*attempt)
	return a
}

const tooManyOfUser = "too many connections of this user"

var errCrowded = core.Reject(http.StatusTooManyRequests, tooManyOfUser)

// crowded tells whether a user has no room for another device. One that is online already may connect again: it
// takes itself over.
func (l *Limits) crowded(id core.Identity) bool {
	most := l.options.Load().ConnectionsPerUser
	if most <= 0 || id.Username == "" || l.app.Peers(id.Username, "", nil) < most || l.app.Peer(id.Username, id.UUID) != nil {
		return false
	}
	l.count(ConnectionsPerUser)
	return true
}

// online finds devices that have come online at the same time, which Accept cannot.
func (l *Limits) online(p *core.Peer) {
	if most := l.options.Load().ConnectionsPerUser; most > 0 && l.app.Peers(p.Username(), "", nil) > most {
		l.count(ConnectionsPerUser)
		_ = p.Close(CloseTooMany, tooManyOfUser)
	}
}
