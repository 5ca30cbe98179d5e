package main

import (
	"regexp"
	"strings"
	"testing"
)

const want = `
alice → {"method":"session","path":"/sessions/bob/phone","id":1,"data":"offer"}
alice ← {"status":100,"reason":"connecting","id":1,"data":{"sessionPath":"/sessions/ID"}}
bob   ← {"method":"session","path":"/sessions/ID","id":1,"data":"offer","sender":{"username":"alice","uuid":"phone"}}
bob   → {"status":180,"reason":"ringing","id":1}
alice ← {"status":180,"reason":"ringing","id":1}
alice → {"method":"candidate","path":"/sessions/ID","id":2,"data":"192.0.2.1"}
bob   ← {"method":"candidate","path":"/sessions/ID","id":2,"data":"192.0.2.1","sender":{"username":"alice","uuid":"phone"}}
bob   → {"status":200,"reason":"OK","id":2}
alice ← {"status":200,"reason":"OK","id":2}
bob   → {"status":200,"reason":"OK","id":1,"data":"answer"}
alice ← {"status":200,"reason":"OK","id":1,"data":"answer"}
bob   → {"method":"end","path":"/sessions/ID","id":1}
bob   ← {"status":200,"reason":"session ended","id":1}
alice ← {"method":"end","path":"/sessions/ID","id":1,"sender":{"username":"bob","uuid":"phone"}}
`

func TestCall(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	// The path is another one every time.
	got := regexp.MustCompile(`/sessions/[A-Z2-7]{26}`).ReplaceAllString(out.String(), "/sessions/ID")
	if got != want[1:] {
		t.Errorf("got\n%s\nwant%s", got, want)
	}
}
