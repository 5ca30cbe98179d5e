package core

import (
	"slices"
	"strconv"
	"strings"
)

const (
	faultStatus    = `"status" must be an integer from 100 to 699`
	faultReason    = `"reason" must be a string of at most 1024 bytes`
	faultSurrogate = "lone surrogate in a key or field of the message"
	faultDuplicate = "duplicate key"
	faultFields    = "more than 32 fields"
	faultBoth      = `both "method" and "status"`
	faultNeither   = `neither "method" nor "status"`
	faultNoPath    = `missing "path"`
	faultNoID      = `missing "id"`
	faultMessage   = "expected a JSON object"
	faultBOM       = "byte order mark"
)

// parseMessage reads raw into m. It allocates the copy of raw that m keeps, and
// more only for escapes in the message's own strings and for unknown fields.
// The error is a *messageError; m is then the zero message.
func parseMessage(raw []byte, m *message) error {
	var p parser
	text := string(raw)
	p.read(text)
	if p.fault == "" {
		*m = p.message
		return nil
	}
	*m = message{}
	err := &messageError{
		reason: "invalid message: " + describeFault(text, p.at, p.fault),
		id:     p.message.id,
		offset: p.at,
	}
	if p.seen&(hasMethod|hasStatus) == hasStatus {
		// A 400 to a bad response would pass for the answer to a request of
		// the peer's own that happens to have the same id.
		err.id = ""
	}
	return err
}

// A parser reads one message. Broken JSON stops it. A field that breaks a rule
// does not, for the id may be yet to come.
type parser struct {
	message message // not a pointer, which would drive the caller's message to the heap
	fault   string  // what is wrong first; "" while nothing is
	at      int     // where
	seen    fieldSet
	fields  int
	unknown []string // keys, to tell duplicates
}

func (p *parser) fail(at int, fault string) {
	if p.fault == "" {
		p.at, p.fault = at, fault
	}
}

// A fieldSet is a set of the fields that this file knows.
type fieldSet uint8

const (
	hasMethod fieldSet = 1 << iota
	hasPath
	hasID
	hasData
	hasSender
	hasStatus
	hasReason
	hasTrace
)

func (p *parser) read(s string) {
	i := skipSpace(s, 0)
	if i == len(s) || s[i] != '{' {
		if strings.HasPrefix(s[i:], "\uFEFF") {
			p.fail(i, faultBOM)
		} else {
			p.fail(i, faultMessage)
		}
		return
	}
	i, fault := p.object(s, i)
	if fault != "" {
		p.fail(i, fault)
		return
	}
	switch {
	case p.seen&(hasMethod|hasStatus) == 0:
		p.fail(i-1, faultNeither)
	case p.seen&(hasMethod|hasPath) == hasMethod:
		p.fail(i-1, faultNoPath)
	case p.seen&hasID == 0:
		p.fail(i-1, faultNoID)
	}
	if i = skipSpace(s, i); i < len(s) {
		p.fail(i, faultText)
	}
	if p.seen&hasMethod == 0 {
		p.message.path, p.message.trace = "", ""
	} else {
		p.message.reason = ""
	}
}

// object reads the message's fields. Like a skip function it returns where it
// ended, and a fault only when the JSON is broken.
func (p *parser) object(s string, i int) (int, string) {
	i = skipSpace(s, i+1)
	if i < len(s) && s[i] == '}' {
		return i + 1, ""
	}
	for {
		keyEnd, start, fault := skipKey(s, i)
		if fault != "" {
			return start, fault
		}
		end, fault := skipValue(s, start, maxLevels-1)
		if fault != "" {
			return end, fault
		}
		if end == len(s) {
			return end, faultObject // before a cut number is taken for an id
		}
		p.field(s[i:keyEnd], i, s[start:end], start)
		i = skipSpace(s, end)
		switch {
		case i < len(s) && s[i] == ',':
			i = skipSpace(s, i+1)
		case i < len(s) && s[i] == '}':
			return i + 1, ""
		default:
			return i, faultObject
		}
	}
}

// field takes one field; key and value are JSON text.
func (p *parser) field(key string, keyPos int, value string, valuePos int) {
	if p.fields++; p.fields > maxFields {
		p.fail(keyPos, faultFields)
		// Go on all the same: the id may be among the fields to come.
	}
	f := knownField(key[1 : len(key)-1])
	if f == 0 {
		name, ok := unquote(key)
		if !ok {
			p.fail(keyPos, faultSurrogate)
			return
		}
		if f = knownField(name); f == 0 {
			if slices.Contains(p.unknown, name) {
				p.fail(keyPos, faultDuplicate)
			} else if p.fields <= maxFields {
				p.unknown = append(p.unknown, name)
			}
			return
		}
	}
	m := &p.message
	if p.seen&f != 0 {
		p.fail(keyPos, faultDuplicate)
		if f == hasID {
			m.id = "" // which of the two is anybody's guess
		}
		return
	}
	p.seen |= f
	if p.seen&(hasMethod|hasStatus) == hasMethod|hasStatus {
		p.fail(keyPos, faultBoth)
	}
	switch f {
	case hasMethod:
		m.method, _ = p.string(value, valuePos, faultMethod)
		if validMethod(m.method) != nil {
			p.fail(valuePos, faultMethod)
		}
	case hasPath:
		var plain bool
		m.path, plain = p.string(value, valuePos, faultPath)
		if !isPath(m.path) || !plain && hasControl(m.path) { // which JSON always escapes
			p.fail(valuePos, faultPath)
		}
	case hasID:
		if err := validID(value); err != nil {
			p.fail(valuePos, err.Error())
		} else {
			m.id, m.key = value, canonicalID(value)
		}
	case hasData:
		m.data = JSON(value)
	case hasSender:
		if value[0] == '{' {
			m.sender = JSON(value)
		}
	case hasTrace:
		if text := value[1 : len(value)-1]; value[0] == '"' && validTrace(text) {
			m.trace = text
		}
	case hasStatus:
		if len(value) == 3 {
			m.status, _ = strconv.Atoi(value)
		}
		if m.status < 100 || m.status > 699 {
			p.fail(valuePos, faultStatus)
		}
	case hasReason:
		m.reason, _ = p.string(value, valuePos, faultReason)
		if len(m.reason) > maxReason {
			p.fail(valuePos, faultReason)
		}
	}
}

func knownField(name string) fieldSet {
	switch name {
	case "method":
		return hasMethod
	case "path":
		return hasPath
	case "id":
		return hasID
	case "data":
		return hasData
	case "sender":
		return hasSender
	case "status":
		return hasStatus
	case "reason":
		return hasReason
	case "traceparent":
		return hasTrace
	}
	return 0
}

// string returns what value says if it is a string, and whether it says so
// without escapes. Anything else is the given fault.
func (p *parser) string(value string, pos int, fault string) (s string, plain bool) {
	if value[0] != '"' {
		p.fail(pos, fault)
		return "", false
	}
	s, ok := unquote(value)
	if !ok {
		p.fail(pos, faultSurrogate)
	}
	return s, len(s) == len(value)-2
}
