package journal

// A Hole is offsets that a run which did not end cleanly had reserved and may have
// given out: at most so many bytes are missing there. Mostly none were ever printed, so
// who counts bytes back passes over it.
type Hole struct{ From, To int64 }

// HoleWhy is why there is a hole, in words.
const HoleWhy = "the daemon was killed or crashed"

// Holes are those of a journal, ascending, with something between them.
type Holes []Hole

// Back returns the offset of the byte that n bytes stand from, up to another offset,
// those in holes not counted; at least oldest, and in no hole.
func (h Holes) Back(from, n, oldest int64) int64 {
	at := from - n
	for i := len(h) - 1; i >= 0 && h[i].To > at; i-- {
		at -= h[i].To - h[i].From
	}
	at = max(at, oldest)
	if size, in := h.Cut(at, from-at); in {
		at += size
	}
	return at
}

// Cut returns how much of a gap of so many bytes at an offset is one thing: in a hole,
// or in none.
func (h Holes) Cut(at, missing int64) (size int64, hole bool) {
	for _, o := range h {
		switch {
		case at+missing <= o.From:
			return missing, false
		case at < o.From:
			return o.From - at, false
		case at < o.To:
			return min(missing, o.To-at), true
		}
	}
	return missing, false
}

// with adds the hole of a later run. It takes the place of those that begin in it: their
// run's bytes were lost with the power.
func (h Holes) with(o Hole) Holes {
	for k := len(h) - 1; k >= 0 && h[k].To >= o.From; k-- {
		o = Hole{min(o.From, h[k].From), max(o.To, h[k].To)}
		h = h[:k]
	}
	return append(h, o)
}

// Holes returns the holes before End and Start. They are those of earlier runs, so there
// will be no more. They are not the caller's to change.
func (j *Journal) Holes() Holes {
	if j.keeper == nil { // others write it
		return j.findHoles()
	}
	return j.holes
}

// findHoles looks for holes in the indexes that have gaps. An index that can not be read
// has none.
func (j *Journal) findHoles() Holes {
	j.mu.Lock()
	var segments []*segment
	for _, s := range j.segments {
		if s.gaps != 0 {
			segments = append(segments, s)
		}
	}
	j.mu.Unlock()
	var all Holes
	for _, s := range segments {
		c, err := j.index(s)
		if err != nil {
			continue
		}
		for {
			if ok, err := c.next(); !ok || err != nil {
				break
			}
			if g, ok := parseGap(c.body); c.kind == recGap && ok && g.hole {
				all = all.with(Hole{g.from, g.to})
			}
		}
		c.close()
	}
	return all
}
