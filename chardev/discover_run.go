package chardev

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"chardevd/channel"
)

// lookPause is how far apart looks are at least: what comes and goes meanwhile is one
// change.
const lookPause = 50 * time.Millisecond

// discover looks when something may be another, until ctx ends.
func (s *Server) discover(ctx context.Context) {
	l := &discovering{discovery: &s.discovery, server: s, watch: channel.WatchGlobs()}
	defer func() { l.watch.Close() }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		attending := l.attending
		var left <-chan struct{}
		if attending != nil {
			left = attending.wake
		}
		select {
		case <-ctx.Done():
			l.attend(false)
			return
		case <-l.other:
		case <-l.watch.C:
		case <-timer.C:
		case <-left:
		}
		if attending != nil {
			attending.clear()
		}
		due := l.look()
		timer.Stop()
		if !due.IsZero() {
			timer.Reset(time.Until(due))
		}
		if sleep(ctx, lookPause) != nil {
			l.attend(false)
			return
		}
	}
}

// A discovering is Server.discover; its fields belong to that.
type discovering struct {
	*discovery
	server    *Server
	globs     []*DiscoverConfig // of watch
	watch     *channel.GlobWatch
	trouble   string   // what was told of looking
	attending *watcher // of chardevs that go when nobody is attached any more; nil: there are none
}

// retryLook is how long it takes to look again where something cannot be watched.
const retryLook = 10 * time.Second

// look looks once, and does what is another. due is when to look again in any case; zero: not at all.
func (l *discovering) look() (due time.Time) {
	s := l.server
	cfg := s.config()
	if !slices.Equal(l.globs, cfg.Discover) {
		l.rewatch(cfg)
	}
	matches, err := l.watch.Look()
	text := ""
	if err != nil {
		text, due = err.Error(), time.Now().Add(retryLook)
	}
	if text != l.trouble && err != nil {
		s.log.Warn("not all can be discovered", "error", err)
	}
	l.trouble = text
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.run == nil || s.run.front.Err() != nil || !slices.Equal(l.globs, s.cfg.Discover) {
		return due // with other globs, other has a value
	}
	next, c, soon := l.settle(s.cfg, matches, time.Now())
	if !soon.IsZero() && (due.IsZero() || soon.Before(due)) {
		due = soon
	}
	if len(c.Lines) > 0 {
		if err := s.enforce(next, &c, theDaemon{}, "discover"); err != nil {
			s.log.Error("discover", "error", err)
		}
	}
	l.attend(l.overdue(time.Now()))
	return due
}

// rewatch watches the globs of another config.
func (l *discovering) rewatch(cfg *Config) {
	globs := globsOf(cfg)
	for _, one := range cfg.Discover {
		if len(one.wants) > 0 {
			udev, err := channel.ParseGlob(filepath.Join(globQuoter.Replace(l.udev), "c*"))
			if err == nil { // and it is one
				globs = append(globs, udev)
			}
			break
		}
	}
	l.watch.Close()
	l.globs, l.watch = cfg.Discover, channel.WatchGlobs(globs...)
}

// overdue says whether there are chardevs that stay only because somebody is attached.
func (d *discovery) overdue(at time.Time) bool {
	for _, f := range d.found {
		if f.config != nil && !f.gone.IsZero() && !at.Before(f.gone.Add(f.from.Linger)) {
			return true
		}
	}
	return false
}

// attend watches who leaves, or does so no longer.
func (l *discovering) attend(on bool) {
	switch {
	case on && l.attending == nil:
		l.attending = l.server.board.watch(happened) // and looks at once
	case !on && l.attending != nil:
		l.attending.leave()
		l.attending = nil
	}
}

// attended says whether somebody is attached to a chardev who has come by himself, or
// may be, as it is not begun yet.
func (s *Server) attended(name string) bool {
	con := s.console(name)
	if con == nil {
		return s.consoles.Load() == nil
	}
	h := con.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.clients, func(c *client) bool { return c.via == nil || c.via.ep.Listen })
}
