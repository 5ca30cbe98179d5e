package identity

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/memory"
)

func TestRevoke(t *testing.T) {
	for _, tt := range []struct {
		name   string
		what   Revocation
		closed []string // of the peers that enter
	}{
		{"user", Revocation{Username: "alice"}, []string{"alice/phone", "alice/tablet"}},
		{"device", Revocation{Username: "alice", UUID: "phone"}, []string{"alice/phone"}},
		{"device of any user", Revocation{UUID: "phone"}, []string{"alice/phone", "bob/phone"}},
		{"token", Revocation{TokenID: "t-bob-phone"}, []string{"bob/phone"}},
		{"nobody", Revocation{Username: "carol"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := build(t, byJWT())
				enter := func(username, uuid string) (*visit, error) {
					id := "t-" + username + "-" + uuid
					return h.dial(query("token", token(t, map[string]any{"sub": username, "jti": id}), "uuid", uuid))
				}
				in := make(map[string]*visit)
				for _, name := range []string{"alice/phone", "alice/tablet", "bob/phone", "bob/tablet"} {
					username, uuid, _ := strings.Cut(name, "/")
					v, err := enter(username, uuid)
					if err != nil {
						t.Fatal(err)
					}
					v.ask("message", "/echo", "1")
					in[name] = v
				}
				n, err := h.gate.Revocations.Revoke(tt.what)
				if err != nil || n != len(tt.closed) {
					t.Errorf("closed %d and got error %v", n, err)
				}
				for _, name := range tt.closed {
					in[name].wantEnd(4403, "revoked")
					delete(in, name)
					username, uuid, _ := strings.Cut(name, "/")
					if _, err := enter(username, uuid); fmt.Sprint(err) != "403 revoked" {
						t.Errorf("%s again: got %v", name, err)
					}
				}
				for name, v := range in {
					if got := v.ask("message", "/echo", "1"); !strings.Contains(got, "200") {
						t.Errorf("%s: got %s", name, got)
					}
				}
				// Tokens that were made later are good, but for those of the same name.
				time.Sleep(2 * time.Second)
				for _, name := range tt.closed {
					username, uuid, _ := strings.Cut(name, "/")
					_, err := enter(username, uuid)
					if want := tt.what.TokenID == ""; (err == nil) != want {
						t.Errorf("%s with a later token: got %v", name, err)
					}
				}
			})
		})
	}
}

// What is let in by others is revoked by name.
func TestGuard(t *testing.T) {
	o := byJWT()
	o.Type = "development"
	app := core.New(core.Options{})
	gate, err := New(app, o)
	if err != nil {
		t.Fatal(err)
	}
	transport := memory.New(app, gate.Guard(func(r *core.ConnectRequest) (core.Identity, error) {
		return core.Identity{Username: r.QueryValue("username"), UUID: "1"}, nil
	}), memory.Options{})
	app.Attach(transport)
	defer gate.Close()
	defer app.Close(true)
	h := &house{t, app, gate, transport}
	v, err := h.dial(query("username", "alice"))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := gate.Revocations.Revoke(Revocation{Username: "alice"}); n != 1 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	v.wantEnd(4403, "revoked")
	if got := h.refused(query("username", "alice")); got != "403 revoked" {
		t.Errorf("got %s", got)
	}
	if got := h.refused(query("username", "bob")); got != "let in" {
		t.Errorf("got %s", got)
	}
	if gate.Decides() {
		t.Error("the gate decides in development")
	}
}

// A revocation between the decision and the connection closes the connection.
func TestRevokedMeanwhile(t *testing.T) {
	h := build(t, byJWT())
	id, err := h.gate.Accept(&core.ConnectRequest{Context: t.Context(), Query: query("token", token(t, nil), "uuid", "phone").Query})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.gate.Revocations.Revoke(Revocation{Username: "alice"}); err != nil {
		t.Fatal(err)
	}
	late := memory.New(h.app, func(*core.ConnectRequest) (core.Identity, error) { return id, nil }, memory.Options{})
	defer late.Close()
	conn, err := late.Dial(t.Context(), core.ConnectRequest{})
	if err != nil {
		t.Fatal(err)
	}
	(&visit{t, conn}).wantEnd(4403, "revoked")
}

func TestRevocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRevocations(3, time.Hour, func(Revocation) int { return 0 })
		revoke := func(what Revocation) error {
			_, err := r.Revoke(what)
			return err
		}
		for _, bad := range []Revocation{
			{}, {TokenID: "t", Username: "u"}, {TokenID: "t", UUID: "u"}, {Username: strings.Repeat("x", 257)}, {UUID: "\xff"},
		} {
			if err := revoke(bad); !errors.Is(err, ErrTarget) {
				t.Errorf("%+v: got %v", bad, err)
			}
		}
		now := time.Now()
		if err := errors.Join(revoke(Revocation{Username: "a"}), revoke(Revocation{UUID: "b", Expires: now.Add(time.Minute)}), revoke(Revocation{TokenID: "c"})); err != nil {
			t.Fatal(err)
		}
		if err := revoke(Revocation{Username: "d"}); !errors.Is(err, ErrTooMany) {
			t.Errorf("a fourth: got %v", err)
		}
		if err := revoke(Revocation{Username: "a", Since: now.Add(-time.Hour), Expires: now}); err != nil {
			t.Errorf("again: %v", err)
		}
		list := r.List()
		if len(list) != 3 || list[1] != (Revocation{Username: "a", Since: now, Expires: now.Add(time.Hour)}) {
			t.Errorf("got %+v", list)
		}
		alice := core.Identity{Username: "a", UUID: "1"}
		for _, tt := range []struct {
			id     core.Identity
			token  string
			issued time.Time
			want   bool
		}{
			{alice, "", time.Time{}, true}, {alice, "", now, true}, {alice, "", now.Add(time.Second), false}, {alice, "c", now.Add(time.Second), true},
			{core.Identity{Username: "x", UUID: "b"}, "", now, true}, {core.Identity{Username: "b", UUID: "a"}, "a", now, false},
		} {
			if got := r.revoked(tt.id, tt.token, tt.issued); got != tt.want {
				t.Errorf("%+v, %q, %v: got %v", tt.id, tt.token, tt.issued, got)
			}
		}
		time.Sleep(time.Minute)
		if r.revoked(core.Identity{Username: "x", UUID: "b"}, "", now) || len(r.List()) != 2 {
			t.Error("it has not expired")
		}
		if err := revoke(Revocation{Username: "d"}); err != nil {
			t.Errorf("in the place of what has expired: %v", err)
		}
		if !r.Remove(Revocation{Username: "d"}) || r.Remove(Revocation{Username: "d"}) || r.revoked(core.Identity{Username: "d", UUID: "1"}, "", now) {
			t.Error("it cannot be taken back")
		}
		time.Sleep(time.Hour)
		r.limit(1, time.Minute)
		if err := revoke(Revocation{Username: "e"}); err != nil || r.Len() != 1 {
			t.Errorf("with another limit: %v, %d", err, r.Len())
		}
	})
}

// A hundred thousand peers have one timer. BenchmarkSessions tells what each of them takes.
func BenchmarkSessions(b *testing.B) {
	s := newSessions(func(*core.Peer) {})
	defer s.close()
	peers := make([]*core.Peer, 0, b.N)
	for range b.N {
		peers = append(peers, new(core.Peer))
	}
	b.ReportAllocs()
	expires := time.Now().Add(time.Hour)
	b.ResetTimer()
	for i, p := range peers {
		s.set(p, &grant{tokenID: "t", issued: expires, expires: expires.Add(time.Duration(i) * time.Millisecond)})
	}
}
