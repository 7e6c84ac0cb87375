package chardev

import (
	"strings"
	"time"

	"chardevd/channel"
)

var metricEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// metricLabel is a label as it is written.
func metricLabel(name, value string) string {
	// An address may have any bytes, by %XX.
	return name + `="` + metricEscapes.Replace(strings.ToValidUTF8(value, "\uFFFD")) + `"`
}

// A sample is how a console was at one moment, for its metrics.
type sample struct {
	name string // a label

	up         bool
	reconnects int64
	lastOutput float64 // Unix time in seconds; 0: it never printed
	bytesIn    int64
	bytesOut   int64
	refused    [len(reasons)]int64
	dropped    [len(drops)]int64
	journal    *journalSample        // nil: none is wanted
	line       *channel.LineCounters // nil: the device counts nothing, or is away
	ways       []way                 // in, the frontends first
}

type journalSample struct {
	up       bool
	bytes    int64
	segments int
	behind   int64
	delay    float64 // seconds since the oldest byte came that is not written yet
}

// A way is a way in, with what all clients had who came by it.
type way struct {
	address string
	label   string

	fixed      bool // it is a frontend, which has the next two
	up         bool
	reconnects int64

	clients int
	lag     int64 // of the client that is behind most
	traffic
}

// traffic is what clients had, in bytes.
type traffic struct {
	in, out, gaps int64
}

func (t *traffic) add(c *client) {
	t.in += c.typed.Load()
	t.out += c.got.Load()
	t.gaps += c.missed.Load()
}

// sampleAll looks at all the consoles, one after the other.
func sampleAll(cons []*console) []sample {
	samples := make([]sample, len(cons))
	var clients []*client // of one after the other
	for i, con := range cons {
		clients = samples[i].take(con, clients[:0])
	}
	return samples
}

// take looks at how a console is. The hub is held only to copy the list of its
// clients into the given one, which is returned.
func (s *sample) take(con *console, clients []*client) []*client {
	h := con.hub
	s.name = metricLabel("chardev", con.name)
	state, _, _ := con.device.Load().state()
	s.up = state == StateUp
	s.reconnects = max(0, h.sessions.Load()-1)
	s.lastOutput = float64(h.lastOut.Load()) / 1e9
	s.bytesIn = h.bytesIn.Load()
	for why := range reasons {
		s.refused[why] = h.refused[why].Load()
	}
	for why := range drops {
		s.dropped[why] = h.dropped[why].Load()
	}
	if counter, err := lineOf[channel.LineCounter](h); err == nil {
		if n, err := counter.LineCounters(); err == nil {
			s.line = &n
		}
	}
	fronts := con.configured()
	s.ways = make([]way, 0, len(fronts)+len(besideFrontends))
	for _, f := range fronts {
		s.addFrontend(f)
	}
	for _, one := range besideFrontends {
		s.ways = append(s.ways, way{address: one, label: metricLabel("frontend", one)})
	}
	s.journal = con.sampleJournal()

	h.mu.Lock()
	head := h.hist.Head()
	s.bytesOut = h.printed()
	clients = append(clients, h.clients...)
	for i := range s.ways {
		s.ways[i].traffic = h.gone[s.ways[i].address]
	}
	h.mu.Unlock()
	// Who goes from now on is not among those that are gone in this sample.
	for _, c := range clients {
		if w := s.way(c.way()); w != nil {
			w.clients++
			w.lag = max(w.lag, head-c.cursor.Load())
			w.traffic.add(c)
		}
	}
	return clients
}

// way is the one of an address; nil: there is none, any more.
func (s *sample) way(address string) *way {
	for i := range s.ways {
		if s.ways[i].address == address {
			return &s.ways[i]
		}
	}
	return nil
}

// addFrontend adds a way in. Several to one address (they connect to it) are one.
func (s *sample) addFrontend(f *frontend) {
	state, _, _ := f.status.get()
	up, reconnects := state == StateUp, max(0, f.status.opened()-1)
	address := f.ep.Address.String()
	if w := s.way(address); w != nil {
		w.up = w.up && up
		w.reconnects += reconnects
		return
	}
	s.ways = append(s.ways, way{address: address, label: metricLabel("frontend", address), fixed: true, up: up, reconnects: reconnects})
}

func (c *console) sampleJournal() *journalSample {
	s := c.hub.scribe
	if s == nil {
		if c.noLog != nil {
			return new(journalSample)
		}
		return nil
	}
	behind, err := s.state()
	j := &journalSample{up: err == nil, behind: behind, delay: c.hub.journalDelay(time.Now())}
	j.bytes, j.segments = s.j.Size()
	return j
}

// journalDelay is for how many seconds the journal lacks what was printed; 0: it has
// all.
func (h *hub) journalDelay(now time.Time) float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.scribe.cursor.Load()
	if at >= h.hist.Head() {
		return 0
	}
	ms, _, known := h.times.at(at)
	if !known {
		return 0
	}
	return max(0, now.Sub(time.UnixMilli(ms)).Seconds())
}
