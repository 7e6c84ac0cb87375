package chardev

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"chardevd/channel"
)

// A keyring has all [credentials.NAME] of a daemon. They follow their files: what
// has changed holds from the next handshake on, and no session is cut. New files
// that are wrong leave the old ones in force.
type keyring struct {
	log       *slog.Logger
	byName    atomic.Pointer[map[string]*keys] // which is never changed in its place
	following *life                            // of keep; nil: nothing is followed
}

// keys are one [credentials.NAME] at run time.
type keys struct {
	files channel.CredentialFiles
	now   atomic.Pointer[channel.Credentials]

	// owned by keep
	wrong string    // what is wrong with the files: told, if not ""
	told  time.Time // when it was last told that they expire
}

// How long files may be wrong before it is told: a certificate and its key are
// replaced one after the other.
const replaceTime = time.Second

// newKeyring takes them as they were when the config was read, which also told
// what expires soon.
func newKeyring(cfg map[string]*CredentialsConfig, log *slog.Logger) *keyring {
	k := &keyring{log: log}
	k.byName.Store(new(k.keysOf(cfg)))
	return k
}

// named are all of them.
func (k *keyring) named() map[string]*keys { return *k.byName.Load() }

// keysOf are those of a config, of which those whose files are the same are those that
// there are.
func (k *keyring) keysOf(cfg map[string]*CredentialsConfig) map[string]*keys {
	var old map[string]*keys
	if k.byName.Load() != nil {
		old = k.named()
	}
	all := map[string]*keys{}
	for name, c := range cfg {
		if one := old[name]; one != nil && one.files == c.Files {
			all[name] = one
			continue
		}
		one := &keys{files: c.Files}
		one.now.Store(c.Loaded)
		if due, _ := c.Loaded.Expiring(time.Now()); len(due) > 0 {
			one.told = time.Now()
		}
		all[name] = one
	}
	return all
}

// replace has the credentials of another config in place of those that there are. New
// handshakes get them; nobody is cut.
func (k *keyring) replace(cfg map[string]*CredentialsConfig, run *running) {
	if k.following != nil {
		k.following.stop(errReloaded)
		k.following = nil
	}
	k.byName.Store(new(k.keysOf(cfg)))
	k.start(run.api, &run.work)
}

// start follows the files, if there are any, until ctx ends; wg counts it.
func (k *keyring) start(ctx context.Context, wg *sync.WaitGroup) {
	if len(k.named()) == 0 {
		return
	}
	var paths []string
	for _, one := range k.named() {
		paths = append(paths, one.files.Paths()...)
	}
	watch, err := channel.WatchFiles(paths...)
	var changed <-chan struct{}
	if err != nil {
		k.log.Error("certificates that are replaced will not be noticed: remove the cause and restart chardevd", "error", err)
	} else {
		changed = watch.C
	}
	k.following = new(life)
	following := k.following
	following.begin(ctx)
	following.work.Add(1)
	wg.Go(func() {
		defer following.work.Done()
		if watch != nil {
			defer watch.Close()
		}
		k.keep(following, changed)
	})
}

// keep reads files that have changed, and warns of what expires. There is one timer
// for each of the two, and none runs for nothing.
func (k *keyring) keep(ctx context.Context, changed <-chan struct{}) {
	wrong := k.reload(false) // what has changed since the config was read
	for {
		var settled, expires <-chan time.Time
		if wrong {
			settled = time.After(replaceTime)
		}
		if next := k.warn(time.Now()); !next.IsZero() {
			expires = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
			wrong = k.reload(false)
		case <-settled:
			k.reload(true)
			wrong = false
		case <-expires:
			// New files may be there that were not valid yet, or on a file system
			// that tells nothing.
			k.reload(true)
		}
	}
}

// expiries calls f with when each of them ends, as a Unix time, by name; but for those
// that never do.
func (k *keyring) expiries(f func(name string, at float64)) {
	named := k.named()
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if at := named[name].now.Load().Expiry(); !at.IsZero() {
			f(name, float64(at.Unix()))
		}
	}
}

// reload reads all files again. With tell, it tells what is wrong; else it says
// whether there is something to be told that was not yet.
func (k *keyring) reload(tell bool) (wrong bool) {
	for name, one := range k.named() {
		old := one.now.Load()
		next, err := old.Reload(one.files)
		switch {
		case err == nil && next == old:
			one.wrong = ""
		case err == nil:
			one.wrong = ""
			one.now.Store(next)
			for _, w := range next.Warnings {
				k.log.Warn("credentials: "+w.Error(), "credentials", name)
			}
			k.log.Info("credentials were replaced: new connections get the new ones", "credentials", name, "expires", next.Expiry())
		case err.Error() == one.wrong:
		case tell:
			one.wrong = err.Error()
			k.log.Error("the new files of credentials are wrong: the old ones stay in force", "credentials", name, "error", err)
		default:
			wrong = true
		}
	}
	return wrong
}

// warnAgain is how long nothing more is told of what expires.
const warnAgain = 24 * time.Hour

// warn tells what expires soon, of each credentials once a day at most, and returns
// when there will be something to tell; zero: never.
func (k *keyring) warn(now time.Time) (next time.Time) {
	for name, one := range k.named() {
		due, at := one.now.Load().Expiring(now)
		if again := one.told.Add(warnAgain); len(due) > 0 && now.Before(again) {
			at = again
		} else if len(due) > 0 {
			one.told = now
			at = now.Add(warnAgain)
			for _, d := range due {
				k.log.Warn("credentials: "+d.Error(), "credentials", name)
			}
		}
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}
