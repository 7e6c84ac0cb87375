package audit

import "time"

const (
	// foldTime is how long what happens very often is summed up before it is written.
	foldTime = 10 * time.Second

	// How many of one kind, person and source are written one by one in that time.
	foldAfter        = 32
	foldAfterRefused = 4 // strangers can do that as often as they like

	// foldMost is how many are watched at once. Beyond it refusals are summed up together,
	// and so is what nobody in particular does; all else is written one by one: it is by
	// people who were let in.
	foldMost = 256
)

// A key is what the records of a sum have in common.
type key struct {
	what                           What
	who, source, chardev, frontend string
}

func keyOf(r *Record) key {
	k := key{what: r.What, source: source(r.Peer), chardev: r.Chardev, frontend: r.Frontend}
	if len(r.Who) > 0 {
		k.who = r.Who[0]
	}
	return k
}

// A fold sums up what happens very often. It has no lock of its own.
type fold struct {
	sums map[key]*sum
	due  time.Time // when the first of them ends; zero: there is none
}

type sum struct {
	end  time.Time // of the foldTime under way
	once int       // were written one by one in it
	sum  Record    // of the others; Count 0: there are none
}

// take says whether r is to be written now. Else it is in a sum.
func (f *fold) take(r *Record) (now bool) {
	k := keyOf(r)
	s := f.sums[k]
	if s == nil && len(f.sums) >= foldMost {
		if r.What != Refused && (len(r.Who) > 0 || r.Peer == "") {
			return true
		}
		k = key{what: r.What}
		s = f.sums[k]
		r.Who, r.Operator, r.Peer, r.Chardev, r.Frontend, r.Client = nil, false, "", "", "", ""
		r.Text = "more sources than are told apart"
		if s == nil {
			s = f.begin(k, r.Time)
			s.once = foldAfter // and none one by one
		}
	}
	if s == nil {
		s = f.begin(k, r.Time)
	}
	most := foldAfter
	if r.What == Refused {
		most = foldAfterRefused
	}
	if s.once < most {
		s.once++
		return true
	}
	s.add(r)
	return false
}

func (f *fold) begin(k key, now time.Time) *sum {
	if f.sums == nil {
		f.sums = map[key]*sum{}
	}
	s := &sum{end: now.Add(foldTime)}
	f.sums[k] = s
	if f.due.IsZero() {
		f.due = s.end
	}
	return s
}

func (s *sum) add(r *Record) {
	was := s.sum
	s.sum = *r
	s.sum.Count = was.Count + 1
	if was.Count > 0 {
		s.sum.Time, s.sum.Until = was.Time, r.Time
	}
	s.sum.Seconds += was.Seconds
	s.sum.BytesIn += was.BytesIn
	s.sum.BytesOut += was.BytesOut
}

// ended returns the sums whose time is over, or all of them, and forgets them.
func (f *fold) ended(now time.Time, all bool) []Record {
	if !all && (f.due.IsZero() || now.Before(f.due)) {
		return nil
	}
	var list []Record
	f.due = time.Time{}
	for k, s := range f.sums {
		switch {
		case all || !now.Before(s.end):
			delete(f.sums, k)
			if s.sum.Count == 1 {
				s.sum.Count = 0 // it is itself
			}
			if !s.sum.Time.IsZero() {
				list = append(list, s.sum)
			}
		case f.due.IsZero() || s.end.Before(f.due):
			f.due = s.end
		}
	}
	if len(f.sums) == 0 {
		f.sums = nil // its buckets with it
	}
	return list
}
