package chardev

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
)

// scraped is a page of metrics as Prometheus reads it.
type scraped map[string]*dto.MetricFamily

// readMetrics reads a page of the text format.
func readMetrics(t testing.TB, page []byte) scraped {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	all, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		t.Fatalf("%v in\n%s", err, page)
	}
	return all
}

func scrapeAll(t testing.TB, s *Server) []byte {
	t.Helper()
	page, err := s.metricsPage(t.Context(), scrape{cons: s.all(), daemon: true}, false)
	if err != nil {
		t.Fatal(err)
	}
	return page.Bytes()
}

// value is the sum of a family's metrics that have all of the labels, given as
// name=value.
func (s scraped) value(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	sum, n := 0.0, 0
	for _, m := range s[name].GetMetric() {
		var have []string
		for _, l := range m.Label {
			have = append(have, l.GetName()+"="+l.GetValue())
		}
		if !slices.ContainsFunc(labels, func(l string) bool { return !slices.Contains(have, l) }) {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			n++
		}
	}
	if n == 0 {
		t.Errorf("there is no %s%v", name, labels)
	}
	return sum
}

// fullServer is a server that has something of every family.
func fullServer(t *testing.T) *Server {
	clearEnvironment(t)
	cert, key := newPair(t, "localhost", year)
	path := write(t, `
[credentials.office]
cert = "c.pem"
key = "k.pem"
[[chardev]]
name = "vm1"
device = "null:"
frontends = ["unix:one"]
  [[chardev.frontend]]
  connect = "unix:there"
  [[chardev.frontend]]
  connect = "unix:there"
[[chardev]]
name = "vm2"
device = "null:"
log = false
[[stream]]
name = "vnc"
listen = "unix:vnc"
connect = "unix:there"
`, map[string]string{"c.pem": string(cert), "k.pem": string(key)})
	s := readyServer(t, path)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	h := s.all()[0].hub
	h.device.Store(&session{hub: h, in: reading{ch: &stuckPort{}}})
	t.Cleanup(func() { h.device.Store(nil) })
	return s
}

// METRICS.md tells of all metrics that are exported, and of no other; they follow
// Prometheus' conventions, and no two are the same.
func TestMetricsAreToldOf(t *testing.T) {
	page := scrapeAll(t, fullServer(t))
	all := readMetrics(t, page)
	var table strings.Builder
	for _, f := range families {
		have := all[f.name]
		if have == nil {
			t.Errorf("%s is not exported", f.name)
			continue
		}
		var labels []string
		for _, l := range have.Metric[0].Label {
			labels = append(labels, l.GetName())
		}
		if !slices.IsSorted(labels) {
			t.Errorf("%s has the labels %v, which are not sorted", f.name, labels)
		}
		name := f.name
		if labels != nil {
			name += "{" + strings.Join(labels, ",") + "}"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", name, f.kind, f.help)
		delete(all, f.name)
	}
	for name := range all {
		if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("%s is in no table", name)
		}
	}
	text, err := os.ReadFile("METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "|---|---|---|\n"+table.String()+"\n") {
		t.Errorf("METRICS.md has another table than this:\n%s", table.String())
	}
	for _, word := range slices.Concat(reasons[:], drops[:], loginResults[:]) {
		if !strings.Contains(string(text), "| `"+word+"` |") {
			t.Errorf("METRICS.md does not tell what %s is", word)
		}
	}
	problems, err := promlint.New(bytes.NewReader(page)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	var names []string
	seen := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		id, _, _ := strings.Cut(line, "} ")
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			names = append(names, name)
		} else if line[0] != '#' && strings.Contains(line, "} ") && seen[id] {
			t.Errorf("twice: %s", line)
		}
		seen[id] = true
	}
	if !slices.IsSorted(names) {
		t.Error("it is not sorted by name")
	}
}

