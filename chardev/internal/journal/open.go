package journal

import (
	"fmt"
	"path/filepath"
	"slices"
	"sort"
)

// Open opens the journal of a console in its folder, which is made when there is
// something to keep. Nobody else may write there until Close. What a run that did
// not end cleanly left is mended; see Found. An error is of a folder that can
// not be used as it is, and nothing was removed.
func Open(dir, name string, o Options, k *Keeper) (*Journal, error) {
	return open(dir, name, o, k)
}

func open(dir, name string, o Options, k *Keeper) (*Journal, error) {
	j := &Journal{world: k.world, dir: dir, name: name, keeper: k}
	j.setOptions(o)
	j.tail.batch = -1
	r := recovery{j: j, now: k.world.now()}
	if err := r.run(); err != nil {
		return nil, advise(err)
	}
	j.found = r.events
	j.own = slices.DeleteFunc(slices.Clone(r.events), func(e Event) bool { return e.Kind == KindGap }) // which Holes tell for ever
	j.bytes.Store(j.w.size)
	for _, s := range j.segments {
		j.bytes.Add(s.data + s.index)
	}
	// Without a current segment the next run could not know that none was lost. If it can
	// not be begun, it is with what is to be written.
	lacks := len(j.segments) > 0 && j.w.seg == nil
	k.adopt(j)
	if lacks && j.begin() == nil {
		j.shut()
	}
	return j, nil
}

// parts are the files of a segment that a folder holds.
type parts struct {
	stamp               stamp
	data, zipped, index bool
	next                bool // of the current one: the index of a new one is there
}

// list returns the segments of a folder in order; the current one, if there is
// any file of it, apart. It also says which files were never finished.
func (j *Journal) list() (sealed []parts, current parts, unfinished []string, err error) {
	entries, err := j.world.fs.ReadDir(j.dir)
	if err != nil {
		return nil, current, nil, err
	}
	all := map[stamp]parts{}
	for _, e := range entries {
		s, ext, ok := parseName(j.name, e.Name())
		p := all[s]
		p.stamp = s
		if ok && ext != asideExt && !e.Type().IsRegular() {
			return nil, current, nil, fmt.Errorf("%s is no file: move it away", filepath.Join(j.dir, e.Name()))
		}
		switch {
		case ok && ext == dataExt:
			p.data = true
		case ok && ext == zstdExt && s != (stamp{}):
			p.zipped = true
		case ok && ext == indexExt:
			p.index = true
		case ok && ext == nextExt && s == (stamp{}):
			p.next = true
		case ok && (ext == zstdExt+tmpExt || ext == indexExt+tmpExt):
			unfinished = append(unfinished, e.Name())
			continue
		default:
			continue
		}
		all[s] = p
	}
	current = all[stamp{}]
	delete(all, stamp{})
	for _, p := range all {
		sealed = append(sealed, p)
	}
	sort.Slice(sealed, func(a, b int) bool { return sealed[a].stamp.before(sealed[b].stamp) })
	return sealed, current, unfinished, nil
}
