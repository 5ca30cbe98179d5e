package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/spelling"
)

// field is where the value of a key goes to. It returns what is wrong with the value, continuing "expected".
type field struct {
	key  string
	read func(value json.RawMessage, path string) error
}

// A mistake is what is wrong with the body of a call, and where.
type mistake struct {
	path   string // "to[3].username"; "" for the body as a whole
	detail string
}

func (m *mistake) Error() string {
	if m.path == "" {
		return m.detail
	}
	return m.path + ": " + m.detail
}

// errBody says that a body is not JSON at all, and so is no mistake about one of its fields.
type errBody string

func (e errBody) Error() string { return string(e) }

// readBody reads a body of one object with these fields, of which none has to be there. Case counts, and no other key is taken: a
// misspelled option would silently do nothing.
func readBody(body []byte, fields ...field) error {
	if !utf8.Valid(body) {
		return errBody("the body is not valid UTF-8")
	}
	if !json.Valid(body) {
		if len(bytes.TrimSpace(body)) == 0 {
			return errBody("the body is empty, expected a JSON object")
		}
		return errBody("the body is not JSON" + syntax(body))
	}
	return readObject(body, "", fields)
}

func syntax(body []byte) string {
	var v any
	err := json.Unmarshal(body, &v)
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf(": %s (at byte %d)", s, s.Offset)
	}
	return ""
}

// readObject reads valid JSON.
func readObject(text json.RawMessage, path string, fields []field) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return &mistake{path, "expected an object"}
	}
	seen := make([]bool, len(fields))
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return &mistake{path, "expected an object"}
		}
		at := join(path, key)
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == key })
		if i < 0 {
			return &mistake{at, "unknown" + didYouMean(key, fields)}
		}
		if seen[i] {
			return &mistake{at, "given twice"}
		}
		seen[i] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return &mistake{at, "expected a value"}
		}
		if err := fields[i].read(value, at); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil && !errors.Is(err, io.EOF) {
		return &mistake{path, "expected an object"}
	}
	return nil
}

// join is the path of a key, cut where somebody's key gets long.
func join(path, key string) string {
	const most = 64
	if len(key) > most {
		key = strings.ToValidUTF8(key[:most], "") + "..."
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func didYouMean(key string, fields []field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.key
	}
	if near := spelling.Nearest(key, names); near != "" {
		return "; did you mean " + near + "?"
	}
	if len(names) == 0 {
		return "; expected no keys"
	}
	return "; expected " + strings.Join(names, ", ")
}

// text is a string of at least least and at most most bytes.
func text(key string, to *string, least, most int) field {
	return field{key, func(value json.RawMessage, path string) error {
		if value[0] != '"' || json.Unmarshal(value, to) != nil || len(*to) < least || len(*to) > most {
			return &mistake{path, fmt.Sprintf("expected a text of %d to %d bytes", least, most)}
		}
		return nil
	}}
}

// number is a whole number from least to most.
func number(key string, to *int, least, most int) field {
	return field{key, func(value json.RawMessage, path string) error {
		n, err := strconv.Atoi(string(value))
		if err != nil || n < least || n > most {
			return &mistake{path, fmt.Sprintf("expected a whole number from %d to %d", least, most)}
		}
		*to = n
		return nil
	}}
}

func toggle(key string, to *bool) field {
	return field{key, func(value json.RawMessage, path string) error {
		if string(value) != "true" && string(value) != "false" {
			return &mistake{path, "expected true or false"}
		}
		*to = value[0] == 't'
		return nil
	}}
}

// choice is one of some texts.
func choice(key string, to *string, options ...string) field {
	return field{key, func(value json.RawMessage, path string) error {
		if json.Unmarshal(value, to) != nil || !slices.Contains(options, *to) {
			return &mistake{path, "expected " + strings.Join(options, " or ")}
		}
		return nil
	}}
}

// anything is JSON that is passed on as it is.
func anything(key string, to *json.RawMessage) field {
	return field{key, func(value json.RawMessage, _ string) error {
		*to = value
		return nil
	}}
}

// list is an array of 1 to most objects.
func list(key string, most int, item func(text json.RawMessage, path string) error) field {
	return field{key, func(value json.RawMessage, path string) error {
		var items []json.RawMessage
		if value[0] != '[' || json.Unmarshal(value, &items) != nil || len(items) == 0 || len(items) > most {
			return &mistake{path, fmt.Sprintf("expected a list of 1 to %d entries", most)}
		}
		for i, text := range items {
			if err := item(text, path+"["+strconv.Itoa(i)+"]"); err != nil {
				return err
			}
		}
		return nil
	}}
}
