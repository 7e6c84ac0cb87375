package chardev

import (
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/accounts"
)

// A sessionRig is a state folder with a token "ci" and a user "alice", and what daemons
// log that use it.
type sessionRig struct {
	t      *testing.T
	folder accounts.Folder
	token  string
	log    strings.Builder
}

func newSessionRig(t *testing.T) *sessionRig {
	r := &sessionRig{t: t, folder: accounts.Folder{Dir: t.TempDir()}}
	var err error
	if r.token, err = r.folder.AddToken("ci", []string{"staff"}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := r.folder.AddUser("alice", alicesPassword, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// start begins the sessions of another daemon.
func (r *sessionRig) start() (*webSessions, *accounts.Store) {
	store := accounts.NewStore(r.folder.Dir, nil)
	if _, err := store.Reload(time.Now()); err != nil {
		r.t.Fatal(err)
	}
	all := newWebSessions()
	all.keeping = keeping{folder: r.folder, store: store, log: slog.New(slog.NewTextHandler(&r.log, nil))}
	all.resume(r.t.Context())
	return all, store
}

// who are tokens ci and users alice, as they log in.
func (r *sessionRig) who(store *accounts.Store) (ci, alice access.Identity) {
	ci, err := store.Token(r.t.Context(), r.token, accounts.FromUser(7))
	if err == nil {
		alice, err = store.Password(r.t.Context(), "alice", alicesPassword, accounts.FromUser(7))
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return ci, alice
}

func (r *sessionRig) file() string {
	text, err := os.ReadFile(filepath.Join(r.folder.Dir, accounts.SessionsFile))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// Who has logged in is so after a restart, as whoever his account says; but not who has
// logged out, nor whose account is gone or another one, nor for longer than without.
func TestSessionsOutliveTheDaemon(t *testing.T) {
	r := newSessionRig(t)
	all, store := r.start()
	ci, alice := r.who(store)
	hers, _ := all.begin(alice)
	its, _ := all.begin(ci)
	out, s := all.begin(alice)
	<-all.logOut(s)
	if strings.Contains(r.file(), hashText(out)) || !strings.Contains(r.file(), hashText(hers)) || strings.Contains(r.file(), hers) {
		t.Errorf("when one has logged out the file says %s", r.file())
	}
	if info, err := os.Stat(filepath.Join(r.folder.Dir, accounts.SessionsFile)); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	all.keep()

	all, _ = r.start()
	for secret, want := range map[string]string{hers: "user:alice", its: "token:ci", out: "", hers + "x": ""} {
		s, _ := all.find(secret)
		if (s == nil) != (want == "") || s != nil && s.who.String() != want {
			t.Errorf("want %q, have %v", want, s)
		}
	}
	if s, _ := all.find(its); len(s.who.Names) != 2 {
		t.Errorf("the token has the names %v", s.who.Names)
	}
	all.keep()

	// What happens to accounts while no daemon runs, ends sessions too.
	if err := r.folder.SetPassword("alice", alicesPassword); err != nil {
		t.Fatal(err)
	}
	all, _ = r.start()
	if all.has(hers) || !all.has(its) {
		t.Errorf("after another password: hers %v, the token's %v", all.has(hers), all.has(its))
	}
	all.keep()
	if err := r.folder.RevokeToken("ci"); err != nil {
		t.Fatal(err)
	}
	if all, _ = r.start(); all.has(its) {
		t.Error("the session of a token that is revoked is there")
	}
	all.keep()
	if text := r.file(); strings.Contains(text, "sha256") {
		t.Errorf("sessions that are over are kept: %s", text)
	}
	if r.log.Len() > 0 {
		t.Errorf("it is logged: %s", &r.log)
	}
}

func hashText(secret string) string {
	hash := hashOf(secret)
	return hex.EncodeToString(hash[:])
}

// A session lasts over restarts for as long as it would without them.
func TestKeptSessionsEnd(t *testing.T) {
	r := newSessionRig(t)
	synctest.Test(t, func(t *testing.T) {
		r.t = t
		all, store := r.start()
		ci, _ := r.who(store)
		idle, _ := all.begin(ci)
		long, s := all.begin(ci)
		release := s.hold()
		all.keep()
		for at := time.Duration(0); at < sessionLasts-time.Second; at += sessionLasts / 20 {
			if all.has(idle) != (at < sessionIdle) || !all.has(long) {
				t.Errorf("after %v: idle %v, used %v", at, all.has(idle), all.has(long))
			}
			release()
			all.keep()
			all, _ = r.start()
			if s, refusal := all.find(long); refusal == nil {
				release = s.hold()
			}
			time.Sleep(sessionLasts / 20)
		}
		if all.has(long) {
			t.Error("one lasts longer than one may")
		}
		release()
		all.keep()
	})
}

// A daemon that is killed knows when a session was last used to about an hour.
func TestUseIsKeptNowAndThen(t *testing.T) {
	r := newSessionRig(t)
	synctest.Test(t, func(t *testing.T) {
		r.t = t
		all, store := r.start()
		ci, _ := r.who(store)
		secret, s := all.begin(ci)
		for range 20 {
			time.Sleep(usedKept)
			s.hold()()
			synctest.Wait() // it is written
		}
		if again, _ := r.start(); !again.has(secret) {
			t.Error("who was there all the time has to log in again")
		}
		all.keep()
	})
}

// A file that is not what was written is told of, once, and nobody is let in by it. When
// it cannot be written it is not left with what is over.
func TestSessionsFileIsWrong(t *testing.T) {
	r := newSessionRig(t)
	path := filepath.Join(r.folder.Dir, accounts.SessionsFile)
	all, store := r.start()
	ci, _ := r.who(store)
	secret, s := all.begin(ci)
	all.keep()
	right := r.file()
	for name, text := range map[string]string{
		"half of it": right[:len(right)/2], "nothing": "", "of another version": strings.Replace(right, `"version": 1`, `"version": 2`, 1),
		"a hash that is none": strings.Replace(right, hashText(secret), "00", 1), "a key more": strings.Replace(right, `"account"`, `"operator": true, "account"`, 1),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, told := range []int{1, 0} {
			r.log.Reset()
			all, _ := r.start()
			if n := strings.Count(r.log.String(), "log in again"); all.has(secret) || n != told {
				t.Errorf("%s: it is there %v, told %d times, want %d: %s", name, all.has(secret), n, told, &r.log)
			}
			all.keep()
		}
	}

	if err := os.WriteFile(path, []byte(right), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if again, _ := r.start(); again.has(secret) {
		t.Error("anybody could have written what is believed")
	} else {
		again.keep()
	}

	r.log.Reset()
	if err := os.WriteFile(path, []byte(right), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(r.folder.Dir, "."+accounts.SessionsFile+".new", "x"), 0o700); err != nil { // stands in the way
		t.Fatal(err)
	}
	<-all.logOut(s)
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file that says what is over: %v", err)
	}
	all.begin(ci)
	all.keep()
	if n := strings.Count(r.log.String(), "cannot be kept"); n != 1 {
		t.Errorf("told %d times: %s", n, &r.log)
	}
}
