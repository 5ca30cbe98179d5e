package core

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// readVectors reads a file of testdata/protocol, whose README.md explains it.
func readVectors[V any](t testing.TB, name string) []V {
	t.Helper()
	text, err := os.ReadFile("../testdata/protocol/" + name)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.DisallowUnknownFields()
	var vectors []V
	if err := dec.Decode(&vectors); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(vectors) == 0 {
		t.Fatalf("%s has no vectors", name)
	}
	return vectors
}

type goodVector struct {
	Name   string
	Text   string
	Method string
	Path   string
	Status int
	Reason string
	ID     string
	Key    string
	Data   string
	Sender string
	Trace  string `json:"traceparent"`
}

func (v goodVector) message() message {
	m := message{
		id: v.ID, key: v.Key, method: v.Method, path: v.Path,
		status: v.Status, reason: v.Reason, data: JSON(v.Data), sender: JSON(v.Sender), trace: v.Trace,
	}
	if m.key == "" {
		m.key = m.id
	}
	return m
}

type badVector struct {
	Name  string
	Text  string
	Hex   string
	Parts []struct {
		Text  string
		Times int
	}
	Reason string
	ID     string
}

func (v badVector) raw(t testing.TB) []byte {
	raw := []byte(v.Text)
	for _, p := range v.Parts {
		raw = append(raw, strings.Repeat(p.Text, p.Times)...)
	}
	more, err := hex.DecodeString(v.Hex)
	if err != nil {
		t.Fatal(err)
	}
	return append(raw, more...)
}

func TestParseGood(t *testing.T) {
	for _, v := range readVectors[goodVector](t, "good.json") {
		t.Run(v.Name, func(t *testing.T) {
			var m message
			if err := parseMessage([]byte(v.Text), &m); err != nil {
				t.Fatalf("parse(%.200q): %v", v.Text, err)
			}
			if want := v.message(); m != want {
				t.Errorf("parse(%.200q)\n got %+v\nwant %+v", v.Text, m, want)
			}
		})
	}
}

func TestParseBad(t *testing.T) {
	for _, v := range readVectors[badVector](t, "bad.json") {
		t.Run(v.Name, func(t *testing.T) {
			raw := v.raw(t)
			m := message{id: "left over", status: 200}
			err := parseMessage(raw, &m)
			bad, ok := errors.AsType[*messageError](err)
			if !ok {
				t.Fatalf("parse(%.200q): got error %v, want a *messageError", raw, err)
			}
			if bad.Error() != v.Reason || bad.id != v.ID {
				t.Errorf("parse(%.200q)\n got %q for id %s\nwant %q for id %s", raw, bad, bad.id, v.Reason, v.ID)
			}
			if m != (message{}) {
				t.Errorf("parse(%.200q) left %+v behind", raw, m)
			}
			checkMessageError(t, raw, bad)
		})
	}
}

// checkMessageError checks what is true of the error of any bad message.
func checkMessageError(t *testing.T, raw []byte, err *messageError) {
	t.Helper()
	if err.offset < 0 || err.offset > len(raw) {
		t.Errorf("parse(%.200q): offset %d is outside", raw, err.offset)
	}
	if len(err.reason) > 200 || strings.ContainsFunc(err.reason, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("parse(%.200q): reason is not short and ASCII: %q", raw, err.reason)
	}
	if err.id == "" {
		return
	}
	if !strings.Contains(string(raw), err.id) {
		t.Errorf("parse(%.200q): invented the id %s", raw, err.id)
	}
	answer := appendResponse(nil, 400, err.reason, err.id, "")
	var m message
	if e := parseMessage(answer, &m); e != nil || m.id != err.id {
		t.Errorf("parse(%.200q): its answer %s is bad: %v", raw, answer, e)
	}
}

// TestParseTruncated cuts each good message at each place.
func TestParseTruncated(t *testing.T) {
	for _, v := range readVectors[goodVector](t, "good.json") {
		text := strings.TrimRight(v.Text, " \t\r\n")
		if len(text) > 1000 {
			continue
		}
		for n := range len(text) {
			var m message
			err := parseMessage([]byte(text[:n]), &m)
			bad, ok := errors.AsType[*messageError](err)
			if !ok {
				t.Fatalf("parse(%q): got error %v, want a *messageError", text[:n], err)
			}
			// The cut may be inside a character.
			if bad.offset != n && utf8.ValidString(text[:n]) {
				t.Errorf("parse(%q): got %q, want the end to be the fault", text[:n], bad)
			}
			if bad.id != "" && bad.id != v.ID {
				t.Errorf("parse(%q): got id %s, want %s or none", text[:n], bad.id, v.ID)
			}
		}
	}
}

func TestParseKeepsCopy(t *testing.T) {
	raw := []byte(`{"method":"m","path":"/","id":"1","data":{"a":1}}`)
	var m message
	if err := parseMessage(raw, &m); err != nil {
		t.Fatal(err)
	}
	clear(raw)
	if want := (message{id: `"1"`, key: `"1"`, method: "m", path: "/", data: `{"a":1}`}); m != want {
		t.Errorf("got %+v, want %+v", m, want)
	}
}

