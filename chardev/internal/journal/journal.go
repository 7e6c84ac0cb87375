package journal

import (
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// Options say how much a journal keeps.
type Options struct {
	MaxSize  int64         // bytes of a segment before it is sealed; 0: 4 MiB
	MaxSpan  time.Duration // how old a segment's first byte gets before the next one seals it; 0: any
	Keep     int           // how many segments there may be, the current one counted; 0: 4
	MaxAge   time.Duration // sealed segments whose last byte is older are removed; 0: never
	MaxTotal int64         // bytes on disk of all segments, were the current one full; 0: no limit
	Compress bool          // sealed segments are compressed
}

const (
	defaultSize = 4 << 20
	defaultKeep = 4
)

// A Mark says that the bytes from offset At on came at Time (Unix milliseconds).
type Mark struct{ At, Time int64 }

// An Event is something that happened beside the bytes. Kinds are at most 64
// bytes long, texts 4 KiB; what is longer is cut. Times are kept to the
// millisecond.
type Event struct {
	Offset     int64
	Time       time.Time
	Kind, Text string
}

// The kinds of the events that a journal makes by itself.
const (
	KindGap      = "gap"      // bytes are missing here; only told, as it is kept as a Hole
	KindRotation = "rotation" // a segment begins here; the text is the name of the one that was sealed
	KindJournal  = "journal"  // something was wrong with the journal's files, and what was done
)

// A segment is a run of the stream in a file of its own.
type segment struct {
	base int64 // fixed: offset of its first byte

	// guarded by Journal.mu
	stamp   stamp // in its name; zero: the current one
	zipped  bool  // its data is compressed
	removed bool
	stuck   bool  // its files can not be removed; not to be tried until the next one is sealed
	told    bool  // that they can not
	synced  bool  // since it was sealed
	data    int64 // bytes of its data on disk, compressed ones where they are; of the current one when it was sealed
	index   int64 // and of its index
	last    int64 // when its last byte came (Unix ms)
	gaps    int64 // how many there are within it; -1: look into the index
}

// A Journal is the history of one console on disk. Append, Note, Reserve, Flush,
// Rest and Close belong to its one writer, a goroutine at a time; the rest may be
// called from anywhere.
type Journal struct {
	// fixed
	world     *world
	dir, name string
	keeper    *Keeper // nil: only looked at
	epoch     epoch
	start     int64
	holes     Holes // up to start; of one that is only looked at they are looked for
	holed     bool  // from where the last run ended to start there is a hole

	w writer

	end      atomic.Int64 // behind the last byte written
	bytes    atomic.Int64 // on disk
	size     atomic.Int64 // bytes of the current segment's data
	unsynced atomic.Bool  // the keeper knows that there is something to sync
	changed  atomic.Bool  // the keeper found that the current segment's data is not what was written

	options atomic.Pointer[Options]

	held int // how many jobs of the keeper are under way; guarded by Keeper.mu

	mu       sync.Mutex
	segments []*segment // oldest first; the current one last, if there is one
	newest   stamp      // of the segments that were ever sealed
	sealing  stamp      // the current one is just getting it; or zero
	failed   error      // of a sync, for the writer to tell
	own      []Event    // events of the journal's own that wait for the index to be open
	found    []Event    // what of them is to be told, and was not asked for yet
	tail     tail
}

// Options say how much it keeps, with the usual values in place of zeros.
func (j *Journal) Options() Options { return *j.options.Load() }

// SetOptions changes how much is kept: from now on, and of what is there already.
func (j *Journal) SetOptions(o Options) {
	j.setOptions(o)
	j.keeper.mu.Lock()
	defer j.keeper.mu.Unlock()
	if _, ok := j.keeper.journals[j]; ok {
		j.keeper.trims.add(j)
		j.keeper.poke()
	}
}

func (j *Journal) setOptions(o Options) {
	if o.MaxSize <= 0 {
		o.MaxSize = defaultSize
	}
	if o.Keep <= 0 {
		o.Keep = defaultKeep
	}
	j.options.Store(&o)
}

// Epoch names the numbering of the offsets: they mean nothing under another one.
// It is made with the journal and kept with it, until damage leaves it unknown which
// offsets were given out: then Open makes a new one.
func (j *Journal) Epoch() string { return j.epoch.String() }

// Start returns the offset at which this run goes on. None from it on was ever
// given out under its epoch.
func (j *Journal) Start() int64 { return j.start }

// Found returns what was found wrong and mended since it was called last, the first
// time by Open. The journal keeps these events by itself: they are to be told, not to
// be given to Note.
func (j *Journal) Found() []Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	found := j.found
	j.found = nil
	return found
}

// happened keeps an event of the journal's own.
func (j *Journal) happened(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.own = append(j.own, e)
}

// Oldest returns the offset of the first byte that is held; End if there is none.
func (j *Journal) Oldest() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		if s.data > 0 || s.stamp == (stamp{}) {
			return min(s.base, j.end.Load())
		}
	}
	return j.end.Load()
}

// End returns the offset behind the last byte that was written.
func (j *Journal) End() int64 { return j.end.Load() }

// Size returns how many bytes the segments and their indexes take on disk, and
// how many segments there are.
func (j *Journal) Size() (bytes int64, segments int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.bytes.Load(), len(j.segments)
}

// locate returns the segment that an offset is in, and where the next one begins
// (or the End). Before the oldest there is none (nil), and next is where that begins.
func (j *Journal) locate(at int64) (s *segment, next int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	next = j.end.Load()
	i := sort.Search(len(j.segments), func(i int) bool { return j.segments[i].base > at })
	if i < len(j.segments) {
		next = j.segments[i].base
	}
	if i == 0 {
		return nil, next
	}
	return j.segments[i-1], next
}

// grew adds to what the journal takes on disk.
func (j *Journal) grew(n int64) {
	j.bytes.Add(n)
	if j.keeper != nil {
		j.keeper.total.Add(n)
	}
}
