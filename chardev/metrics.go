package chardev

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"chardevd/chardev/internal/coding"
)

// Metrics for Prometheus. What there is stands in one table (metrics_table.go), and
// what it is made of is counted anyway: nothing is spent on metrics until somebody
// asks for them.
//
// A page is made family by family, from how each console was at one moment
// (metrics_sample.go), and written as text here. A prometheus.Collector would be the
// usual way: measured with 165000 metrics, which 5000 chardevs have, it spends 700 ms and
// 180 MB on sorting, hashing and comparing what is right by construction; the encoder
// alone still takes 90 ms.

const metricsPath = "/metrics"

// metricsType is the text format of Prometheus, which everything that scrapes reads.
const metricsType = "text/plain; version=0.0.4; charset=utf-8"

// scrapesMost is how many answers with metrics are being sent at once.
const scrapesMost = 16

// A scraping makes pages of metrics.
type scraping struct {
	*bulk
	process prometheus.Gatherer

	size int // of the last page; owned by who has the turn
}

func newScraping() *scraping {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &scraping{bulk: newBulk(scrapesMost), process: r}
}

// A scrape is what somebody is told.
type scrape struct {
	cons   []*console
	daemon bool // what is of no chardev, too
}

// metrics answers with the metrics of the chardevs that the caller may read, and of the
// daemon if that is all there can be. The answer is made before any of it is sent: who
// reads it slowly, or not at all, holds nothing but its bytes.
func (c *control) metrics(w http.ResponseWriter, r *http.Request, cons []*console) {
	who := callerOf(r).who
	what := scrape{cons: cons, daemon: c.server.mayWatch(who)}
	if len(cons) == 0 && !what.daemon {
		problem(w, http.StatusForbidden, who.String()+" may read no chardev")
		return
	}
	h := w.Header()
	zipped := coding.AcceptsGzip(r)
	if zipped {
		h.Set("Content-Encoding", "gzip")
	}
	page, err := c.server.metricsPage(r.Context(), what, zipped)
	if err != nil {
		h.Del("Content-Encoding")
		problem(w, http.StatusInternalServerError, "metrics: "+err.Error())
		return
	}
	h.Set("Content-Type", metricsType)
	h.Set("Content-Length", strconv.Itoa(page.Len()))
	c.server.scraping.send(w, r, page)
}

// metricsPage is what metrics answers. It waits for its turn, or for the end of ctx.
func (s *Server) metricsPage(ctx context.Context, what scrape, zipped bool) (*bytes.Buffer, error) {
	if err := s.scraping.turn.enter(ctx); err != nil {
		return nil, err
	}
	defer s.scraping.turn.leave()
	var page bytes.Buffer
	page.Grow(s.scraping.size)
	to := io.Writer(&page)
	var zip *gzip.Writer
	if zipped {
		// Measured: at this level half the time of the next, and no more to send.
		zip, _ = gzip.NewWriterLevel(&page, gzip.BestSpeed) // fails for levels that are none
		to = zip
	}
	if err := s.writeMetrics(to, what); err != nil {
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
func (s *Server) writeMetrics(to io.Writer, what scrape) error {
	samples := sampleAll(what.cons)
	page := metricPage{to: bufio.NewWriterSize(to, 64<<10)}
	for i := range families {
		page.family, page.told = &families[i], false
		if page.family.ofConsole != nil {
			for j := range samples {
				page.family.ofConsole(&samples[j], &page)
			}
		} else if what.daemon {
			page.family.ofDaemon(s, &page)
		}
	}
	if what.daemon {
		process, err := s.scraping.process.Gather()
		if err != nil {
			return err
		}
		for _, f := range process {
			if _, err := expfmt.MetricFamilyToText(page.to, f); err != nil {
				return err
			}
		}
	}
	return page.to.Flush() // what failed before fails again
}

// A metricPage takes the metrics of one family after another.
type metricPage struct {
	to     *bufio.Writer
	family *family
	told   bool // what the family is: one without metrics is left out
	line   []byte
}

// add writes a metric of the family, whose labels are as metricLabel has them.
func (p *metricPage) add(value float64, labels ...string) {
	f := p.family
	if !p.told {
		p.told = true
		fmt.Fprintf(p.to, "# HELP %s %s\n# TYPE %s %s\n", f.name, f.help, f.name, f.kind)
	}
	line := append(p.line[:0], f.name...)
	for i, l := range labels {
		line = append(append(line, "{,"[min(i, 1)]), l...)
	}
	if len(labels) > 0 {
		line = append(line, '}')
	}
	line = append(line, ' ')
	if whole := int64(value); float64(whole) == value {
		line = strconv.AppendInt(line, whole, 10)
	} else {
		line = strconv.AppendFloat(line, value, 'f', -1, 64)
	}
	p.line = append(line, '\n')
	p.to.Write(p.line)
}
