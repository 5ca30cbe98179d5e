package guest

import "encoding/binary"

// field is the number of a field in a frame, see ABI.md.
type field uint16

const (
	fieldMethod field = 1 + iota
	fieldPath
	fieldBase
	fieldParam
	fieldData
	fieldSender
	fieldPeer
	fieldPeerData
	fieldProperty
	fieldStatus
	fieldReason
	fieldError
	fieldCarry
	fieldCorrelation
	fieldDeleteProperty
	fieldQuery
	fieldHeader
	fieldOrigin
	fieldRemote
	fieldTransport
	fieldSecure
	fieldTimeout
	fieldID
	fieldEnded
)

// A frame that the host has written, with its own copy of the texts: the buffer is used again.
type frame struct {
	token  uint64
	fields []value
}

type value struct {
	id       field
	key, val string
}

// readFrame trusts the host.
func readFrame(b []byte) frame {
	f := frame{token: binary.LittleEndian.Uint64(b[8:])}
	n := int(binary.LittleEndian.Uint16(b[6:]))
	f.fields = make([]value, n)
	all := string(b[16:])
	at := 0
	for i := range f.fields {
		head := b[16+at:]
		key, val := int(binary.LittleEndian.Uint16(head[2:])), int(binary.LittleEndian.Uint32(head[4:]))
		at += 8
		f.fields[i] = value{field(binary.LittleEndian.Uint16(head)), all[at : at+key], all[at+key : at+key+val]}
		at += (key + val + 3) &^ 3
	}
	return f
}

func (f *frame) find(id field, key string) (string, bool) {
	for i := range f.fields {
		if v := &f.fields[i]; v.id == id && v.key == key {
			return v.val, true
		}
	}
	return "", false
}

// text returns a field, from the host if it was not pushed and the event is still at hand.
func (f *frame) text(id field, key string) string {
	v, ok := f.find(id, key)
	if !ok && f.token == current {
		v, _ = get(id, key)
	}
	return v
}

func (f *frame) number(id field) uint64 {
	v, _ := f.find(id, "")
	n := uint64(0)
	for i := len(v) - 1; i >= 0; i-- {
		n = n<<8 | uint64(v[i])
	}
	return n
}

// A writer makes a frame for the host.
type writer struct {
	b []byte
	n uint16
}

func newWriter() *writer { return &writer{b: make([]byte, 16, 256)} }

func (w *writer) add(id field, key, val string) {
	w.b = binary.LittleEndian.AppendUint16(w.b, uint16(id))
	w.b = binary.LittleEndian.AppendUint16(w.b, uint16(len(key)))
	w.b = binary.LittleEndian.AppendUint32(w.b, uint32(len(val)))
	w.b = append(append(w.b, key...), val...)
	for len(w.b)%4 != 0 {
		w.b = append(w.b, 0)
	}
	w.n++
}

func (w *writer) addUint32(id field, n uint32) {
	w.add(id, "", string(binary.LittleEndian.AppendUint32(nil, n)))
}

func (w *writer) addUint64(id field, n uint64) {
	w.add(id, "", string(binary.LittleEndian.AppendUint64(nil, n)))
}

func (w *writer) end() []byte {
	if w.n == 0 {
		return nil
	}
	binary.LittleEndian.PutUint32(w.b, uint32(len(w.b)))
	binary.LittleEndian.PutUint16(w.b[4:], 1)
	binary.LittleEndian.PutUint16(w.b[6:], w.n)
	return w.b
}
