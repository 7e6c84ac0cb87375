package chardev

import (
	"cmp"
	"fmt"
	"log/slog"
	"sync"
)

// A flood bounds how many events of one kind are noted: a client may send breaks,
// or change the line, thousands of times a second, and that must not fill the log
// and push out other events. The first few in gapQuiet are noted; the others are
// counted, and told with the next one that is. (The audit has them all, summed up.)
type flood struct {
	most int32 // that are noted in gapQuiet; 0: floodMost

	noted  int32 // since since
	untold int32 // were not noted since one was
	mu     sync.Mutex
	since  moment // the beginning of the gapQuiet under way
}

// comings are events of those who come and go.
type comings struct{ came, left flood }

// guestEvents are those of guests, which only a device that listens has.
func (h *hub) guestEvents() *comings {
	if h.guests.Load() == nil {
		h.guests.CompareAndSwap(nil, &comings{flood{most: crowdMost}, flood{most: crowdMost}})
	}
	return h.guests.Load()
}

const (
	floodMost = 8
	crowdMost = 64 // of comings and goings: a crowd is told one by one
)

// pass says whether one more is to be noted now, and in words how many were not,
// to be put behind it.
func (f *flood) pass(now moment) (untold string, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.since(f.since) >= gapQuiet {
		f.since, f.noted = now, 0
	}
	if f.noted == cmp.Or(f.most, floodMost) {
		f.untold++
		return "", false
	}
	f.noted++
	if f.untold > 0 {
		untold = fmt.Sprintf(" (and %d before that were not told)", f.untold)
		f.untold = 0
	}
	return untold, true
}

// noteSome notes an event that may be one of very many.
func (h *hub) noteSome(f *flood, kind, text string) { h.keepSome(slog.LevelInfo, f, kind, text) }

// keepSome is noteSome for a log level.
func (h *hub) keepSome(level slog.Level, f *flood, kind, text string) {
	if untold, ok := f.pass(thisMoment()); ok {
		h.keep(level, kind, text+untold)
	}
}
