package chardev

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// Metrics for Prometheus. What there is stands in one table (metrics_table.go), and
// what it is made of is counted anyway: nothing is spent on metrics until somebody
// asks for them.
//
// A page is made family by family, from how each console was at one moment
// (metrics_sample.go). It does not go through a prometheus.Collector: measured with
// 165000 metrics, that spends 700 ms and 180 MB on sorting, hashing and comparing what is
// right by construction here; without it is 90 ms and 10 MB.

const metricsPath = "/metrics"

// scrapesMost is how many answers with metrics are being sent at once. Each holds a
// page in memory, of some MB where there are thousands of chardevs, until its reader
// has taken it; for one more the one that is at it for the longest is cut.
const scrapesMost = 16

// A scraping makes pages of metrics, one at a time, and watches over those that are
// being sent.
type scraping struct {
	process prometheus.Gatherer
	turn    chan struct{} // has a token while a page is made; capacity 1
	sending waitingConns

	size int // of the last page; owned by who has the turn
}

func newScraping() *scraping {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &scraping{process: r, turn: make(chan struct{}, 1), sending: waitingConns{most: scrapesMost}}
}

// A scrape is what somebody is told.
type scrape struct {
	cons   []*console
	daemon bool // what is of no chardev, too
}

// metrics answers with the metrics of the chardevs that the caller may read, and of the
// daemon if that is all there can be. The answer is made before any of it is sent: who reads it slowly, or not
// at all, holds nothing but its bytes.
func (c *control) metrics(w http.ResponseWriter, r *http.Request, cons []*console) {
	who := callerOf(r).who
	what := scrape{cons: cons, daemon: c.server.mayWatch(who)}
	if len(cons) == 0 && !what.daemon {
		problem(w, http.StatusForbidden, who.String()+" may read no chardev")
		return
	}
	format := expfmt.NegotiateIncludingOpenMetrics(r.Header)
	h := w.Header()
	zipped := strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
	if zipped {
		h.Set("Content-Encoding", "gzip")
	}
	page, err := c.server.metricsPage(r.Context(), what, format, zipped)
	if err != nil {
		h.Del("Content-Encoding")
		problem(w, http.StatusInternalServerError, "metrics: "+err.Error())
		return
	}
	if p, ok := r.Context().Value(peerKey{}).(peer); ok {
		sending := &c.server.scraping.sending
		if cut := sending.add(p.ch); cut != nil {
			cut.Close()
		}
		defer sending.remove(p.ch)
	}
	h.Set("Content-Type", string(format))
	h.Set("Content-Length", strconv.Itoa(page.Len()))
	page.WriteTo(w) // a reader who is gone needs none
}

// metricsPage is what metrics answers. It waits for its turn, or for the end of ctx.
func (s *Server) metricsPage(ctx context.Context, what scrape, format expfmt.Format, zipped bool) (*bytes.Buffer, error) {
	select {
	case s.scraping.turn <- struct{}{}:
		defer func() { <-s.scraping.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	var page bytes.Buffer
	page.Grow(s.scraping.size)
	to := io.Writer(&page)
	var zip *gzip.Writer
	if zipped {
		// Measured: at this level half the time of the next, and no more to send.
		zip, _ = gzip.NewWriterLevel(&page, gzip.BestSpeed) // fails for levels that are none
		to = zip
	}
	if err := s.writeMetrics(expfmt.NewEncoder(to, format), what); err != nil {
		return nil, err
	}
	if zip != nil {
		if err := zip.Close(); err != nil {
			return nil, err
		}
	}
	s.scraping.size = page.Len()
	return &page, nil
}

// writeMetrics writes metrics, sorted by name.
func (s *Server) writeMetrics(enc expfmt.Encoder, what scrape) error {
	samples := sampleAll(what.cons)
	var set metricSet
	for i := range families {
		f := &families[i]
		set.begin()
		if f.ofDaemon != nil && what.daemon {
			f.ofDaemon(s, set.add)
		}
		if f.ofConsole != nil {
			for j := range samples {
				f.ofConsole(&samples[j], set.add)
			}
		}
		if len(set.refs) == 0 {
			continue // nothing has it: no serial port, no credentials
		}
		if err := enc.Encode(set.end(f)); err != nil {
			return err
		}
	}
	if what.daemon {
		process, err := s.scraping.process.Gather()
		if err != nil {
			return err
		}
		for _, f := range process {
			if err := enc.Encode(f); err != nil {
				return err
			}
		}
	}
	if end, ok := enc.(expfmt.Closer); ok {
		return end.Close()
	}
	return nil
}

// A metricSet holds the metrics of one family after another: its cells are used again
// when a family is written.
type metricSet struct {
	cells []*metricCell
	refs  []*dto.Metric // of the cells in use
}

type metricCell struct {
	metric  dto.Metric
	counter dto.Counter
	gauge   dto.Gauge
	value   float64
}

func (m *metricSet) begin() { m.refs = m.refs[:0] }

// add adds a metric, whose labels stay the caller's and are only read.
func (m *metricSet) add(labels metricLabels, value float64) {
	n := len(m.refs)
	if n == len(m.cells) {
		m.cells = append(m.cells, new(metricCell))
	}
	c := m.cells[n]
	c.value, c.metric.Label = value, labels
	m.refs = append(m.refs, &c.metric)
}

// end is the family with all metrics that were added since begin.
func (m *metricSet) end(f *family) *dto.MetricFamily {
	for i, ref := range m.refs {
		c := m.cells[i]
		ref.Counter, ref.Gauge = nil, nil
		if f.kind == dto.MetricType_COUNTER {
			c.counter.Value = &c.value
			ref.Counter = &c.counter
		} else {
			c.gauge.Value = &c.value
			ref.Gauge = &c.gauge
		}
	}
	return &dto.MetricFamily{Name: &f.name, Help: &f.help, Type: &f.kind, Metric: m.refs}
}
