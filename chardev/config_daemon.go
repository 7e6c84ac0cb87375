package chardev

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"chardevd/channel"
)

// environmentDir returns the folder that systemd made for the daemon, "" if
// there is none. The variable may list several with colons (systemd.exec(5));
// the first is ours.
func environmentDir(variable string) string {
	dir, _, _ := strings.Cut(os.Getenv(variable), ":")
	if !filepath.IsAbs(dir) {
		return ""
	}
	return dir
}

// state reads where the daemon keeps what must outlive it.
func (l *loader) state(t *table) {
	l.cfg.State = cmp.Or(environmentDir("STATE_DIRECTORY"), filepath.Join(t.src.dir, "state"))
	v, ok := t.get("state")
	if !ok {
		return
	}
	dir, ok := v.text(`a folder, like "/var/lib/chardevd"`)
	if !ok {
		return
	}
	if strings.ContainsRune(dir, 0) {
		v.failf("a NUL byte in the path")
		return
	}
	l.cfg.State = absolute(dir, t.src)
	if info, err := os.Stat(l.cfg.State); err == nil && !info.IsDir() {
		v.failf("%s is no folder", describe(dir))
	}
}

// absolute resolves a path of a config file against the file's folder.
func absolute(path string, src *source) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(src.dir, path)
}

// control reads where the daemon's own commands reach it.
func (l *loader) control(t *table) {
	v, ok := t.get("control")
	if !ok {
		dir := cmp.Or(environmentDir("RUNTIME_DIRECTORY"), l.cfg.State)
		l.cfg.Control = channel.Address{Transport: "unix", Where: filepath.Join(dir, "control")}
		if len(l.cfg.Control.Where) > channel.MaxSocketPath {
			at := spot{t.src, 0}
			if n := t.node.Keys["state"]; n != nil {
				at.offset = n.Key
			}
			l.mistake(at, "control: %q would be its path, which is longer than the %d bytes of a UNIX path; give control = \"unix:…\" with a shorter one", l.cfg.Control.Where, channel.MaxSocketPath)
		}
		l.uses = append(l.uses, &use{what: "the control socket", address: l.cfg.Control, listen: true, at: spot{t.src, -1}})
		return
	}
	const what = `a UNIX socket, like "unix:/run/chardevd/control"`
	a, ok := l.addressOr(v, what)
	if !ok {
		return
	}
	if a.Transport != "unix" || len(a.Layers) > 0 {
		v.want(what)
		return
	}
	l.cfg.Control = a
	if dir := filepath.Dir(a.File()); a.File() != "" && !strings.HasPrefix(l.cfg.State+"/", dir+"/") { // the state folder is made, and those above it
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			l.warn(v.spot(), "control: there is no folder %s yet; chardevd does not start without it", describe(dir))
		}
	}
	l.uses = append(l.uses, &use{what: "the control socket", address: a, listen: true, value: v, at: v.spot()})
}

// http reads where pages and API are to be served.
func (l *loader) http(t *table) {
	v, ok := t.get("http")
	if !ok {
		return
	}
	h, ok := v.table("[http]", "a table [http]")
	if !ok {
		return
	}
	if v, ok := h.get("listen"); ok {
		for _, e := range v.list(`a list of addresses, like ["tcp://127.0.0.1:7681"]`) {
			a, ok := l.address(e)
			if !ok {
				continue
			}
			if i := slices.IndexFunc(a.Layers, func(l string) bool { return l != "tls" }); i >= 0 {
				e.failf("%s: http is spoken over tls or nothing; leave out %s", describe(e.v), a.Layers[i])
				continue
			}
			l.cfg.HTTP.Listen = append(l.cfg.HTTP.Listen, Endpoint{Address: a, Listen: true, Pos: e.spot().String()})
			l.uses = append(l.uses, &use{what: "http", http: true, address: a, listen: true, value: e, at: e.spot()})
		}
	} else {
		h.missingf(`[http] has no listen; give it listen = ["tcp://127.0.0.1:7681"]`)
	}
	l.cfg.HTTP.Origins = h.checked("origin", `["https://ops.example"]`, channel.CheckOrigin)
	l.cfg.HTTP.Hosts = h.checked("host", `["ops.example"]`, channel.CheckHostName)
	l.cfg.HTTP.Proxies = parseProxies(h.checked("proxies", `["127.0.0.1", "10.0.0.0/8", "unix"]`, checkProxy))
	if v, ok := h.get("base"); ok {
		if text, ok := v.text(`a path, like "/consoles"`); ok {
			if err := checkBase(text); err != nil {
				v.failf("%s", err)
			}
			l.cfg.HTTP.Base = text
		}
	}
	h.done()
}

// checked are the texts of a key, of a list of them, that pass a check.
func (t *table) checked(key, example string, check func(string) error) []string {
	v, ok := t.get(key)
	if !ok {
		return nil
	}
	var right []string
	for _, e := range v.list("a list, like " + example) {
		text, ok := e.text("a text, as in " + example)
		if !ok {
			continue
		}
		if err := check(text); err != nil {
			e.failf("%s", err)
			continue
		}
		right = append(right, text)
	}
	return right
}
