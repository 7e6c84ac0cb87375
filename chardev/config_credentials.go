package chardev

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"chardevd/channel"
)

// credentials are one [credentials.NAME].
type credentials struct {
	at     spot
	loaded *channel.Credentials // nil if something is wrong with it
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
		c, config := l.loadCredentials(t)
		at := spot{t.src, v.node.Key}
		switch first := l.credentials[name]; {
		case name == "":
			l.mistake(at, "credentials want a name: [credentials.NAME]")
		case first != nil:
			l.mistake(at, "credentials %q are there already, at %s; give these another name", name, first.at)
		default:
			c.at = at
			l.credentials[name] = c
			l.cfg.Credentials[name] = config
		}
	}
}

// loadCredentials reads one [credentials.NAME] and its files. A mistake in a file
// is told at the file's key, or, where a key is missing, at the table's header.
func (l *loader) loadCredentials(t *table) (*credentials, *CredentialsConfig) {
	parts, paths := map[string]*value{}, map[*value]string{}
	right := true
	part := func(key, what string, to *string) {
		v, ok := t.get(key)
		if !ok {
			return
		}
		path, ok := v.text(what)
		if ok && strings.ContainsRune(path, 0) {
			v.failf("a NUL byte in the path")
			ok = false
		}
		if !ok {
			right = false
			return
		}
		if *to, ok = v.credentialPath(path, t.src); !ok {
			right = false
			return
		}
		parts[key], paths[v] = v, *to
	}
	const pem = `a PEM file, like "server.pem"`
	config := new(CredentialsConfig)
	f := &config.Files
	part("cert", pem, &f.Cert)
	part("key", pem, &f.Key)
	part("client_ca", pem, &f.ClientCA)
	part("ca", pem, &f.CA)
	part("crl", pem, &f.CRL)
	part("passphrase_file", `a file, like "passphrase"`, &f.Passphrase)
	part("dir", `a folder, like "/etc/pki/qemu"`, &f.Dir)
	t.done()
	if !right { // what can be told without the rest is told now
		for v, path := range paths {
			if _, err := os.Stat(path); err != nil {
				v.failf("%s: %s", path, errors.Unwrap(err))
			}
		}
		return new(credentials), config
	}

	loaded, err := channel.LoadCredentials(*f)
	if err != nil {
		for _, err := range flatten(err) {
			ce, ok := errors.AsType[*channel.CredentialError](err)
			switch {
			case !ok || parts[ce.Part] == nil:
				t.missingf("%s: %s", t.name, err)
			case ce.File == "":
				parts[ce.Part].failf("%s", ce.Err)
			default:
				parts[ce.Part].failf("%s: %s", ce.File, ce.Err)
			}
		}
		return new(credentials), config
	}
	due, _ := loaded.Expiring(time.Now())
	for _, ce := range append(loaded.Warnings, due...) {
		at, lines := parts[ce.Part].place()
		l.warn(at, "%s%s: %s: %s", ce.Part, lines, ce.File, ce.Err)
	}
	config.Loaded = loaded
	return &credentials{loaded: loaded}, config
}

// passedCredentials begins the path of a file that systemd passes: LoadCredential= and
// the like of systemd.exec(5).
const passedCredentials = "$CREDENTIALS_DIRECTORY/"

// credentialPath resolves the path of a file or folder of credentials. One that systemd
// passes is in the folder that the environment names.
func (v *value) credentialPath(path string, src *source) (string, bool) {
	name, passed := strings.CutPrefix(path, passedCredentials)
	if !passed {
		return absolute(path, src), true
	}
	dir := environmentDir("CREDENTIALS_DIRECTORY")
	if dir == "" {
		v.failf("CREDENTIALS_DIRECTORY is not set: systemd sets it for a unit with LoadCredential=%s:/its/path; to check this file by hand, set it to a folder with the same names", name)
		return "", false
	}
	return filepath.Join(dir, name), true
}
