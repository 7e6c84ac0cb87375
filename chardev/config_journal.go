package chardev

import (
	"path/filepath"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/accounts"
)

// What the journal is without a word in the file.
var (
	builtinLog     = LogConfig{Enabled: true, MaxSize: 4 * mib, Keep: 4}
	builtinJournal = JournalConfig{MaxTotal: 20 * gib, Sync: 5 * time.Second}
)

// The largest limits that can be given; what is to have none leaves them out.
const (
	maxSegment  = 1024 * gib
	maxJournals = 1024 * maxSegment
	maxLogAge   = 36500 * day
)

// journal reads what holds for the journals of all chardevs together. It comes
// before them, so that theirs can be held against it.
func (l *loader) journal(t *table) {
	l.cfg.Journal = builtinJournal
	v, ok := t.get("journal")
	if !ok {
		return
	}
	j, ok := v.table("[journal]", "a table [journal]")
	if !ok {
		return
	}
	// Below a segment of the usual size no chardev could have its journal by default.
	j.size("max_total", &l.cfg.Journal.MaxTotal, builtinLog.MaxSize, maxJournals)
	j.duration("sync", &l.cfg.Journal.Sync, 0, time.Hour)
	j.done()
	if v, ok := j.get("max_total"); ok {
		l.total = v
	}
}

// log reads what the journal of a chardev is to keep.
func (l *loader) log(v *value, c *LogConfig) {
	if on, ok := v.v.(bool); ok {
		*c = LogConfig{}
		if on {
			*c = builtinLog
		}
		return
	}
	t, ok := v.table("log", "true, false or a table of max_size, max_span, keep, max_age, max_total and compress")
	if !ok {
		return
	}
	*c = builtinLog
	t.size("max_size", &c.MaxSize, 64*kib, maxSegment)
	t.duration("max_span", &c.MaxSpan, time.Second, maxLogAge)
	t.number("keep", &c.Keep, 1, 10000)
	t.duration("max_age", &c.MaxAge, time.Minute, maxLogAge)
	t.size("max_total", &c.MaxTotal, 64*kib, maxJournals)
	t.flag("compress", &c.Compress)
	t.done()
	size, sized := t.get("max_size")
	total, limited := t.get("max_total")
	if limited && c.MaxTotal < c.MaxSize {
		second := total
		if sized && size.key > total.key {
			second = size
		}
		l.tooLarge(second, "max_total", c.MaxTotal, c.MaxSize)
	}
	if sized && l.total != nil && l.cfg.Journal.MaxTotal < c.MaxSize {
		second := size
		if l.total.spot().compare(size.spot()) > 0 {
			second = l.total
		}
		l.tooLarge(second, "max_total of [journal]", l.cfg.Journal.MaxTotal, c.MaxSize)
	}
}

// tooLarge reports segments of which not even one is within a limit.
func (l *loader) tooLarge(second *value, limit string, total, size int64) {
	at := spot{second.t.src, second.key}
	l.mistake(at, "%s %s is less than max_size %s, of one segment; give it more, or max_size less", limit, channel.FormatSize(total), channel.FormatSize(size))
}

// folders reports chardevs whose journal would have to be where the daemon has
// something else.
func (l *loader) folders() {
	taken := map[string]string{
		filepath.Join(l.cfg.State, lockFile):               "the lock of the state folder",
		filepath.Join(l.cfg.State, accounts.TokensFile):    "the file of the tokens",
		filepath.Join(l.cfg.State, accounts.UsersFile):     "the file of the users",
		filepath.Join(l.cfg.State, accounts.SessionsFile):  "the file of the sessions",
		filepath.Join(l.cfg.State, channel.SelfSignedFile): "the self-signed certificate",
		filepath.Clean(l.cfg.Control.File()):               "the control socket",
	}
	if l.cfg.Audit != "" {
		taken[l.cfg.Audit] = "the audit log"
	}
	for _, u := range l.uses {
		f := u.address.File()
		if f == "" {
			continue
		}
		f = filepath.Clean(f)
		if f == l.cfg.Audit && u.value != nil {
			u.failf("that file is the audit log")
		}
		if u.listen && u.value != nil && l.isConfig(f) {
			u.failf("the config is read from there: what is no file would have it be wrong")
		}
		taken[f] = u.what
	}
	for _, c := range l.cfg.Chardevs {
		folder := filepath.Join(l.cfg.State, c.Name)
		if what := taken[folder]; what != "" && c.Log.Enabled && c.Name != "" {
			l.mistake(l.names[c.Name], "name: its journal would be in the folder %s, where %s is; give it another name, or log = false", folder, what)
		}
	}
}
