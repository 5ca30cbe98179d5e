package websocket

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws/wsflate"
	"github.com/klauspost/compress/flate"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/internal/wire"
)

// Compression turns permessage-deflate (RFC 7692) on for clients that offer it. It
// saves bytes and costs processor time: for short messages without context takeover, mostly the latter.
type Compression struct {
	// Threshold is the size from which messages are compressed, in bytes. Default 512.
	Threshold int
	// ContextTakeover lets messages refer to earlier ones. It costs up to 50 KiB of memory a connection.
	ContextTakeover bool
}

// deflate is a connection's negotiated compression. Compressors are borrowed for a
// message at a time; what a context consists of is the plain text that went before.
type deflate struct {
	threshold int
	window    int // bytes that what we compress may refer back to

	keepSent bool
	sent     []byte // guarded by the connection's lock

	keepReceived bool
	received     []byte // of the goroutine that reads
}

const (
	largestWindow = 32 << 10
	sentHistory   = 8 << 10 // more than this the compressor does not look at
)

// choose takes the first offer that can be accepted, and returns what to answer. Nil and "" decline them all. A header that cannot
// be read offers nothing.
func (o *Compression) choose(headers []string) (*deflate, string) {
	for _, header := range headers {
		offers, ok := httphead.ParseOptions([]byte(header), nil)
		if !ok {
			continue
		}
		for _, offer := range offers {
			if d, answer := o.negotiate(offer); d != nil {
				var text strings.Builder
				_, _ = httphead.WriteOptions(&text, []httphead.Option{answer})
				return d, text.String()
			}
		}
	}
	return nil, ""
}

// negotiate answers an offer: nil, and a zero option, decline it.
func (o *Compression) negotiate(offer httphead.Option) (*deflate, httphead.Option) {
	asked, ok := parseOffer(offer)
	if !ok {
		return nil, httphead.Option{}
	}
	answer := wsflate.Parameters{
		ServerNoContextTakeover: asked.ServerNoContextTakeover || !o.ContextTakeover,
		ClientNoContextTakeover: asked.ClientNoContextTakeover || !o.ContextTakeover,
		ServerMaxWindowBits:     asked.ServerMaxWindowBits,
	}
	d := &deflate{threshold: o.Threshold, window: largestWindow}
	if d.threshold == 0 {
		d.threshold = 512
	}
	if asked.ServerMaxWindowBits.Defined() {
		d.window = asked.ServerMaxWindowBits.Bytes()
		// The windowed compressor starts afresh with each message.
		answer.ServerNoContextTakeover = answer.ServerNoContextTakeover || d.window < largestWindow
	}
	d.keepSent = !answer.ServerNoContextTakeover
	d.keepReceived = !answer.ClientNoContextTakeover
	return d, answer.Option()
}

// parseOffer reads an offer and reports whether it is one of permessage-deflate that can be accepted: an offer is to be
// declined for any parameter that is unknown, given twice, or not of the right form (RFC 7692, section 7.1).
func parseOffer(offer httphead.Option) (asked wsflate.Parameters, ok bool) {
	ok = string(offer.Name) == wsflate.ExtensionName
	seen := make(map[string]bool, 4)
	offer.Parameters.ForEach(func(name, value []byte) bool {
		ok = ok && !seen[string(name)]
		seen[string(name)] = true
		switch string(name) {
		case "server_no_context_takeover":
			asked.ServerNoContextTakeover = true
			ok = ok && len(value) == 0
		case "client_no_context_takeover":
			asked.ClientNoContextTakeover = true
			ok = ok && len(value) == 0
		case "server_max_window_bits":
			asked.ServerMaxWindowBits = windowBits(value)
			ok = ok && asked.ServerMaxWindowBits.Defined()
		case "client_max_window_bits":
			// A promise, with a value or without, that we make no use of.
			ok = ok && (len(value) == 0 || windowBits(value).Defined())
		default:
			ok = false
		}
		return ok
	})
	return asked, ok
}

// windowBits reads 8 to 15, without leading zeros. It returns 0 for anything else.
func windowBits(value []byte) wsflate.WindowBits {
	n, err := strconv.Atoi(string(value))
	if err != nil || n < 8 || n > 15 || strconv.Itoa(n) != string(value) {
		return 0
	}
	return wsflate.WindowBits(n)
}

// tail ends every message's deflate stream and is left out on the wire (RFC 7692, section 7.2.1).
var tail = []byte{0, 0, 0xff, 0xff}

