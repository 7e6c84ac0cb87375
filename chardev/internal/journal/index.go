package journal

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
)

// The index of a segment: a header, then records. Numbers of fixed size are
// little-endian; at, time and the like are offsets and Unix milliseconds.
//
//	header: magic 7, version 1, epoch 8, base 8, made 6, gaps 2, reserve 8, boot 16, crc 4
//	record: kind 1, length 2, body, crc 4 (CRC32C of all before it in the record)
const (
	magic      = "chrdidx"
	version    = 1
	headerSize = 7 + 1 + 8 + 8 + 6 + 2 + 8 + 16 + 4
	madeBits   = 6 * 8
	mostGaps   = 1<<16 - 1 // more are not counted
	recordHead = 3
	recordSize = recordHead + 4 // of a record with an empty body
	maxBody    = 8 << 10
)

// The kinds of records.
const (
	recMarks   = 'm' // at, time as varints; then how much more each further one is, as varints
	recGap     = 'g' // from, to, position in the data from which on bytes are those at to; a byte 1 if it is a hole
	recEvent   = 'e' // at, time; length of kind, kind, text
	recReserve = 'r' // offsets below it may have been given out; not written any more
	recOpened  = 'o' // a run of the daemon goes on in this segment: time, boot
	recClosed  = 'c' // a trailer: the clean end of a run
	recSealed  = 's' // a trailer: the end of a segment
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// An epoch names one numbering of offsets.
type epoch [8]byte

func (e epoch) String() string { return hex.EncodeToString(e[:]) }

func unhex(s string) []byte {
	b, _ := hex.DecodeString(s)
	return b
}

// A header is how an index begins. What may not be lost with the end of its file is
// here, and is written in place: a cut of the file leaves it, or no header.
type header struct {
	epoch   epoch
	base    int64 // offset of the segment's first byte
	made    int64
	counted int64    // how many records of gaps there are at least, and one; 0: older ones do not say
	reserve int64    // offsets below it may have been given out
	boot    [16]byte // of the run that made it
}

func (h header) bytes() []byte {
	b := append(make([]byte, 0, headerSize), magic...)
	b = append(b, version)
	b = append(b, h.epoch[:]...)
	for _, n := range []int64{h.base, max(h.made, 0) | min(h.counted, mostGaps)<<madeBits, h.reserve} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	b = append(b, h.boot[:]...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// errDamaged is a header that can not be believed.
var errDamaged = errors.New("damaged")

// A versionError is of an index that a later chardevd wrote.
type versionError byte

func (v versionError) Error() string {
	return fmt.Sprintf("made by a newer chardevd (version %d of the format, this one knows %d): run that one, or give another state folder", byte(v), version)
}

// parseHeader reads how an index begins. It returns errDamaged, or a versionError.
func parseHeader(b []byte) (h header, err error) {
	if len(b) < headerSize || string(b[:len(magic)]) != magic {
		return h, errDamaged
	}
	if v := b[len(magic)]; v > version {
		return h, versionError(v)
	}
	b = b[:headerSize]
	body, sum := b[:headerSize-4], binary.LittleEndian.Uint32(b[headerSize-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return h, errDamaged
	}
	body = body[len(magic)+1:]
	body = body[copy(h.epoch[:], body):]
	for _, n := range []*int64{&h.base, &h.made, &h.reserve} {
		*n = int64(binary.LittleEndian.Uint64(body))
		body = body[8:]
	}
	copy(h.boot[:], body)
	h.counted = int64(uint64(h.made) >> madeBits)
	h.made &= 1<<madeBits - 1
	if h.base < 0 || h.reserve < 0 {
		return h, errDamaged
	}
	return h, nil
}

// begin begins a record at the end of b; finish, with where it began, ends it.
func begin(b []byte, kind byte) []byte { return append(b, kind, 0, 0) }

func finish(b []byte, at int) []byte {
	binary.LittleEndian.PutUint16(b[at+1:], uint16(len(b)-at-recordHead))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[at:], castagnoli))
}

// parseRecord looks for a record at the start of b. size is its length with head
// and sum; 0 if b is only the beginning of one, -1 if it is none.
func parseRecord(b []byte) (kind byte, body []byte, size int) {
	if len(b) == 0 {
		return 0, nil, 0
	}
	switch b[0] {
	case recMarks, recGap, recEvent, recReserve, recOpened, recClosed, recSealed:
	default:
		return 0, nil, -1
	}
	if len(b) < recordHead {
		return 0, nil, 0
	}
	n := int(binary.LittleEndian.Uint16(b[1:]))
	if n > maxBody {
		return 0, nil, -1
	}
	if len(b) < recordSize+n {
		return 0, nil, 0
	}
	end := recordHead + n
	if crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return 0, nil, -1
	}
	return b[0], b[recordHead:end], recordSize + n
}

// A fields reads the body of a record; bad is set where it is too short.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) uvarint() int64 {
	n, k := binary.Uvarint(f.b)
	if k <= 0 || int64(n) < 0 {
		f.b, f.bad = nil, true
		return 0
	}
	f.b = f.b[k:]
	return int64(n)
}