// The dashboard asks for nothing that there is not.
func TestDashboard(t *testing.T) {
	all := readMetrics(t, scrapeAll(t, fullServer(t)))
	text, err := os.ReadFile("../cmd/chardevd/package/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(text) {
		t.Error("it is no JSON")
	}
	asked := regexp.MustCompile(`\b(chardevd|go|process)_\w+`).FindAllString(string(text), -1)
	if len(asked) < 10 {
		t.Errorf("it asks for %q only", asked)
	}
	for _, name := range asked {
		if all[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
}

// What somebody had counts for the frontend when he is gone as well, and every reason
// is there from the start.
func TestMetricsCount(t *testing.T) {
	b := newBench(t, 4<<10, "shared")
	con := consoleOf(b.hub, "vm1", &Endpoint{Address: channel.MustParseAddress("null:")})
	s := serverOf(con)
	at := func() scraped { return readMetrics(t, scrapeAll(t, s)) }
	have := at()
	for _, why := range reasons {
		have.value(t, "chardevd_refused_bytes_total", "reason="+why)
	}
	for _, why := range drops {
		have.value(t, "chardevd_dropped_bytes_total", "reason="+why)
	}
	if n := have.value(t, "chardevd_last_output_timestamp_seconds"); n != 0 {
		t.Errorf("it never printed, and last at %v", n)
	}
	b.plug()
	far, c := b.attach(64<<10, 0, func(c *client) { c.frontend = "attach" })
	b.print(1000)
	readNumbers(t, far, 0, 1000)
	if _, err := far.Write([]byte("12345")); err != nil {
		t.Fatal(err)
	}
	await(t, "the input", func() bool { return c.typed.Load() == 5 })
	want := func(clients float64) {
		t.Helper()
		have := at()
		for name, n := range map[string]float64{
			"chardevd_frontend_clients": clients, "chardevd_frontend_sent_bytes_total": 1000, "chardevd_frontend_received_bytes_total": 5,
			"chardevd_output_bytes_total": 1000, "chardevd_input_bytes_total": 5,
		} {
			if is := have.value(t, name, "chardev=vm1"); is != n {
				t.Errorf("with %v clients %s is %v, want %v", clients, name, is, n)
			}
		}
		if have.value(t, "chardevd_last_output_timestamp_seconds") == 0 {
			t.Error("it never printed")
		}
	}
	want(1)
	far.Close()
	await(t, "it to be gone", func() bool { return len(b.hub.clientInfos()) == 0 })
	want(0)

	// one that lags is behind, and misses what is gone: its channel takes nothing
	_, stuck := b.attach(1, 0, func(c *client) { c.frontend = "attach" })
	b.print(256 << 10)
	b.print(256 << 10)
	await(t, "a lag", func() bool { return at().value(t, "chardevd_frontend_lag_bytes") > 100<<10 })
	stuck.end(errKicked)
	await(t, "it to be cut", func() bool { return len(b.hub.clientInfos()) == 0 })
}

// Who may read some chardevs is told of them, and nothing of the daemon; who may read
// none is told that.
func TestMetricsAreForWhoMayRead(t *testing.T) {
	b := newBench(t, 4<<10, "shared")
	b.hub.name = "vm1"
	s := serverOf(consoleOf(b.hub, "vm1", &Endpoint{Address: channel.MustParseAddress("null:")}))
	s.opened.Store(true)
	c := &control{server: s, ctx: b.ctx}
	ask := func(path, on string, header http.Header) *httptest.ResponseRecorder {
		rules := rulesOf(t, strings.Replace(permit("1", access.Read), "'vm1'", "'"+on+"'", 1))
		b.hub.gate.rules.Store(rules)
		s.gate.rules.Store(rules)
		w := httptest.NewRecorder()
		r := fromProcess(1, httptest.NewRequest("GET", path, nil))
		for k, v := range header {
			r.Header[k] = v
		}
		c.handler().ServeHTTP(w, r)
		return w
	}
	for _, one := range []struct {
		on             string
		status         int
		vm1, ofProcess bool
	}{
		{"*", 200, true, true},
		{"vm1", 200, true, false},
		{"vm2", 403, false, false},
	} {
		w := ask(metricsPath, one.on, nil)
		body := w.Body.String()
		if w.Code != one.status || strings.Contains(body, `{chardev="vm1"}`) != one.vm1 ||
			strings.Contains(body, "\ngo_goroutines ") != one.ofProcess || strings.Contains(body, "\nchardevd_logins_total") != one.ofProcess {
			t.Errorf("on %s: %d %s", one.on, w.Code, body)
		}
		for _, path := range []string{healthPath, readyPath} {
			w := ask(path, one.on, nil)
			if w.Code != 200 || strings.Contains(w.Body.String(), "vm1") != (one.vm1 && path == readyPath) {
				t.Errorf("%s on %s: %d %s", path, one.on, w.Code, w.Body)
			}
		}
	}

	w := ask(metricsPath, "*", http.Header{"Accept-Encoding": {"gzip"}})
	zip, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(zip); err != nil || !strings.Contains(body.String(), "\ngo_goroutines ") {
		t.Errorf("%v, %v: %s", err, w.Header(), body.String())
	}

	if w := ask(metricsPath, "*", http.Header{"Accept-Encoding": {"gzip;q=0"}}); w.Header().Get("Content-Encoding") != "" {
		t.Errorf("who wants no gzip is given that: %v", w.Header())
	}

	s.opened.Store(false)
	var answer Readiness
	w = ask(readyPath, "*", nil)
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 503 || answer.Ready || len(answer.NotOpen) != 1 {
		t.Errorf("before it is ready: %d %s %v", w.Code, w.Body, err)
	} else if got := answer.NotOpen[0]; got != (NotOpen{"vm1", "device", "null:", StateDown, ""}) {
		t.Errorf("not open is %+v", got)
	}
}

// BenchmarkMetrics is a scrape of 5000 idle chardevs, of a frontend each.
func BenchmarkMetrics(b *testing.B) {
	clearEnvironment(b)
	var text strings.Builder
	text.WriteString("[defaults]\nhistory = '4KiB'\n")
	for i := range 5000 {
		fmt.Fprintf(&text, "[[chardev]]\nname = 'console-%04d'\ndevice = 'null:'\nfrontends = ['unix:%04d']\n", i, i)
	}
	cfg, err := Load(write(b, text.String(), nil))
	if err != nil {
		b.Fatal(err)
	}
	s, err := NewServer(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for _, zipped := range []bool{false, true} {
		b.Run(fmt.Sprintf("gzip=%t", zipped), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				page, err := s.metricsPage(b.Context(), scrape{cons: s.all(), daemon: true}, zipped)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(page.Len()), "bytes")
			}
		})
	}
}

// Whatever an address has in it, a label is one.
func TestMetricLabel(t *testing.T) {
	const value = "unix:a\"b\\c\nd=1,{x}"
	page := readMetrics(t, []byte("# TYPE m gauge\nm{"+metricLabel("frontend", value+"\xff")+"} 1\n"))
	if n := page.value(t, "m", "frontend="+value+"\uFFFD"); n != 1 {
		t.Errorf("read is %v", page)
	}
}