// TestParseManyFields: comparing keys must not grow with the square of the
// message, so no more of them are kept than a good message can have.
func TestParseManyFields(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"id":1`)
	for i := range 1000 {
		fmt.Fprintf(&b, `,"x%d":0`, i)
	}
	b.WriteString(`,"method":"m"}`)
	var p parser
	p.read(b.String())
	if p.fault != faultFields || len(p.unknown) >= maxFields || p.message.id != "1" {
		t.Errorf("kept %d keys and the id %q, and found %q", len(p.unknown), p.message.id, p.fault)
	}
}

// TestRoundTrip writes random messages and reads them again.
func TestRoundTrip(t *testing.T) {
	const methods = "ABCXYZabcxyz0189_.-"
	texts := []rune("ab/%\"\\ é€😀\u007f\u2028\u2029\uFFFD")
	text := func(r *rand.Rand, n int) string {
		s := make([]rune, r.IntN(n+1))
		for i := range s {
			s[i] = texts[r.IntN(len(texts))]
		}
		return string(s)
	}
	datas := []JSON{"", "null", "0", `"x"`, `{"a":[1,{}]}`, ` [ ] `, `{"a":1,"a":"\ud800"}`}
	senders := []JSON{"", `{}`, `{"username":"bob","uuid":"1"}`}
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		id := string(appendString(nil, "i"+text(r, 20)))
		if r.IntN(2) == 0 {
			id = strconv.FormatUint(r.Uint64N(1<<53), 10)
		}
		want := message{id: id, key: id, data: JSON(strings.TrimSpace(string(datas[r.IntN(len(datas))])))}
		var raw []byte
		if r.IntN(2) == 0 {
			for range 1 + r.IntN(maxMethod) {
				want.method += string(methods[r.IntN(len(methods))])
			}
			want.path = "/" + text(r, 400)
			want.sender = senders[r.IntN(len(senders))]
			if err := errors.Join(validMethod(want.method), validPath(want.path)); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			raw = appendRequest([]byte("before"), want.method, want.path, id, want.data, want.sender)
		} else {
			want.status = 100 + r.IntN(600)
			want.reason = text(r, 200) + "\x00\n"
			raw = appendResponse([]byte("before"), want.status, want.reason, id, want.data)
		}
		raw, ok := bytes.CutPrefix(raw, []byte("before"))
		var got message
		if err := parseMessage(raw, &got); err != nil || got != want || !ok {
			t.Fatalf("seed %d: %s\n got %+v, %v\nwant %+v", seed, raw, got, err, want)
		}
	}
}

func TestAppendMessages(t *testing.T) {
	tests := []struct {
		got  []byte
		want string
	}{
		{appendRequest(nil, "m", "/a", `"1"`, "", ""), `{"method":"m","path":"/a","id":"1"}`},
		{appendRequest(nil, "m", `/"`, `1`, "null", `{"username":"a"}`), `{"method":"m","path":"/\"","id":1,"data":null,"sender":{"username":"a"}}`},
		{appendResponse(nil, 200, "", `"1"`, ""), `{"status":200,"reason":"","id":"1"}`},
		{appendResponse(nil, 404, "no \n", `1`, "[]"), `{"status":404,"reason":"no \n","id":1,"data":[]}`},
	}
	for _, test := range tests {
		if string(test.got) != test.want {
			t.Errorf("got %s, want %s", test.got, test.want)
		}
	}
}

// TestLongReason: whatever reason an application gives, the peer can read it.
func TestLongReason(t *testing.T) {
	tests := []struct{ reason, want string }{
		{strings.Repeat("a", 1024), strings.Repeat("a", 1024)},
		{strings.Repeat("a", 1025), strings.Repeat("a", 1024)},
		{strings.Repeat("é", 513), strings.Repeat("é", 512)},
		{"a" + strings.Repeat("é", 512), "a" + strings.Repeat("é", 511)},
		{strings.Repeat("\n", 2000), strings.Repeat("\n", 1024)},
		{strings.Repeat("\xff", 341), strings.Repeat("\uFFFD", 341)},
		{strings.Repeat("\xffa", 400), strings.Repeat("\uFFFDa", 256)},
		{strings.Repeat("a", 1023) + "\xff", strings.Repeat("a", 1023)},
		{strings.Repeat("\x80", 5000), "\uFFFD"},
	}
	for _, test := range tests {
		var m message
		if err := parseMessage(appendResponse(nil, 500, test.reason, "1", ""), &m); err != nil {
			t.Errorf("reason of %d bytes: %v", len(test.reason), err)
		}
		if m.reason != test.want {
			t.Errorf("reason %.20q… of %d bytes became %.20q… of %d, want %d",
				test.reason, len(test.reason), m.reason, len(m.reason), len(test.want))
		}
	}
}

func TestAppendString(t *testing.T) {
	tests := []struct{ s, want string }{
		{"", `""`},
		{"plain", `"plain"`},
		{"more than eight bytes", `"more than eight bytes"`},
		{`<a href="x">&</a>`, `"<a href=\"x\">&</a>"`},
		{`\/`, `"\\/"`},
		{"\b\f\n\r\t\x00\x1f\x7f", `"\b\f\n\r\t\u0000\u001f` + "\x7f" + `"`},
		{"é€😀\uFFFD", `"é€😀` + "\uFFFD" + `"`},
		{"a\u2027\u2028\u2029\u202ab", `"a` + "\u2027" + `\u2028\u2029` + "\u202a" + `b"`},
		{"a\xff\xc0\xafb\xe2\x80", `"a` + strings.Repeat("\uFFFD", 3) + "b" + strings.Repeat("\uFFFD", 2) + `"`},
		{"\xed\xa0\x80", `"` + strings.Repeat("\uFFFD", 3) + `"`},
		{"1234567\n", `"1234567\n"`},
		{"12345678\n12345678\"", `"12345678\n12345678\""`},
	}
	for _, test := range tests {
		if got := string(appendString(nil, test.s)); got != test.want {
			t.Errorf("appendString(%q) = %s, want %s", test.s, got, test.want)
		}
	}
}

func TestIDText(t *testing.T) {
	tests := []struct{ id, text, canonical string }{
		{"", "", ""},
		{"12", "12", "12"},
		{`"a"`, "a", `"a"`},
		{`"\u0061\/\ud83d\ude00"`, "a/😀", `"a/😀"`},
		{`"\"\n"`, "\"\n", `"\"\n"`},
		{"\"\u2028\"", "\u2028", `"\u2028"`},
		{`"€"`, "€", `"€"`},
	}
	for _, test := range tests {
		if got := idText(test.id); got != test.text {
			t.Errorf("idText(%s) = %q, want %q", test.id, got, test.text)
		}
		if got := canonicalID(test.id); got != test.canonical {
			t.Errorf("canonicalID(%s) = %s, want %s", test.id, got, test.canonical)
		}
	}
}

func TestValidMethod(t *testing.T) {
	for _, s := range []string{"m", "session", "A.b_c-9", strings.Repeat("m", 64)} {
		if err := validMethod(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"", " ", "a b", "é", "a/b", "a\x00", "a\xff", "@", "[", "`", "{", strings.Repeat("m", 65)} {
		if validMethod(s) == nil {
			t.Errorf("%q is taken for a method", s)
		}
	}
}

