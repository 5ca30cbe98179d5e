package api

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/core"
)

// silent is a connection to nobody.
type silent struct{}

func (silent) Send([]byte) error       { return nil }
func (silent) Close(int, string) error { return nil }
func (silent) Resume()                 {}
func (silent) String() string          { return "ws/192.0.2.1:50000" }

func benchmarkCall(b *testing.B, peers int, method, target, body string) {
	b.Helper()
	f := newFixture(b, func(o *Options) { o.Audit = nil })
	for i := range peers {
		if _, err := f.app.Connect(core.Identity{Username: fmt.Sprint("user", i), UUID: "phone"}, silent{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequestWithContext(b.Context(), method, target, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+testKey)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		if f.ServeHTTP(w, r); w.Code != 200 {
			b.Fatalf("got %d %s", w.Code, w.Body)
		}
	}
}

// BenchmarkPage asks for a page in the middle of many peers.
func BenchmarkPage(b *testing.B) {
	for _, peers := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(peers), func(b *testing.B) {
			benchmarkCall(b, peers, "GET", "/v1/peers?cursor="+cursor{"user5", ""}.String(), "")
		})
	}
}

// BenchmarkBroadcast sends to one device of many.
func BenchmarkBroadcast(b *testing.B) {
	benchmarkCall(b, 1000, "POST", "/v1/broadcast", `{"to":[{"username":"user7"}],"method":"message","path":"/news","data":{"text":"sale"}}`)
}
