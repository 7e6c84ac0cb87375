package chardev

import (
	"cmp"
	"os"
	"path/filepath"
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
	a, ok := l.address(v)
	if !ok {
		return
	}
	if a.Transport != "unix" || len(a.Layers) > 0 {
		v.failf("want a UNIX socket, like \"unix:/run/chardevd/control\", have %s", describe(v.v))
		return
	}
	l.cfg.Control = a
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
	l.warn(h.header(), "[http]: pages and API over http come in a later version; not served yet")
	if v, ok := h.get("listen"); ok {
		for _, e := range v.list(`a list of addresses, like ["tcp://127.0.0.1:7681"]`) {
			a, ok := l.address(e)
			if !ok {
				continue
			}
			if a.Has("ws") {
				e.failf("%s: http runs under websocket, not over it; leave out ws", describe(e.v))
				continue
			}
			l.cfg.HTTP = append(l.cfg.HTTP, a)
			l.uses = append(l.uses, &use{what: "http", address: a, listen: true, value: e, at: e.spot()})
		}
	} else {
		h.missingf(`[http] has no listen; give it listen = ["tcp://127.0.0.1:7681"]`)
	}
	h.done()
}
