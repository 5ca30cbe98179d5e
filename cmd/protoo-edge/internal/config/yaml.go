package config

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxFile and maxLine bound a configuration, in bytes, and maxDepth how deep it is nested. The parser is recursive: a line
// of dashes or of brackets is what makes it deep.
const (
	maxFile  = 256 << 10
	maxLine  = 8 << 10
	maxDepth = 32
)

type nodeKind int

const (
	nothing nodeKind = iota // a key without a value
	scalar
	sequence
	mapping
)

func (k nodeKind) String() string {
	return [...]string{"nothing", "a value", "a list", "a section"}[k]
}

// node is a part of a YAML file. Only this file knows the library it is read with.
type node struct {
	kind         nodeKind
	line, column int
	text         string // of a scalar, as it was written: the setting decides what it means
	quoted       bool
	items        []*node // of a sequence
	pairs        []pair  // of a mapping, duplicates included
}

type pair struct {
	key   *node
	value *node
}

// parseYAML returns the mapping that a file consists of, and what is wrong with it. The part of YAML that is understood
// is that of configurations: one document, without anchors, tags and merge keys.
func parseYAML(text []byte) (*node, Mistakes) {
	if len(text) > maxFile {
		return nil, Mistakes{{Problem: fmt.Sprintf("a configuration has at most %d bytes, this has %d", maxFile, len(text))}}
	}
	if i := invalidUTF8(text); i >= 0 {
		line := 1 + bytes.Count(text[:i], []byte("\n"))
		return nil, Mistakes{{Origin: Origin{Line: line, Column: i - bytes.LastIndexByte(text[:i], '\n')}, Problem: "not valid UTF-8"}}
	}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		if len(line) > maxLine {
			return nil, Mistakes{{Origin: Origin{Line: number, Column: maxLine + 1}, Problem: fmt.Sprintf("a line has at most %d bytes, this has %d", maxLine, len(line))}}
		}
	}
	if deepest(text) > maxDepth {
		return nil, Mistakes{{Problem: fmt.Sprintf("brackets are nested more than %d deep", maxDepth)}}
	}
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, Mistakes{syntaxMistake(err)}
	}
	var c converter
	root := &node{kind: nothing, line: 1, column: 1}
	for i, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		n := c.node(doc.Body, 0)
		if i > 0 && root.kind != nothing {
			c.mistake(n, "a second document; a configuration is one")
			break
		}
		root = n
	}
	if root.kind != mapping && root.kind != nothing && len(c.mistakes) == 0 {
		c.mistake(root, "expected settings, one a line, as in \"addr: 127.0.0.1:8080\"; got "+root.kind.String())
	}
	return root, c.mistakes
}

func invalidUTF8(text []byte) int {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
	return -1
}

// deepest bounds how deep brackets can be nested. It also counts those inside of
// quotes and comments: a configuration has no lines with that many.
func deepest(text []byte) int {
	depth, most := 0, 0
	for _, b := range text {
		switch b {
		case '[', '{':
			depth++
			most = max(most, depth)
		case ']', '}':
			depth = max(depth-1, 0)
		}
	}
	return most
}

// tokenError is what the library's errors have in common.
type tokenError interface {
	error
	GetMessage() string
	GetToken() *token.Token
}

func syntaxMistake(err error) Mistake {
	m := Mistake{Problem: err.Error()}
	if e, ok := errors.AsType[tokenError](err); ok {
		m.Problem = e.GetMessage()
		if t := e.GetToken(); t != nil && t.Position != nil {
			m.Origin.Line, m.Origin.Column = t.Position.Line, t.Position.Column
		}
	}
	m.Problem = "not YAML: " + cut(m.Problem, 128)
	return m
}

// converter turns the library's nodes into ours.
type converter struct{ mistakes Mistakes }

func (c *converter) mistake(n *node, problem string) {
	c.mistakes = append(c.mistakes, Mistake{Origin: Origin{Line: n.line, Column: n.column}, Problem: problem})
}

func (c *converter) node(from ast.Node, depth int) *node {
	n := &node{line: 1, column: 1}
	if t := from.GetToken(); t != nil && t.Position != nil {
		n.line, n.column = t.Position.Line, t.Position.Column
	}
	if depth > maxDepth {
		c.mistake(n, fmt.Sprintf("nested more than %d deep", maxDepth))
		return n
	}
	switch from := from.(type) {
	case *ast.MappingNode:
		n.kind = mapping
		for _, v := range from.Values {
			n.pairs = append(n.pairs, c.pair(v, depth))
		}
		if len(n.pairs) > 0 { // the token of a mapping is its first colon
			n.line, n.column = n.pairs[0].key.line, n.pairs[0].key.column
		}
	case *ast.MappingValueNode:
		n.kind = mapping
		n.pairs = []pair{c.pair(from, depth)}
		n.line, n.column = n.pairs[0].key.line, n.pairs[0].key.column
	case *ast.SequenceNode:
		n.kind = sequence
		for _, v := range from.Values {
			n.items = append(n.items, c.node(v, depth+1))
		}
	case *ast.NullNode:
	case *ast.StringNode:
		n.kind, n.text = scalar, from.Value
		n.quoted = from.Token.Type != token.StringType
	case *ast.LiteralNode:
		n.kind, n.text, n.quoted = scalar, from.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		n.kind, n.text = scalar, from.GetToken().Value
	case *ast.AnchorNode, *ast.AliasNode:
		c.mistake(n, "anchors (&name) and aliases (*name) are not supported; text that begins with one of these needs quotes")
	case *ast.TagNode:
		c.mistake(n, "tags (!name) are not supported; text that begins with ! needs quotes")
	default:
		c.mistake(n, "not supported in a configuration: "+from.Type().YAMLName())
	}
	return n
}

func (c *converter) pair(from *ast.MappingValueNode, depth int) pair {
	key := &node{line: 1, column: 1}
	switch k := from.Key.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		key = c.node(k, depth+1)
		key.kind = scalar
		if key.text == "" {
			key.text = k.GetToken().Value
		}
	default:
		if t := from.Key.GetToken(); t != nil && t.Position != nil {
			key.line, key.column = t.Position.Line, t.Position.Column
		}
		c.mistake(key, "a key must be plain text; <<, anchors and structures are not supported")
	}
	value := &node{line: key.line, column: key.column}
	if from.Value != nil {
		value = c.node(from.Value, depth+1)
	}
	if value.kind == nothing {
		value.line, value.column = key.line, key.column
	}
	return pair{key, value}
}
