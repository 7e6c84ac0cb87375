package chardev

import (
	"context"
	"encoding/hex"
	"log/slog"
	"sync"
	"time"

	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/accounts"
)

// Sessions outlive the daemon: what is needed to know them again, which is no secret of
// theirs, is in a file of the state folder. It is written whenever one begins or ends, by
// a goroutine that is there only then, so that nobody waits for a disk.

const (
	usedKept = time.Hour       // how old what the file says of when a session was used may be
	keepTime = 5 * time.Second // how long who logs out waits for the file
)

// keeping is how the sessions are kept in a file; the zero value keeps none.
type keeping struct {
	folder accounts.Folder
	store  *accounts.Store // nil: they are not kept
	log    *slog.Logger

	// guarded by webSessions.mu
	changes bool          // since what was last written
	writing chan struct{} // closed when what writes ends; nil: nothing does
	failed  bool          // the file could not be written: told

	all sync.WaitGroup // of what writes
}

// stamp tells the account that somebody has logged in with.
func (k *keeping) stamp(who access.Identity) string {
	if k.store == nil {
		return ""
	}
	return k.store.Stamp(who)
}

// resume begins the sessions of the file again, but for those that are over; all that
// there will be end with ctx at the latest. The store's accounts are in force.
func (a *webSessions) resume(ctx context.Context) {
	k := &a.keeping
	list, err := k.folder.Sessions()
	if err != nil {
		k.log.Error("the sessions that were kept cannot be used: who was logged in has to log in again", "error", err)
	}
	who := k.store.Identities(list)
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ctx = ctx
	k.changes = err != nil
	for i, one := range list {
		var key secretHash
		hex.Decode(key[:], []byte(one.SHA256)) // as it was seen to be right
		ends := one.Ends
		if latest := now.Add(sessionLasts); ends.After(latest) {
			ends = latest
		}
		used := one.Used
		if used.After(now) {
			used = now
		}
		if len(who[i].Names) == 0 || !now.Before(ends) || now.Sub(used) >= sessionIdle || len(a.sessions) == sessionsMost {
			k.changes = true
			continue
		}
		a.add(key, who[i], one.Stamp, used, ends)
	}
	if k.changes {
		a.changed()
	}
}

// changed has the file written. Called with mu held.
func (a *webSessions) changed() {
	k := &a.keeping
	if k.store == nil {
		return
	}
	k.changes = true
	if k.writing == nil {
		k.writing = make(chan struct{})
		k.all.Go(a.write)
	}
}

// write writes the file until nothing has changed meanwhile.
func (a *webSessions) write() {
	k := &a.keeping
	for {
		a.mu.Lock()
		if !k.changes {
			close(k.writing)
			k.writing = nil
			a.mu.Unlock()
			return
		}
		k.changes = false
		list := a.snapshot()
		told := k.failed
		a.mu.Unlock()
		err := k.folder.KeepSessions(list)
		if err != nil && !told {
			k.log.Error("sessions cannot be kept: when chardevd starts again, who is logged in may have to log in again", "error", err)
		}
		a.mu.Lock()
		k.failed = err != nil
		a.mu.Unlock()
	}
}

// snapshot is what the file is to say. Called with mu held.
func (a *webSessions) snapshot() []accounts.Session {
	now := time.Now()
	list := []accounts.Session{}
	for key, s := range a.sessions {
		if s.held > 0 {
			s.used = now
		}
		s.kept = s.used
		if s.stamp == "" { // its account was gone when it began
			continue
		}
		list = append(list, accounts.Session{
			SHA256: hex.EncodeToString(key[:]), Account: s.who.String(), Stamp: s.stamp,
			Used: s.used.UTC().Truncate(time.Second), Ends: s.ends.UTC().Truncate(time.Second),
		})
	}
	return list
}

// keep writes when the sessions were last used, and waits until that is done: for as long
// as the disk takes.
func (a *webSessions) keep() {
	a.mu.Lock()
	if len(a.sessions) > 0 {
		a.changed()
	}
	a.mu.Unlock()
	a.keeping.all.Wait()
}
