package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"

	"github.com/klauspost/compress/zstd"
)

// Compressed data is in the zstd seekable format (version 0.1.0): independent
// frames, and at the end, in a skippable frame (RFC 8878, section 3.1.2), a table of
// their sizes. So zstdcat reads it, too.
const (
	frameSize     = 256 << 10 // of data
	skippable     = 0x184D2A5E
	seekableMagic = 0x8F92EAB1
	footerSize    = 4 + 1 + 4 // number of frames, descriptor, magic
	withChecksums = 1 << 7    // in the descriptor: entries have one
	reservedBits  = 0x7c      // in the descriptor: another version
	maxFrame      = 64 << 20  // bytes of a frame, so that no table makes a reader take much memory
	maxFrames     = 0x8000000 // that a table may have
)

// A frame is where a frame begins, in the file and in the data.
type frame struct{ in, out int64 }

// A zipped is the data of a compressed segment.
type zipped struct {
	f       file
	frames  []frame // and one behind the last
	decoder *zstd.Decoder
	packed  []byte // scratch
	plain   []byte // of one frame
	which   int    // the frame in plain; -1: none
}

// openZipped reads the table of an open file, which is the zipped's from then on if
// there is no error. errDamaged is a table that can not be used.
func openZipped(f file) (*zipped, error) {
	frames, err := readFrames(f)
	if err != nil {
		return nil, err
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(1<<30))
	if err != nil {
		return nil, err
	}
	return &zipped{f: f, frames: frames, decoder: d, which: -1}, nil
}

// zippedSize returns how much data a compressed file has.
func zippedSize(fs filesystem, name string) (int64, error) {
	f, err := fs.Open(name, os.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	frames, err := readFrames(f)
	if err != nil {
		return 0, err
	}
	return frames[len(frames)-1].out, nil
}

func readFrames(f file) ([]frame, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	bad := func(what string) error { return fmt.Errorf("%w seek table: %s", errDamaged, what) }
	size := info.size
	var footer [footerSize]byte
	if size < 8+footerSize {
		return nil, bad("too short")
	}
	if err := readFull(f, footer[:], size-footerSize); err != nil {
		return nil, err
	}
	n, flags := int64(binary.LittleEndian.Uint32(footer[:])), footer[4]
	entry := int64(8)
	if flags&withChecksums != 0 {
		entry = 12
	}
	table := 8 + n*entry + footerSize
	if binary.LittleEndian.Uint32(footer[5:]) != seekableMagic || flags&reservedBits != 0 || n > maxFrames || table > size {
		return nil, bad("no such footer")
	}
	b := make([]byte, table)
	if err := readFull(f, b, size-table); err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint32(b) != skippable || int64(binary.LittleEndian.Uint32(b[4:])) != table-8 {
		return nil, bad("no such frame")
	}
	frames := make([]frame, 1, n+1)
	var at frame
	for i := int64(0); i < n; i++ {
		e := b[8+i*entry:]
		if max(binary.LittleEndian.Uint32(e), binary.LittleEndian.Uint32(e[4:])) > maxFrame {
			return nil, bad("a frame that is too large")
		}
		at.in += int64(binary.LittleEndian.Uint32(e))
		at.out += int64(binary.LittleEndian.Uint32(e[4:]))
		frames = append(frames, at)
	}
	if at.in > size-table {
		return nil, bad("it has more than there is")
	}
	return frames, nil
}

// readFull reads all of p; less is damage.
func readFull(f file, p []byte, at int64) error {
	n, err := f.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return errDamaged
	}
	return err
}

// A damagedFrame is an error of a frame that can not be decompressed.
type damagedFrame struct {
	left int64 // bytes of data from the wanted position to its end
	err  error
}

func (d *damagedFrame) Error() string { return "damaged frame: " + d.err.Error() }

// ReadAt reads from a position in the data up to the end of the frame it is in, or
// less. It may return a damagedFrame.
func (z *zipped) ReadAt(p []byte, pos int64) (int, error) {
	i := sort.Search(len(z.frames), func(i int) bool { return z.frames[i].out > pos }) - 1
	if i+1 >= len(z.frames) {
		return 0, io.EOF
	}
	if z.which != i {
		z.which = -1
		from, to := z.frames[i], z.frames[i+1]
		if n := int(to.in - from.in); cap(z.packed) < n {
			z.packed = make([]byte, n)
		}
		packed := z.packed[:to.in-from.in]
		if err := readFull(z.f, packed, from.in); err != nil {
			return 0, err
		}
		size := to.out - from.out
		if pos == from.out && int64(len(p)) >= size { // straight to where it is wanted
			if err := z.decode(p[:0:size], packed, size); err != nil {
				return 0, &damagedFrame{size, err}
			}
			return int(size), nil
		}
		if int64(cap(z.plain)) < size {
			z.plain = make([]byte, 0, size)
		}
		if err := z.decode(z.plain[:0], packed, size); err != nil {
			return 0, &damagedFrame{to.out - pos, err}
		}
		z.plain, z.which = z.plain[:size], i
	}
	return copy(p, z.plain[pos-z.frames[i].out:]), nil
}

// decode decompresses a frame to where there is room for it.
func (z *zipped) decode(to, packed []byte, size int64) error {
	out, err := z.decoder.DecodeAll(packed, to)
	if err == nil && int64(len(out)) != size {
		err = fmt.Errorf("it has %d bytes, not %d", len(out), size)
	}
	return err
}

func (z *zipped) Close() error {
	z.decoder.Close()
	return z.f.Close()
}
