package journal

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"
)

// A packer is what the keeper compresses with. It holds nothing at rest.
type packer struct {
	encoder       *zstd.Encoder // nil at rest
	plain, packed []byte        // of one frame
}

func (p *packer) start() error {
	if p.encoder != nil {
		return nil
	}
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(frameSize))
	p.encoder, p.plain = e, make([]byte, frameSize)
	return err
}

func (p *packer) rest() {
	if p.encoder != nil {
		p.encoder.Close()
		*p = packer{}
	}
}

// errStopped is a compression that nobody wants any more.
var errStopped = errors.New("stopped")

// pack compresses one segment of a journal: the newest, which is there the
// longest. Between its frames other jobs are done.
func (k *Keeper) pack(j *Journal) {
	s, name := j.unpacked()
	if s == nil {
		return
	}
	if err := k.packSegment(j, s, name); err != nil {
		k.world.fs.Remove(j.path(name, zstdExt+tmpExt))
		switch {
		case errors.Is(err, errStopped):
		case errors.Is(err, fs.ErrNotExist):
			j.lost(s) // or it would be the next one again
		default:
			k.failed(j, err)
			return // it is tried again with the next that is sealed
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.packs.add(j)
}

// unpacked returns the newest sealed segment that is not compressed; nil if there
// is none.
func (j *Journal) unpacked() (*segment, stamp) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := len(j.segments) - 1; i >= 0; i-- {
		if s := j.segments[i]; s.stamp != (stamp{}) && !s.zipped && s.data > 0 {
			return s, s.stamp
		}
	}
	return nil, stamp{}
}

// lost takes note that the data of a sealed segment is not there.
func (j *Journal) lost(s *segment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !s.removed {
		j.grew(-s.data)
		s.data = 0
	}
}

func (k *Keeper) packSegment(j *Journal, s *segment, name stamp) error {
	if err := k.packer.start(); err != nil {
		return err
	}
	from, to := j.path(name, dataExt), j.path(name, zstdExt)
	src, err := k.world.fs.Open(from, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	dst, err := k.world.fs.Open(to+tmpExt, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	size, err := k.packData(j, s, src, dst)
	if err == nil {
		err = dst.Sync()
	}
	dst.Close()
	if err != nil {
		return err
	}
	return k.putInPlace(j, s, from, to, info.modified, size)
}

// packData compresses all of a file into another one.
func (k *Keeper) packData(j *Journal, s *segment, src, dst file) (size int64, err error) {
	p := &k.packer
	var entries []byte
	for at := int64(0); ; {
		n, err := src.ReadAt(p.plain, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if n == 0 {
			break
		}
		at += int64(n)
		p.packed = p.encoder.EncodeAll(p.plain[:n], p.packed[:0])
		if _, err := dst.Write(p.packed); err != nil {
			return 0, err
		}
		size += int64(len(p.packed))
		entries = binary.LittleEndian.AppendUint32(entries, uint32(len(p.packed)))
		entries = binary.LittleEndian.AppendUint32(entries, uint32(n))
		if !k.between(j, s) {
			return 0, errStopped
		}
	}
	table := binary.LittleEndian.AppendUint32(nil, skippable)
	table = binary.LittleEndian.AppendUint32(table, uint32(len(entries)+footerSize))
	table = append(table, entries...)
	table = binary.LittleEndian.AppendUint32(table, uint32(len(entries)/8))
	table = append(table, 0)
	table = binary.LittleEndian.AppendUint32(table, seekableMagic)
	_, err = dst.Write(table)
	return size + int64(len(table)), err
}

// between does what is more urgent than to compress a segment, and says whether
// that is still wanted.
func (k *Keeper) between(j *Journal, s *segment) bool {
	for {
		other, job := k.pick(false)
		if job == nil {
			break
		}
		k.do(other, job)
	}
	j.mu.Lock()
	removed := s.removed
	j.mu.Unlock()
	return !removed && !k.stopping() && k.keeps(j)
}

// putInPlace puts compressed data, which is on the disk, in the place of the other.
// Whoever has that open reads on in it.
func (k *Keeper) putInPlace(j *Journal, s *segment, from, to string, modified time.Time, size int64) error {
	if err := k.world.fs.SetTime(to+tmpExt, modified); err != nil {
		return err
	}
	if err := k.world.fs.Rename(to+tmpExt, to); err != nil {
		return err
	}
	j.mu.Lock()
	removed, was := s.removed, s.data
	if !removed {
		s.zipped, s.data = true, size
	}
	j.mu.Unlock()
	if removed { // while it was renamed
		return k.world.fs.Remove(to)
	}
	j.grew(size - was)
	// The power may go: the new name is on the disk before the old one is not.
	if err := k.syncDir(j.dir); err != nil {
		return err
	}
	return k.world.fs.Remove(from)
}
