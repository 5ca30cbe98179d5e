package api

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestPeers(t *testing.T) {
	f := newFixture(t, nil)
	var want []string
	for i := range 60 {
		username, uuid := fmt.Sprintf("user %d/é", i%20), fmt.Sprint("device\x00", i)
		f.peer(t, username, uuid, nil)
		want = append(want, username+"|"+uuid)
	}
	slices.Sort(want)
	for _, limit := range []int{1, 7, 59, 60, 61, 1000} {
		var got []string
		target := fmt.Sprint("/v1/peers?limit=", limit)
		for pages := 0; ; pages++ {
			var p page
			decode(t, f.call(t, "GET", target, "").body, &p)
			for _, d := range p.Peers {
				got = append(got, d.Username+"|"+d.UUID)
				if !d.Connected || d.Transport != "memory" || d.Address == "" {
					t.Errorf("got %+v", d)
				}
			}
			if p.Total != 60 || len(p.Peers) > limit || pages > 60 {
				t.Fatalf("got %d of %d", len(p.Peers), p.Total)
			}
			if p.Next == "" {
				break
			}
			target = fmt.Sprint("/v1/peers?limit=", limit, "&cursor=", url.QueryEscape(p.Next))
		}
		slices.Sort(got) // names with a NUL in them are sorted by pairs
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: got %q", limit, got)
		}
	}
	for query, want := range map[string]string{
		"limit=0": `{"peers":[],"total":60}`,
		"limit=0&username=" + url.QueryEscape("user 7/é"): `{"peers":[],"total":3}`,
		"username=nobody":                `{"peers":[],"total":0}`,
		"username=nobody&uuid=x&limit=5": `{"peers":[],"total":0}`,
		"limit=0&uuid=device%007":        `{"peers":[],"total":1}`,
		"limit=0&username=" + url.QueryEscape("user 7/é") + "&uuid=device%0027": `{"peers":[],"total":1}`,
	} {
		if got := f.call(t, "GET", "/v1/peers?"+query, ""); got.status != 200 || strings.TrimSpace(got.body) != want {
			t.Errorf("%s: got %d %s, want %s", query, got.status, got.body, want)
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add("e30")
	f.Add(cursor{"alice", "phone"}.String())
	f.Fuzz(func(t *testing.T, text string) {
		if c := parseCursor(text); c != nil {
			if again := parseCursor(c.String()); again == nil || *again != *c {
				t.Errorf("%q became %+v, and that %+v", text, c, again)
			}
		}
	})
}
