package chardev

import (
	"cmp"
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

// credentials are one [credentials.NAME].
type credentials struct {
	at     spot
	loaded *channel.Credentials // nil if something is wrong with it
	files  channel.CredentialFiles
}

// readCredentials reads all [credentials.NAME] of a file, in its order.
func (l *loader) readCredentials(v *value) {
	const what = "tables, each of which begins with [credentials.NAME]"
	all, ok := v.table("[credentials]", what)
	if !ok {
		return
	}
	names := make([]string, 0, len(all.vals))
	for name := range all.vals {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return all.node.Keys[a].Key - all.node.Keys[b].Key })
	for _, name := range names {
		v, _ := all.get(name)
		v.name = "credentials." + name
		t, ok := v.table("[credentials."+name+"]", what)
		if !ok {
			continue
		}
		c := l.loadCredentials(t)
		at := spot{t.src, v.node.Key}
		switch first := l.credentials[name]; {
		case name == "":
			l.mistake(at, "credentials want a name: [credentials.NAME]")
		case first != nil:
			l.mistake(at, "credentials %q are there already, at %s; give these another name", name, first.at)
		default:
			c.at = at
			l.credentials[name] = c
			l.cfg.Credentials[name] = c.loaded
		}
	}
}

// loadCredentials reads one [credentials.NAME] and opens its files. Each part is
// loaded alone as well, so that its mistakes are told at its key.
func (l *loader) loadCredentials(t *table) *credentials {
	c := new(credentials)
	right := true
	part := func(key string, to *string) *value {
		v, ok := t.get(key)
		if !ok {
			return nil
		}
		path, ok := v.text(`a PEM file, like "server.pem"`)
		if ok && strings.ContainsRune(path, 0) {
			v.failf("a NUL byte in the path")
			ok = false
		}
		if ok {
			*to = absolute(path, t.src)
			if err := checkRegular(*to); err != nil {
				v.failf("%s: %s", *to, err)
				ok = false
			}
		}
		if !ok {
			right = false
			return nil
		}
		return v
	}
	cert, key := part("cert", &c.files.Cert), part("key", &c.files.Key)
	clientCA, ca := part("client_ca", &c.files.ClientCA), part("ca", &c.files.CA)
	t.done()

	_, hasCert := t.vals["cert"]
	_, hasKey := t.vals["key"]
	switch {
	case hasCert && !hasKey:
		t.missingf("%s has a cert, but no key; give key = \"…\", the file of its private key", t.name)
		right = false
	case hasKey && !hasCert:
		t.missingf("%s has a key, but no cert; give cert = \"…\", the file of its certificate", t.name)
		right = false
	case len(t.vals) == 0:
		t.missingf("%s names no file; give it cert and key, ca, or client_ca", t.name)
		right = false
	}

	try := func(v *value, f channel.CredentialFiles) {
		_, err := channel.LoadCredentials(f)
		if err == nil {
			return
		}
		right = false
		for _, err := range flatten(err) {
			at, text := v, err.Error()
			if f.Key != "" && strings.HasPrefix(text, "key ") {
				at = key
			}
			at.failf("%s", strings.TrimPrefix(text, at.name+" "))
		}
	}
	if cert != nil && key != nil {
		try(cert, channel.CredentialFiles{Cert: c.files.Cert, Key: c.files.Key})
	}
	if clientCA != nil {
		try(clientCA, channel.CredentialFiles{ClientCA: c.files.ClientCA})
	}
	if ca != nil {
		try(ca, channel.CredentialFiles{CA: c.files.CA})
	}
	if right {
		var err error
		if c.loaded, err = channel.LoadCredentials(c.files); err != nil {
			t.missingf("%s: %s", t.name, err)
		}
	}
	return c
}
