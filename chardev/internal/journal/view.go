package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// View opens a journal to be read, also while a daemon writes it: nothing in its
// folder is changed. What is not known to be the journal's, for lack of an index,
// is not in it. Readers follow what is written: End is as it was when one came to
// it last. Of bytes whose marks are not flushed yet it says that they came with those
// before. Close it, with any offset.
func View(dir, name string) (*Journal, error) { return view(realWorld(), dir, name) }

func view(w *world, dir, name string) (*Journal, error) {
	j := &Journal{world: w, dir: dir, name: name}
	j.tail.batch = -1
	if err := j.reload(); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("journal: %w: nothing was kept of %s yet, or it is another state folder", err, name)
		}
		return nil, advise(err)
	}
	j.start = j.End()
	return j, nil
}

// reloads is how often a view begins anew because segments were renamed or removed
// while it looked.
const reloads = 100

// reload looks at the folder again.
func (j *Journal) reload() error {
	for range reloads {
		again, err := j.load()
		if err != nil || !again {
			return err
		}
	}
	return fmt.Errorf("%s: segments come and go too fast to look at", j.dir)
}

// load looks at the folder. again says that it changed meanwhile.
func (j *Journal) load() (again bool, err error) {
	sealed, current, _, err := j.list()
	if err != nil {
		return false, err
	}
	var segments []*segment
	var epochs []epoch
	var bytes int64
	for _, p := range append(sealed, current) {
		if !p.index {
			continue
		}
		s, h, err := j.viewSegment(p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return true, nil
		case errors.Is(err, errDamaged):
			continue
		case err != nil:
			return false, fmt.Errorf("%s: %w", j.path(p.stamp, indexExt), err)
		}
		segments, epochs = append(segments, s), append(epochs, h.epoch)
		bytes += s.data + s.index
	}
	var end int64
	if k := len(segments); k > 0 {
		j.epoch = epochs[k-1] // never another one but at first
		ours := segments[:0]
		for i, s := range segments {
			if epochs[i] == j.epoch {
				ours = append(ours, s)
			}
		}
		segments = ours
		v, err := j.surveyView(segments[len(segments)-1])
		if errors.Is(err, errGone) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		end = v.end
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.segments = segments
	j.bytes.Store(bytes)
	j.end.Store(end)
	return false, nil
}

// viewSegment looks at the files of a segment.
func (j *Journal) viewSegment(p parts) (*segment, header, error) {
	f, err := j.world.fs.Open(j.path(p.stamp, indexExt), os.O_RDONLY)
	if err != nil {
		return nil, header{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, header{}, err
	}
	h, err := readHeader(f)
	s := &segment{base: h.base, stamp: p.stamp, index: info.size, gaps: gapsIn(f, info.size)}
	if err != nil || !p.data && !p.zipped {
		return s, h, err
	}
	ext := dataExt
	if p.zipped {
		ext, s.zipped = zstdExt, true
	}
	data, err := j.world.fs.Stat(j.path(p.stamp, ext))
	if err != nil {
		return nil, h, err
	}
	s.data, s.last = data.size, data.modified.UnixMilli()
	return s, h, nil
}

// surveyView finds out where the last segment ends.
func (j *Journal) surveyView(s *segment) (v survey, err error) {
	size := int64(0)
	data, p, err := j.look(s, false)
	switch {
	case err == nil:
		defer data.Close()
		info, err := data.Stat()
		if err != nil {
			return v, err
		}
		if size = info.size; p.ext == zstdExt {
			frames, err := readFrames(data)
			if err != nil {
				return v, err
			}
			size = frames[len(frames)-1].out
		}
	case err != errGone || s.data > 0:
		return v, err
	}
	idx, _, err := j.look(s, true)
	if err != nil {
		return v, err
	}
	defer idx.Close()
	v, err = surveyIndex(idx, size)
	if s.stamp == (stamp{}) {
		s.gaps = max(v.gaps, v.header.counted-1)
	}
	return v, err
}

// follow looks whether more was written, if that is another process's doing.
func (j *Journal) follow() error {
	if j.keeper != nil {
		return nil
	}
	return j.reload()
}
