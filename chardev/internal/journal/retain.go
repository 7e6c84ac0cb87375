package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// trim removes what a journal has too much of, or all of them together, and looks
// whether there is something to compress.
func (k *Keeper) trim(j *Journal) {
	now := k.world.now()
	j.retry()
	for {
		s := j.cut(now)
		if s == nil {
			break
		}
		k.remove(j, s)
	}
	for k.maxTotal.Load() > 0 && k.total.Load() > k.maxTotal.Load() {
		if !k.trimAny() {
			break
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if t := j.ages(); !t.IsZero() && (k.aged.IsZero() || t.Before(k.aged)) {
		k.aged = t
	}
	if j.Options().Compress {
		k.packs.add(j)
	}
}

// cut takes the oldest segment that can be removed out of the list if there is too
// much; nil if there is not. Its files are still there.
func (j *Journal) cut(now time.Time) *segment {
	o := j.Options()
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.oldestSealed()
	switch {
	case s == nil:
		return nil
	case len(j.segments) > o.Keep:
	case o.MaxTotal > 0 && j.bytes.Load()+o.MaxSize-j.size.Load() > o.MaxTotal: // with a full current one
	case o.MaxAge > 0 && now.Sub(unixMilli(s.last)) >= o.MaxAge:
	default:
		return nil
	}
	j.unlist(s)
	return s
}

// oldestSealed returns the oldest segment that may be removed, and was not refused;
// nil if there is none. The newest one may not, sealed or not: it says where offsets
// go on. mu is held.
func (j *Journal) oldestSealed() *segment {
	for i := range len(j.segments) - 1 {
		if s := j.segments[i]; !s.stuck {
			return s
		}
	}
	return nil
}

// unlist takes a segment out of the list. mu is held.
func (j *Journal) unlist(s *segment) {
	s.removed = true
	i := slices.Index(j.segments, s)
	j.segments = slices.Delete(j.segments, i, i+1)
}

// relist puts a segment, whose files can not be removed, back into the list, and
// says whether that is to be told.
func (j *Journal) relist(s *segment) (news bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	news = !s.told
	s.removed, s.stuck, s.told = false, true, true
	i := slices.IndexFunc(j.segments, func(next *segment) bool {
		return next.stamp == (stamp{}) || s.stamp.before(next.stamp)
	})
	j.segments = slices.Insert(j.segments, i, s) // there is a next one: the newest stays
	return news
}

// retry lets go again for what could not be removed.
func (j *Journal) retry() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		s.stuck = false
	}
}

// trimAny removes the oldest sealed segment of all journals; false: there is none.
func (k *Keeper) trimAny() bool {
	k.mu.Lock()
	var from *Journal
	var oldest int64
	for j := range k.journals {
		j.mu.Lock()
		if s := j.oldestSealed(); s != nil && (from == nil || s.last < oldest) {
			from, oldest = j, s.last
		}
		j.mu.Unlock()
	}
	if from != nil {
		from.held++
	}
	k.mu.Unlock()
	if from == nil {
		return false
	}
	k.do(from, func(k *Keeper, j *Journal) {
		j.mu.Lock()
		s := j.oldestSealed()
		if s != nil { // it may have gone meanwhile
			j.unlist(s)
		}
		j.mu.Unlock()
		if s != nil {
			k.remove(j, s)
		}
	})
	return true
}

// tooMany is how many segments beyond those to be kept there may be while the
// keeper is busy; then the writer removes some by itself.
const tooMany = 16

// trimSome keeps a writer that seals faster than the keeper removes from filling
// the disk.
func (j *Journal) trimSome() {
	if _, n := j.Size(); n <= j.Options().Keep+tooMany {
		return
	}
	if s := j.cut(j.world.now()); s != nil {
		j.keeper.remove(j, s)
	}
}

// ages returns when the oldest sealed segment gets too old; zero: never.
func (j *Journal) ages() time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s := j.oldestSealed(); s != nil && j.Options().MaxAge > 0 {
		return unixMilli(s.last).Add(j.Options().MaxAge)
	}
	return time.Time{}
}

// remove removes the files of a segment that is out of the list: first the data,
// which without an index would be taken for a lost one's. If that fails the segment
// stays, and it is tried again when the next one is sealed; it is told once.
func (k *Keeper) remove(j *Journal, s *segment) {
	for _, ext := range []string{dataExt, zstdExt, indexExt} {
		err := k.world.fs.Remove(j.path(s.stamp, ext))
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if j.relist(s) {
			k.log.Error("journal: a segment that is to go stays; it is tried again when the next one is sealed", "chardev", j.name, "error", advise(err))
			j.happened(Event{j.End(), k.world.now(), KindJournal, fmt.Sprintf("a segment that is to go stays: %v", err)})
		}
		return
	}
	j.grew(-s.data - s.index)
}
