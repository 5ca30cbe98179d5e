package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// JSON is the text of one JSON value, such as the data of a request: "" means
// that there is none, which is not the same as "null". It is passed on as it
// arrived, byte for byte.
//
// Text that comes from a peer is valid JSON and UTF-8 and nested at most 63
// levels deep. It can still hold what not every reader accepts or reads alike:
// objects with duplicate keys, numbers beyond the range of a float64, escaped
// halves of surrogate pairs.
type JSON string

// Bind decodes j into what v points to, as json.Unmarshal does: keys are
// matched regardless of case, and of a duplicate key the last counts. Without
// a value to decode it returns an error and leaves v alone.
func (j JSON) Bind(v any) error {
	if j == "" {
		return errNoData
	}
	return json.Unmarshal([]byte(j), v)
}

var errNoData = errors.New("no data to decode")

// MarshalJSON returns j itself, and null for "".
func (j JSON) MarshalJSON() ([]byte, error) {
	if j == "" {
		return []byte("null"), nil
	}
	return []byte(j), nil
}

// UnmarshalJSON sets j to a copy of text. A null becomes "null".
func (j *JSON) UnmarshalJSON(text []byte) error {
	*j = JSON(text)
	return nil
}

// toJSON encodes what the application hands over as data. A nil, an empty JSON
// and an empty json.RawMessage are no data. JSON is checked and goes on as it
// is, but for space around it, so that what came from a peer is never changed.
// From json.RawMessage, if it has line ends, all space between tokens is taken.
// Other values go through encoding/json, without its escaping for HTML.
//
// Whatever comes out can be the data of a message.
func toJSON(v any) (JSON, error) {
	var text string
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return JSON(appendString(make([]byte, 0, len(v)+2), v)), nil
	case JSON:
		text = string(v)
	case json.RawMessage:
		text = string(v)
	default:
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			return "", err
		}
		text = b.String()
	}
	if text == "" {
		return "", nil
	}
	// Also what encoding/json has made: a json.Marshaler can nest its text too
	// deep and have bytes in it that are not UTF-8.
	if err := validJSON(text); err != nil {
		return "", err
	}
	text = strings.Trim(text, " \t\r\n")
	if _, raw := v.(json.RawMessage); raw && strings.ContainsAny(text, "\r\n") {
		var b bytes.Buffer
		if err := json.Compact(&b, []byte(text)); err != nil {
			return "", err
		}
		text = b.String()
	}
	return JSON(text), nil
}

// validJSON checks that text can be a field of a message.
func validJSON(text string) error {
	i, fault := skipValue(text, skipSpace(text, 0), maxLevels-1)
	if fault == "" {
		if i = skipSpace(text, i); i == len(text) {
			return nil
		}
		fault = faultText
	}
	return errors.New("invalid JSON: " + describeFault(text, i, fault))
}
