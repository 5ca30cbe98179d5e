package core

import (
	"math"
	"slices"
	"unicode/utf8"
)

// index finds the layers of a stack that may match a path, without asking each.
// It is a trie over the segments of paths. A layer is in the list of every node
// at which the paths that match it can end, or, if it is open to more segments
// or cannot be classified further, of the node from which on it may match.
//
// It is immutable, and any goroutine may use it.
type index struct {
	root indexNode
}

type indexNode struct {
	exact    []int32               // layers for paths that end here, ascending
	prefix   []int32               // layers for those and all longer ones, ascending
	literals map[string]*indexNode // by foldKey; nil when there are none
	wild     *indexNode
}

// newIndex indexes the matchers of a stack's layers. A nil one matches
// everything. It takes time in proportion to the segments of all patterns, so a
// stack should build its index at the first look-up after a change rather than
// at each change.
func newIndex(layers []*matcher) *index {
	x := &index{}
	for i, m := range layers {
		if m == nil {
			x.root.prefix = append(x.root.prefix, int32(i))
			continue
		}
		for _, shape := range m.shapes() {
			x.root.insert(int32(i), shape)
		}
	}
	return x
}

func (n *indexNode) insert(layer int32, shape pathShape) {
	for i, segment := range shape.segments {
		if i == shape.required && shape.open {
			break
		}
		if i >= shape.required {
			n.exact = appendLayer(n.exact, layer)
		}
		n = n.child(segment)
	}
	if shape.open {
		n.prefix = appendLayer(n.prefix, layer)
	} else {
		n.exact = appendLayer(n.exact, layer)
	}
}

// appendLayer appends a layer once, though it may have several shapes.
func appendLayer(list []int32, layer int32) []int32 {
	if n := len(list); n > 0 && list[n-1] == layer {
		return list
	}
	return append(list, layer)
}

func (n *indexNode) child(segment shapeSegment) *indexNode {
	if segment.wild {
		if n.wild == nil {
			n.wild = &indexNode{}
		}
		return n.wild
	}
	next := n.literals[segment.literal]
	if next == nil {
		if n.literals == nil {
			n.literals = map[string]*indexNode{}
		}
		next = &indexNode{}
		n.literals[segment.literal] = next
	}
	return next
}

// candidates returns the layers from number from on that may match path: all
// that do match, and few others.
//
// The nodes it visits are those on the way down the trie, two for a segment
// that is a literal of one layer and a param of another. They never exceed the
// nodes that the layers made at those depths, however many segments a path has.
func (x *index) candidates(path string, from int) candidates {
	var c candidates
	if path == "" || path[0] != '/' {
		// No layer that requires a segment matches, and these are all others.
		path = ""
	}
	for len(path) > 0 && path[len(path)-1] == '/' {
		path = path[:len(path)-1]
	}
	c.collect(&x.root, path, int32(from))
	return c
}

// collect adds the lists for rest, the segments after n, each with its slash.
func (c *candidates) collect(n *indexNode, rest string, from int32) {
	for {
		c.add(&n.prefix, from)
		if rest == "" {
			c.add(&n.exact, from)
			return
		}
		var literal *indexNode
		segment := rest[1:]
		if n.literals == nil {
			rest = segment[segmentLen(segment):]
		} else {
			end, isKey := scanSegment(segment)
			rest = segment[end:]
			literal = n.literal(segment[:end], isKey)
		}
		switch {
		case literal == nil && n.wild == nil:
			return
		case literal == nil:
			n = n.wild
		case n.wild == nil:
			n = literal
		default:
			c.collect(n.wild, rest, from)
			n = literal
		}
	}
}

// scanSegment returns the length of the segment that s starts with, and
// whether it is its own key, looking at ASCII only.
func scanSegment(s string) (n int, isKey bool) {
	isKey = true
	for n < len(s) && s[n] != '/' {
		if c := s[n]; c-'A' < 26 || c >= utf8.RuneSelf {
			isKey = false
		}
		n++
	}
	return n, isKey
}

func (n *indexNode) literal(segment string, isKey bool) *indexNode {
	if isKey {
		return n.literals[segment]
	}
	var buf [64]byte
	return n.literals[string(foldKey(buf[:0], segment))]
}

// candidates iterates over layers in ascending order. It is a value: a walk
// keeps it, and allocates only for a path with unusually many lists.
type candidates struct {
	few   [3]cursor
	count int // how many of few are in use
	more  []cursor
}

// cursor is a place in one of the lists.
type cursor struct {
	list *[]int32 // ascending
	at   int
}

// done is greater than the number of any layer.
const done = math.MaxInt32

// head returns the layer that the cursor is at.
func (c *cursor) head() int32 {
	if list := *c.list; c.at < len(list) {
		return list[c.at]
	}
	return done
}

func (c *candidates) add(list *[]int32, from int32) {
	at := 0
	if from > 0 {
		at, _ = slices.BinarySearch(*list, from)
	}
	switch {
	case at == len(*list):
	case c.count < len(c.few):
		c.few[c.count] = cursor{list, at}
		c.count++
	default:
		c.more = append(c.more, cursor{list, at})
	}
}

// next returns the next layer, or -1 at the end.
func (c *candidates) next() int {
	least := int32(done)
	for i := range c.few[:c.count] {
		least = min(least, c.few[i].head())
	}
	for i := range c.more {
		least = min(least, c.more[i].head())
	}
	if least == done {
		return -1
	}
	for i := range c.few[:c.count] {
		c.few[i].skip(least)
	}
	for i := range c.more {
		c.more[i].skip(least)
	}
	return int(least)
}

func (c *cursor) skip(layer int32) {
	if c.head() == layer {
		c.at++
	}
}