// inflateTail also ends the stream as a whole, so that a reader knows that nothing follows.
var inflateTail = append(append([]byte(nil), tail...), 1, 0, 0, 0xff, 0xff)

// compress appends a compressed message to dst.
func (d *deflate) compress(dst *wire.Buffer, msg []byte) {
	if d.window < largestWindow {
		c := borrowWindowed(d.window)
		c.Reset(dst)
		_, _ = c.Write(msg) // the buffer does not fail
		_ = c.Flush()
		c.Reset(nil)
		windowed[windowIndex(d.window)].Put(c)
	} else {
		_ = flate.StatelessDeflate(dst, msg, false, d.sent)
	}
	if d.keepSent {
		d.sent = remember(d.sent, msg, sentHistory)
	}
	dst.B = bytes.TrimSuffix(dst.B, tail)
}

// windowed keeps compressors for windows of 2^8 to 2^14 bytes.
var windowed [7]sync.Pool

func windowIndex(window int) int {
	i := 0
	for window > 1<<8 {
		window >>= 1
		i++
	}
	return i
}

func borrowWindowed(window int) *flate.Writer {
	if c, ok := windowed[windowIndex(window)].Get().(*flate.Writer); ok {
		return c
	}
	c, err := flate.NewWriterWindow(nil, window)
	if err != nil {
		panic("websocket: " + err.Error()) // the sizes are all valid
	}
	return c
}

// inflater is what one message needs to be inflated.
type inflater struct {
	source bytes.Reader
	tail   bytes.Reader
	input  io.Reader
	flate  io.ReadCloser
}

var inflaters = sync.Pool{New: func() any {
	i := &inflater{}
	i.input = &chain{&i.source, &i.tail}
	i.flate = flate.NewReader(i.input)
	return i
}}

// chain reads one reader after the other, byte by byte if asked, so that the decompressor takes no more than it needs.
type chain struct{ first, second *bytes.Reader }

func (c *chain) Read(p []byte) (int, error) {
	if c.first.Len() > 0 {
		return c.first.Read(p)
	}
	return c.second.Read(p)
}

func (c *chain) ReadByte() (byte, error) {
	if c.first.Len() > 0 {
		return c.first.ReadByte()
	}
	return c.second.ReadByte()
}

// maxStreams bounds how many deflate streams a message may consist of. Senders need one, or one for each
// time they flush; each costs us a copy of the history.
const maxStreams = 16

// inflate appends the text of a compressed message to dst, limit bytes at most.
func (d *deflate) inflate(dst, payload []byte, limit int) ([]byte, error) {
	i := inflaters.Get().(*inflater)
	defer inflaters.Put(i)
	i.source.Reset(payload)
	i.tail.Reset(inflateTail)
	history := d.received
	for streams := 1; ; streams++ {
		if err := i.flate.(flate.Resetter).Reset(i.input, history); err != nil {
			return dst, wire.Breach(core.CloseInternalError, "decompressor: %v", err)
		}
		var err error
		if dst, err = i.read(dst, limit); err != nil {
			return dst, err
		}
		if i.source.Len() == 0 {
			break
		}
		// A block was marked as the last, and yet there are more (RFC 7692, section 7.2.3.4).
		if streams == maxStreams {
			return dst, errCompressed
		}
		history = remember(slices.Clone(d.received), dst, largestWindow)
	}
	// The tail that we have added is the end of a block and a block, or has not been touched.
	if n := i.tail.Len(); n != 0 && n != len(inflateTail) {
		return dst, errCompressed
	}
	if d.keepReceived {
		d.received = remember(d.received, dst, largestWindow)
	}
	return dst, nil
}

var errCompressed = wire.Breach(core.CloseInvalidData, "malformed compressed data")

// read appends what the decompressor has, up to the end of its stream.
func (i *inflater) read(dst []byte, limit int) ([]byte, error) {
	for {
		if n := len(dst); n == cap(dst) {
			dst = slices.Grow(dst, min(max(n, 512)-1, limit-n)+1)
		}
		n, err := i.flate.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > limit:
			return dst, wire.Breach(core.CloseTooBig, "message of more than %d bytes", limit)
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst, errCompressed
		}
	}
}

// remember appends msg to a history of at most size bytes.
func remember(history, msg []byte, size int) []byte {
	if len(msg) >= size {
		return append(history[:0], msg[len(msg)-size:]...)
	}
	if over := len(history) + len(msg) - size; over > 0 {
		history = history[:copy(history, history[over:])]
	}
	return append(history, msg...)
}