func TestValidPath(t *testing.T) {
	for _, s := range []string{"/", "//", "/a b", "/é", "/%zz", "/\x7f", "/" + strings.Repeat("a", 2047)} {
		if err := validPath(s); err != nil {
			t.Errorf("%.20q: %v", s, err)
		}
	}
	for _, s := range []string{"", "a", " /", "/\x00", "/a\n", "/\xff", "/\xed\xa0\x80", "/" + strings.Repeat("a", 2048)} {
		if validPath(s) == nil {
			t.Errorf("%.20q is taken for a path", s)
		}
	}
}

// TestSpecial compares the search by words of eight bytes with one by bytes,
// for each byte at each place.
func TestSpecial(t *testing.T) {
	for c := range 256 {
		for place := range 20 {
			for _, filler := range []string{"a", " ", "!", "#", "\x7f", "["} {
				s := strings.Repeat(filler, place) + string([]byte{byte(c)}) + strings.Repeat("\x00", 20)
				want := place
				if c >= ' ' && c < 0x80 && c != '"' && c != '\\' {
					want++
				}
				if got := skipPlain(s, 0); got != want {
					t.Fatalf("skipPlain(%q) = %d, want %d", s, got, want)
				}
			}
		}
	}
}

func TestCodecAllocations(t *testing.T) {
	var m message
	var buf [1024]byte
	request, response := []byte(benchRequest), []byte(benchResponse)
	tests := []struct {
		name string
		want float64
		run  func() bool
	}{
		{"parse a request", 1, func() bool { return parseMessage(request, &m) == nil }},
		{"parse a response", 1, func() bool { return parseMessage(response, &m) == nil }},
		{"append a request", 0, func() bool {
			return len(appendRequest(buf[:0], "message", "/users/alice/1", `"x"`, `{"a":1}`, `{"username":"bob","uuid":"1"}`)) > 0
		}},
		{"append a response", 0, func() bool {
			return len(appendResponse(buf[:0], 404, "\"nobody\" is here\u2028\xff", "1", `{"a":1}`)) > 0
		}},
	}
	for _, test := range tests {
		ok := true
		got := testing.AllocsPerRun(100, func() { ok = ok && test.run() })
		if got != test.want || !ok {
			t.Errorf("%s: %v allocations, want %v (worked: %t)", test.name, got, test.want, ok)
		}
	}
}
