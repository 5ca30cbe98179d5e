package identity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// parseClaims reads the payload of a token, or the answer of a back end: a JSON object. Numbers are json.Number.
func parseClaims(text []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var claims map[string]any
	if err := d.Decode(&claims); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF || claims == nil {
		return nil, fmt.Errorf("expected one JSON object")
	}
	return claims, nil
}

// find returns the claim at a path, in which a dot leads into an object: "protoo.data". A name with dots in it, such as
// a URL, is found as well; where both fit, the longer name counts.
func find(claims map[string]any, path string) (any, bool) {
	for end := len(path); end > 0; end = strings.LastIndexByte(path[:end], '.') {
		v, ok := claims[path[:end]]
		if !ok {
			continue
		}
		if end == len(path) {
			return v, true
		}
		if inner, isObject := v.(map[string]any); isObject {
			if v, ok := find(inner, path[end+1:]); ok {
				return v, true
			}
		}
	}
	return nil, false
}

// ValidClaimPath tells whether path can be that of a claim. Its length bounds the depth of a search.
func ValidClaimPath(path string) bool {
	if len(path) > 256 || !utf8.ValidString(path) {
		return false
	}
	for part := range strings.SplitSeq(path, ".") {
		if part == "" {
			return false
		}
	}
	return strings.Count(path, ".") < 16
}

// nameClaim returns the claim at a path as a name: a string, or an integer as it is written.
func nameClaim(claims map[string]any, path string) (string, error) {
	v, ok := find(claims, path)
	if !ok {
		return "", fmt.Errorf("token has no claim %s", path)
	}
	name := ""
	switch v := v.(type) {
	case string:
		name = v
	case json.Number:
		if n, err := v.Int64(); err == nil && v.String() == fmt.Sprint(n) {
			name = v.String()
		}
	}
	if err := checkName(name); err != nil {
		return "", fmt.Errorf("the token's claim %s %w", path, err)
	}
	return name, nil
}

// checkName says what is wrong with the name of a user or a device.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("is not a name")
	case len(name) > maxName:
		return fmt.Errorf("has %d bytes, at most %d are allowed", len(name), maxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("is not valid UTF-8")
	}
	return nil
}

// plain replaces each json.Number by the float64 that an application expects.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, _ := v.Float64() // out of range is infinite
		return f
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = plain(v[name])
		}
	}
	return v
}