func (f *fields) varint() int64 {
	n, k := binary.Varint(f.b)
	if k <= 0 {
		f.b, f.bad = nil, true
		return 0
	}
	f.b = f.b[k:]
	return n
}

func (f *fields) bytes(n int) []byte {
	if n < 0 || n > len(f.b) {
		f.b, f.bad = nil, true
		return nil
	}
	b := f.b[:n]
	f.b = f.b[n:]
	return b
}

// A gap is where the stream goes on elsewhere: the byte at position pos of the
// data is the one at offset to.
type gap struct {
	from, to, pos int64
	hole          bool // see Hole
}

func appendGap(b []byte, g gap) []byte {
	at := len(b)
	b = begin(b, recGap)
	for _, n := range []int64{g.from, g.to, g.pos} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	if g.hole {
		b = append(b, isHole)
	}
	return finish(b, at)
}

const isHole = 1

func parseGap(body []byte) (g gap, ok bool) {
	f := fields{b: body}
	g = gap{from: f.uvarint(), to: f.uvarint(), pos: f.uvarint()}
	g.hole = len(f.b) > 0 && f.b[0] == isHole
	return g, !f.bad && g.from < g.to
}

// The longest kind and text of an event; what is longer is cut.
const (
	maxKind = 64
	maxText = 4 << 10
)

func appendEvent(b []byte, e Event) []byte {
	at := len(b)
	b = begin(b, recEvent)
	b = binary.AppendUvarint(b, uint64(max(e.Offset, 0)))
	b = binary.AppendVarint(b, e.Time.UnixMilli())
	kind := e.Kind[:min(len(e.Kind), maxKind)]
	b = binary.AppendUvarint(b, uint64(len(kind)))
	b = append(b, kind...)
	b = append(b, e.Text[:min(len(e.Text), maxText)]...)
	return finish(b, at)
}

func parseEvent(body []byte) (e Event, ok bool) {
	f := fields{b: body}
	e.Offset = f.uvarint()
	e.Time = unixMilli(f.varint())
	e.Kind = string(f.bytes(int(f.uvarint())))
	e.Text = string(f.b)
	return e, !f.bad
}

func parseReserve(body []byte) (to int64, ok bool) {
	f := fields{b: body}
	to = f.uvarint()
	return to, !f.bad
}

func appendOpened(b []byte, now int64, boot [16]byte) []byte {
	at := len(b)
	b = binary.AppendVarint(begin(b, recOpened), now)
	return finish(append(b, boot[:]...), at)
}

func parseOpened(body []byte) (boot [16]byte, ok bool) {
	f := fields{b: body}
	f.varint()
	copy(boot[:], f.bytes(len(boot)))
	return boot, !f.bad
}

// A trailer ends an index, so that it need not be read to know how its segment
// ended: of the last of a clean run, or of a sealed one.
type trailer struct {
	end     int64 // behind the last byte
	head    int64 // offsets below it were given out
	reserve int64
	size    int64 // of the data, not compressed
	gaps    int64 // how many there are within the segment
	first   int64 // when the first and the last byte came; 0: not known
	last    int64
}

const (
	trailerBody = 7 * 8
	trailerSize = recordSize + trailerBody
)

func appendTrailer(b []byte, kind byte, t trailer) []byte {
	at := len(b)
	b = begin(b, kind)
	for _, n := range []int64{t.end, t.head, t.reserve, t.size, t.gaps, t.first, t.last} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return finish(b, at)
}

func parseTrailer(body []byte) (t trailer, ok bool) {
	if len(body) != trailerBody {
		return t, false
	}
	for _, n := range []*int64{&t.end, &t.head, &t.reserve, &t.size, &t.gaps, &t.first, &t.last} {
		*n = int64(binary.LittleEndian.Uint64(body))
		body = body[8:]
	}
	return t, t.end >= 0 && t.head >= t.end && t.size >= 0
}

// A batch of marks is one record, of up to this many bytes.
const maxMarks = 4000

// appendMark appends a mark to a batch, whose last one is given; the zero one
// begins it.
func appendMark(b []byte, last, m Mark) []byte {
	b = binary.AppendUvarint(b, uint64(m.At-last.At))
	return binary.AppendVarint(b, m.Time-last.Time)
}

// firstMark returns the first mark of a batch.
func firstMark(body []byte) (m Mark, ok bool) {
	f := fields{b: body}
	m = Mark{f.uvarint(), f.varint()}
	return m, !f.bad
}

// parseMarks appends the marks of a batch to those given.
func parseMarks(to []Mark, body []byte) []Mark {
	f := fields{b: body}
	var m Mark
	for len(f.b) > 0 {
		m.At += f.uvarint()
		m.Time += f.varint()
		if f.bad || m.At < 0 {
			return to
		}
		to = append(to, m)
	}
	return to
}
