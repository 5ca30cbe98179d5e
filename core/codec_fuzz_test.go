package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

// verdict is what the naive reading of a message makes of it.
type verdict struct {
	good   bool
	broken bool // not JSON at all, or nested too deep: where it ends is open
	id     string
	message
}

// readNaively reads a message by the rules of docs/protocol.md, with the means
// of encoding/json and without regard to speed.
func readNaively(raw []byte) (v verdict) {
	if !utf8.Valid(raw) || !json.Valid(raw) || levels(raw) > 64 {
		return verdict{broken: true}
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if first, _ := dec.Token(); first != json.Delim('{') {
		return verdict{}
	}
	good := true
	fields := map[string]json.RawMessage{}
	repeated := map[string]bool{}
	n := 0
	for dec.More() {
		before := dec.InputOffset()
		name, _ := dec.Token()
		literal := strings.TrimLeft(string(raw[before:dec.InputOffset()]), ", \t\r\n")
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			panic(err) // json.Valid has said otherwise
		}
		if n++; n > 32 {
			good = false
		}
		if hasLoneSurrogate(literal) {
			good = false
			continue
		}
		if _, ok := fields[name.(string)]; ok {
			good = false
			repeated[name.(string)] = true
			continue
		}
		fields[name.(string)] = value
	}

	text := func(name string, valid func(string) bool) string {
		value, ok := fields[name]
		if !ok {
			return ""
		}
		var s *string
		if json.Unmarshal(value, &s) != nil || s == nil || hasLoneSurrogate(string(value)) || !valid(*s) {
			good = false
			return ""
		}
		return *s
	}
	v.method = text("method", func(s string) bool {
		return s != "" && len(s) <= 64 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") == ""
	})
	v.path = text("path", func(s string) bool {
		return strings.HasPrefix(s, "/") && len(s) <= 2048 && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 })
	})
	v.reason = text("reason", func(s string) bool { return len(s) <= 1024 })
	if value, ok := fields["status"]; ok {
		n, err := strconv.ParseUint(string(value), 10, 64)
		if err != nil || n < 100 || n > 699 {
			good = false
		}
		v.status = int(n)
	}
	if value, ok := fields["id"]; !ok {
		good = false
	} else if value[0] == '"' {
		id := text("id", func(s string) bool { return len(s) >= 1 && len(s) <= 128 })
		if id != "" {
			v.id = string(value)
			v.key = encodeNaively(id)
		}
	} else if n, err := strconv.ParseUint(string(value), 10, 64); err == nil && n <= 1<<53-1 {
		v.id, v.key = string(value), string(value)
	} else {
		good = false
	}
	v.data = JSON(fields["data"])
	if sender := fields["sender"]; len(sender) > 0 && sender[0] == '{' {
		v.sender = JSON(sender)
	}
	if found := naiveTrace.FindStringSubmatch(string(fields["traceparent"])); found != nil && strings.Trim(found[2], "0") != "" && strings.Trim(found[3], "0") != "" {
		v.trace = found[1]
	}

	_, isRequest := fields["method"]
	_, isResponse := fields["status"]
	_, hasPath := fields["path"]
	if isRequest == isResponse || isRequest && !hasPath {
		good = false
	}
	if repeated["id"] || isResponse && !isRequest && !good {
		v.id = ""
	}
	if isRequest {
		v.reason = ""
	} else {
		v.path, v.trace = "", ""
	}
	v.good, v.message.id = good, v.id
	return v
}

var naiveTrace = regexp.MustCompile(`^"(00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2})"$`)

