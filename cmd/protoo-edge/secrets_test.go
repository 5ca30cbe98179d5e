package main

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"
)

// overheard is what all servers of all tests have said, and what none of them may say.
var overheard struct {
	mu      sync.Mutex
	outputs []*lockedBuffer
	secrets []string
}

// secret returns a text that tests send to servers and that must be in no line of any log: with one, the tests fail in
// the end.
func secret(text string) string {
	overheard.mu.Lock()
	defer overheard.mu.Unlock()
	if !slices.Contains(overheard.secrets, text) {
		overheard.secrets = append(overheard.secrets, text)
	}
	return text
}

// overhear has an output looked at in the end.
func overhear(b *lockedBuffer) {
	overheard.mu.Lock()
	defer overheard.mu.Unlock()
	overheard.outputs = append(overheard.outputs, b)
}

// spilled is what a secret looks like, whatever it is: tokens, what is in front of them, and keys of web hooks.
var spilled = regexp.MustCompile(`eyJ[\w-]+\.[\w-]*\.[\w-]*|(?i:bearer|basic)[ +][\w~+/.-]{4,}|[?&]\w*token=|whsec_\w+|-----BEGIN [A-Z ]*PRIVATE KEY`)

// leaks returns the lines that have a secret in them.
func leaks() []string {
	overheard.mu.Lock()
	defer overheard.mu.Unlock()
	var lines []string
	for _, output := range overheard.outputs {
		for line := range strings.Lines(output.String()) {
			known := slices.ContainsFunc(overheard.secrets, func(s string) bool { return strings.Contains(line, s) })
			if known || spilled.MatchString(line) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

func TestSpilledSecretsAreFound(t *testing.T) {
	for line, found := range map[string]bool{
		`path=/protoo?access_token=x`:                                     true,
		`Authorization:[Bearer abcd]`:                                     true,
		`header="basic YTpi"`:                                             true,
		`token=eyJhbGciOiJI.eyJz.abc`:                                     true,
		`secret=whsec_MfKQ9r8G`:                                           true,
		`msg="refused" error="401 the token has expired"`:                 false,
		`msg=refused conn=ws/127.0.0.1:1 path=/protoo error="401 bearer"`: false,
	} {
		if spilled.MatchString(line) != found {
			t.Errorf("%s: want %t", line, found)
		}
	}
}

// TestSecretsAreNotLogged sends tokens in all the places where a client can, to servers that log all they can.
func TestSecretsAreNotLogged(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			e := startEdge(t, "--log-level", "debug", "--log-format", format, "--tls-addr", "127.0.0.1:0", "--internal-addr", "127.0.0.1:0")
			token := secret("Zm9vYmFyLXRva2Vu" + format)
			header := http.Header{"Authorization": {"Bearer " + token}, "Cookie": {"session=" + token}, "Sec-Websocket-Protocol": {token}}
			for _, query := range []string{"username=alice&uuid=1", "uuid=1", "username=%zz", ""} {
				for _, path := range []string{"/protoo", "/", "/elsewhere"} {
					target := e.url + path + "?" + query + "&token=" + token
					dialer := ws.Dialer{Protocols: []string{"protoo"}, Header: ws.HandshakeHeaderHTTP(header)}
					if conn, _, _, err := dialer.Dial(t.Context(), target); err == nil {
						_, _ = fmt.Fprint(conn, "not a frame") // which is the end of the connection
						_ = conn.Close()
					}
					for _, url := range []string{"http://" + e.addr, "https://" + e.secure, e.internal(t)} {
						req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+path+"?"+query+"&token="+token, strings.NewReader(token))
						if err != nil {
							t.Fatal(err)
						}
						req.Header = header
						if res, err := http.DefaultClient.Do(req); err == nil { // the certificate is not trusted, which is logged
							_ = res.Body.Close()
						}
					}
				}
			}
			// Peers choose these themselves.
			conn := dialRaw(t, e.addr)
			for _, text := range []string{"GARBAGE", `{"method":"message","path":"/users/nobody","id":"1","data":"` + token + `"}`, `{"method":"` + token} {
				if err := ws.WriteFrame(conn, ws.MaskFrame(ws.NewTextFrame([]byte(text)))); err != nil {
					t.Fatal(err)
				}
			}
			e.waitForLog(t, "bad message")
			e.stop()
		})
	}
}
