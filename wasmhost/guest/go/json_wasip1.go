package guest

import (
	"encoding/json"
	"errors"
	"strings"
)

// JSON is the text of a JSON value.
type JSON string

var errNoData = errors.New("no data to decode")

// Bind decodes j into what v points to, as json.Unmarshal does.
func (j JSON) Bind(v any) error {
	if j == "" {
		return errNoData
	}
	return json.Unmarshal([]byte(j), v)
}

// MarshalJSON returns j itself, and null for "".
func (j JSON) MarshalJSON() ([]byte, error) {
	if j == "" {
		return []byte("null"), nil
	}
	return []byte(j), nil
}

// UnmarshalJSON sets j to a copy of text.
func (j *JSON) UnmarshalJSON(text []byte) error {
	*j = JSON(text)
	return nil
}

// toJSON encodes what a handler hands over. Whether JSON is valid is for the host to see.
func toJSON(v any) (JSON, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case JSON:
		return v, nil
	case json.RawMessage:
		return JSON(v), nil
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return JSON(strings.TrimSuffix(b.String(), "\n")), nil
}
