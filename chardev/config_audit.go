package chardev

import (
	"os"
	"path/filepath"
	"strings"
)

// auditFile is the audit log in the state folder.
const auditFile = "audit.jsonl"

// auditBeside is where the audit log of next is while the daemon keeps its state folder, which
// is until a restart: the default one is in that.
func (c *Config) auditBeside(next *Config) string {
	if next.Audit == filepath.Join(next.State, auditFile) {
		return filepath.Join(c.State, auditFile)
	}
	return next.Audit
}

// audit reads whether and where the audit log is kept: audit = true (the default),
// false, or a file, whose folder must be there.
func (l *loader) audit(t *table) {
	l.cfg.Audit = filepath.Join(l.cfg.State, auditFile)
	v, ok := t.get("audit")
	if !ok {
		return
	}
	if on, ok := v.v.(bool); ok {
		if !on {
			l.cfg.Audit = ""
		}
		return
	}
	file, ok := v.text(`true, false or a file, like "/var/log/chardevd/audit.jsonl"`)
	if !ok {
		return
	}
	if strings.ContainsRune(file, 0) {
		v.failf("a NUL byte in the path")
		return
	}
	l.cfg.Audit = absolute(file, t.src)
	if info, err := os.Stat(filepath.Dir(l.cfg.Audit)); err != nil || !info.IsDir() {
		v.failf("there is no folder %s; make it, or give another file", describe(filepath.Dir(l.cfg.Audit)))
	}
	if info, err := os.Stat(l.cfg.Audit); err == nil && !info.Mode().IsRegular() {
		v.failf("%s is no regular file", describe(file))
	}
}