// levels returns how deep a valid text is nested.
func levels(raw []byte) int {
	depth, deepest := 0, 0
	dec := json.NewDecoder(bytes.NewReader(raw))
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			deepest = max(deepest, depth)
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// hasLoneSurrogate looks for what encoding/json replaces by U+FFFD in a valid
// literal, and the protocol refuses where it has to know what is written.
func hasLoneSurrogate(literal string) bool {
	var units []uint16
	for i := 0; i < len(literal); {
		switch {
		case strings.HasPrefix(literal[i:], `\u`):
			u, _ := strconv.ParseUint(literal[i+2:i+6], 16, 16)
			units = append(units, uint16(u))
			i += 6
		case literal[i] == '\\':
			units = append(units, 0)
			i += 2
		default:
			r, width := utf8.DecodeRuneInString(literal[i:])
			units = utf16.AppendRune(units, r)
			i += width
		}
	}
	for i := 0; i < len(units); i++ {
		if utf16.IsSurrogate(rune(units[i])) {
			if i+1 == len(units) || utf16.DecodeRune(rune(units[i]), rune(units[i+1])) == utf8.RuneError {
				return true
			}
			i++
		}
	}
	return false
}

func encodeNaively(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func FuzzParseMessage(f *testing.F) {
	for _, v := range readVectors[goodVector](f, "good.json") {
		f.Add([]byte(v.Text))
	}
	for _, v := range readVectors[badVector](f, "bad.json") {
		if raw := v.raw(f); len(raw) < 10_000 {
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		want := readNaively(raw)
		var got message
		err := parseMessage(raw, &got)
		if want.good {
			if err != nil || got != want.message {
				t.Fatalf("parse(%q)\n got %+v, %v\nwant %+v", raw, got, err, want.message)
			}
			checkRewrite(t, got)
			return
		}
		bad, ok := errors.AsType[*messageError](err)
		if !ok || got != (message{}) {
			t.Fatalf("parse(%q) = %+v, %v, want a *messageError", raw, got, err)
		}
		checkMessageError(t, raw, bad)
		if !want.broken && bad.id != want.id {
			t.Errorf("parse(%q): got id %s, want %s", raw, bad.id, want.id)
		}
	})
}

// checkRewrite writes a message that was read, and reads it again.
func checkRewrite(t *testing.T, m message) {
	t.Helper()
	var raw []byte
	if m.method != "" {
		raw = appendTrace(appendRequest(nil, m.method, m.path, m.id, m.data, m.sender), m.trace)
	} else {
		raw = appendResponse(nil, m.status, m.reason, m.id, m.data)
		m.sender = ""
	}
	var again message
	if err := parseMessage(raw, &again); err != nil || again != m {
		t.Errorf("rewritten as %s\n got %+v, %v\nwant %+v", raw, again, err, m)
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "more than eight bytes", "\"\\/\b\f\n\r\t\x00\x1f\x7f", "é€😀\u2028\u2029\uFFFD", "\xff\xc0\xaf\xe2\x80\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := string(appendString([]byte("<"), s)[1:])
		want := string([]rune(s)) // each byte that is not UTF-8 replaced
		var got string
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("appendString(%q) = %s, which encoding/json reads as %q, %v", s, text, got, err)
		}
		if got, ok := unquote(text); !ok || got != want {
			t.Errorf("appendString(%q) = %s, which unquote reads as %q, %t", s, text, got, ok)
		}
		if n, fault := skipString(text, 0); n != len(text) || fault != "" {
			t.Errorf("appendString(%q) = %s, which ends at %d: %s", s, text, n, fault)
		}
		if strings.ContainsAny(text, "\u2028\u2029\n\r") {
			t.Errorf("appendString(%q) = %s has line ends", s, text)
		}
	})
}

func FuzzToJSON(f *testing.F) {
	for _, v := range readVectors[goodVector](f, "good.json") {
		f.Add([]byte(v.Text))
		f.Add([]byte(v.Data))
	}
	for _, v := range readVectors[badVector](f, "bad.json") {
		if raw := v.raw(f); len(raw) < 10_000 {
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := toJSON(json.RawMessage(text))
		asIs, err2 := toJSON(JSON(text))
		if err == nil && string(asIs) != strings.Trim(string(text), " \t\r\n") || (err2 == nil) != (err == nil) {
			t.Errorf("toJSON of %q differs by type: %q, %v and %q, %v", text, got, err, asIs, err2)
		}
		want := len(text) == 0 || utf8.Valid(text) && json.Valid(text) && levels(text) <= 63
		if (err == nil) != want {
			t.Fatalf("toJSON(%q) = %q, %v", text, got, err)
		}
		if err != nil || got == "" {
			return
		}
		if strings.ContainsAny(string(got), "\r\n") {
			t.Errorf("toJSON(%q) = %q has line ends", text, got)
		}
		var was, is bytes.Buffer
		if err := errors.Join(json.Compact(&was, text), json.Compact(&is, []byte(got))); err != nil || was.String() != is.String() {
			t.Errorf("toJSON(%q) = %q, %v", text, got, err)
		}
		var m message
		if err := parseMessage(appendRequest(nil, "m", "/", "1", got, ""), &m); err != nil || m.data != got {
			t.Errorf("data %q of a message is read as %q, %v", got, m.data, err)
		}
	})
}
