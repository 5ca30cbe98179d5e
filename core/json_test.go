package core

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

type textMarshaler string // a json.Marshaler that is its own text

func (m textMarshaler) MarshalJSON() ([]byte, error) { return []byte(m), nil }

func TestToJSON(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	type point struct {
		X    int `json:"x"`
		Y    any `json:"y,omitempty"`
		Data JSON
	}
	tests := []struct {
		name string
		v    any
		want JSON
	}{
		{"nil", nil, ""},
		{"no JSON", JSON(""), ""},
		{"no raw message", json.RawMessage(nil), ""},
		{"null", JSON("null"), "null"},
		{"nil pointer", (*point)(nil), "null"},
		{"string", "a<b>\n\u2028\xff", `"a<b>\n\u2028` + "\uFFFD" + `"`},
		{"named string", time.Month(5).String(), `"May"`},
		{"number", 1.5, "1.5"},
		{"bytes are base64", []byte("{}"), `"e30="`},
		{"no escaping for HTML", map[string]string{"<": "&"}, `{"<":"&"}`},
		{"struct", point{X: 1}, `{"x":1,"Data":null}`},
		{"JSON in a struct", &point{Data: ` {"a" : 1} `}, `{"x":0,"Data":{"a":1}}`},
		{"JSON goes on as it is", JSON(`{ "a": 1.0,"a":"\ud800\/" }`), `{ "a": 1.0,"a":"\ud800\/" }`},
		{"space around it", JSON("\n {} \t\r\n"), "{}"},
		{"raw message goes on as it is", json.RawMessage(`[ 1e5 ]`), `[ 1e5 ]`},
		{"JSON with line ends", JSON("{\r\n\t\"a\": [ ]\n}\n"), "{\r\n\t\"a\": [ ]\n}"},
		{"raw message with line ends", json.RawMessage("{\r\n\t\"a\": \"\\n\u2028\",\n\t\"b\": [ ]\n}\n"), "{\"a\":\"\\n\u2028\",\"b\":[]}"},
		{"lone surrogate of a marshaler", textMarshaler(`"\ud800"`), `"\ud800"`},
		{"63 levels", JSON(deep(63)), JSON(deep(63))},
		{"63 levels of a marshaler", textMarshaler(deep(63)), JSON(deep(63))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := toJSON(test.v)
			if err != nil || got != test.want {
				t.Errorf("toJSON(%#v) = %q, %v, want %q", test.v, got, err, test.want)
			}
			if got == "" {
				return
			}
			var m message
			if err := parseMessage(appendResponse(nil, 200, "", "1", got), &m); err != nil {
				t.Errorf("a message with it is bad: %v", err)
			}
		})
	}

	bad := []struct {
		name string
		v    any
		want string
	}{
		{"function", func() {}, "unsupported type"},
		{"not a number", math.NaN(), "unsupported value"},
		{"not JSON", JSON("hello"), "expected a value (at byte 0)"},
		{"white space", JSON(" "), "unexpected end (at byte 1)"},
		{"two values", json.RawMessage("1 2"), "text after the end (at byte 2)"},
		{"truncated", json.RawMessage(`{"a":`), "unexpected end (at byte 5)"},
		{"not UTF-8", JSON("\"\xff\""), "invalid UTF-8 (at byte 1)"},
		{"not UTF-8 from a marshaler", textMarshaler("\"\xff\""), "invalid UTF-8 (at byte 1)"},
		{"64 levels", JSON(deep(64)), "nested deeper"},
		{"64 levels from a marshaler", textMarshaler(deep(64)), "nested deeper"},
		{"64 levels in Go", func() (v any) {
			for range 64 {
				v = []any{v}
			}
			return
		}(), "nested deeper"},
	}
	for _, test := range bad {
		t.Run(test.name, func(t *testing.T) {
			got, err := toJSON(test.v)
			if err == nil || !strings.Contains(err.Error(), test.want) || got != "" {
				t.Errorf("toJSON: got %q, %v, want an error with %q", got, err, test.want)
			}
		})
	}
}

func TestJSONBind(t *testing.T) {
	var v struct{ A int }
	if err := JSON(`{"a":1}`).Bind(&v); err != nil || v.A != 1 {
		t.Errorf("got %+v, %v", v, err)
	}
	if err := JSON("").Bind(&v); err == nil || !strings.Contains(err.Error(), "no data") || v.A != 1 {
		t.Errorf("no data: got %+v, %v", v, err)
	}
	if err := JSON(`"x"`).Bind(&v); err == nil {
		t.Error("a string was bound to a struct")
	}
}

func TestJSONMarshal(t *testing.T) {
	type box struct{ A, B JSON }
	text, err := json.Marshal(box{A: `{"x":[1]}`})
	if want := `{"A":{"x":[1]},"B":null}`; err != nil || string(text) != want {
		t.Errorf("got %s, %v, want %s", text, err, want)
	}
	var got box
	if err := json.Unmarshal([]byte(`{"A": {"x":[1]} ,"B":null}`), &got); err != nil {
		t.Fatal(err)
	}
	if want := (box{A: `{"x":[1]}`, B: "null"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if _, err := json.Marshal(JSON("{")); err == nil {
		t.Error("broken JSON was marshaled")
	}
}
