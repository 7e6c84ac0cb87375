package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// promtool says whether Prometheus' own tool finds anything wrong with metrics.
func promtool(t testing.TB, page string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(cache, "chardevd", "promtool"), "check", "metrics")
	cmd.Stdin = strings.NewReader(page)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool (integration/install.sh fetches it): %v\n%s", err, out)
	}
}

// page asks the control socket for what is not below /api/v1.
func (d *daemon) page(path string) (status int, body string) {
	d.t.Helper()
	r, err := d.api.Get("http://localhost" + path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

// What is scraped of a daemon is right in form and in number, at the control socket and
// by a token; who may read some is told of those, and who may read none of nothing; and
// that it is alive and ready anybody is told.
func TestMetrics(t *testing.T) {
	t.Parallel()
	d := newDoor(t, "[[access]]\nwho = \"token:ci\"\nmay = \"read\"\non = \"*\"\n[[access]]\nwho = \"anyone\"\nmay = \"read\"\non = \"none-such\"\n")
	ci := map[string]string{"Authorization": "Bearer " + d.token}
	sum := func(line string) func() error {
		return func() error {
			if _, page := d.page("/metrics"); !strings.Contains(page, "\n"+line+"\n") {
				return fmt.Errorf("no %q in\n%s", line, page)
			}
			return nil
		}
	}
	eventually(t, patience, sum(fmt.Sprintf(`chardevd_output_bytes_total{chardev="vm"} %d`, len(secretText))))
	a := d.attach()
	d.has("vm", 1)
	eventually(t, patience, sum(`chardevd_frontend_clients{chardev="vm",frontend="attach"} 1`))
	a.kill()
	d.has("vm", 0)
	eventually(t, patience, sum(`chardevd_frontend_clients{chardev="vm",frontend="attach"} 0`))

	answer, page := d.asks("GET", "/metrics", "", ci)
	if answer.StatusCode != 200 || !strings.Contains(page, "\nprocess_start_time_seconds ") || !strings.Contains(page, `chardevd_certificate_expiry_timestamp_seconds{credentials="mutual"} `) {
		t.Errorf("by the token: %s\n%s", answer.Status, page)
	}
	promtool(t, page)
	for path, status := range map[string]int{"/metrics": 403, "/healthz": 200, "/readyz": 200} {
		if answer, body := d.asks("GET", path, "", nil); answer.StatusCode != status || strings.Contains(body, `vm"`) {
			t.Errorf("%s, by anybody: %s %s", path, answer.Status, body)
		}
	}
	d.guest.Close() // and nobody comes
	var answered struct {
		Ready   bool
		NotOpen []struct{ Chardev, Kind string } `json:"not_open"`
	}
	eventually(t, patience, func() error {
		_, body := d.page("/readyz")
		if err := json.Unmarshal([]byte(body), &answered); err != nil || !answered.Ready {
			return fmt.Errorf("%w: %s", err, body)
		}
		return nil
	})
}

// Scrapers that do not read hold up nobody: not those that do, not who is attached. Of
// very many the oldest are cut.
func TestScrapersThatDoNotRead(t *testing.T) {
	var config strings.Builder
	config.WriteString("[defaults]\nlog = false\n[[chardev]]\nname = \"vm\"\ndevice = \"sim:echo\"\nfrontends = [\"unix:front\"]\n")
	for i := range 200 { // more than a socket takes
		fmt.Fprintf(&config, "[[chardev]]\nname = \"n%d\"\ndevice = \"null:\"\n", i)
	}
	d := startDaemon(t, config.String(), nil)
	front := dial(t, "unix", d.path("front"))
	var all []*bufio.Reader
	for range 24 {
		c := dialSilent(t, "unix", d.path("control")).Conn
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
		r := bufio.NewReader(c)
		if _, err := r.Peek(1); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	front.echoes(t, "beside those who do not read\r")
	status, page := d.page("/metrics")
	if status != http.StatusOK {
		t.Errorf("beside them: %d %s", status, page)
	}
	cut := 0
	for i, r := range all {
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		_, err = body.ReadFrom(answer.Body)
		answer.Body.Close()
		switch {
		case err != nil && i == cut:
			cut++
		case err != nil:
			t.Errorf("number %d was cut, and older ones were not: %v", i, err)
		case body.Len() < 256<<10:
			t.Fatalf("the answer has %d bytes, which a socket takes", body.Len())
		}
	}
	if most := 16; cut < len(all)-most || cut > len(all)-most+1 {
		t.Errorf("%d of %d were cut, want all but %d", cut, len(all), most)
	}
}
