package accounts

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"chardevd/chardev/internal/access"
)

// SessionsFile is the name of the file in the state folder that has the sessions.
const SessionsFile = "sessions.json"

// A Session is one of sessions.json: somebody who has logged in with an account.
type Session struct {
	SHA256  string    `json:"sha256"`  // of its secret, in lower case hex
	Account string    `json:"account"` // what access rules call it, like user:alice
	Stamp   string    `json:"stamp"`   // of the account as it was when it logged in: one that was changed since is another
	Used    time.Time `json:"used"`
	Ends    time.Time `json:"ends"`
}

// sessions is what is in sessions.json.
type sessions struct {
	Version  int       `json:"version"`
	Sessions []Session `json:"sessions"`
}

// Sessions are those that were kept; none, if none ever were. An error says what is wrong
// with the file, of which nothing is taken then.
func (f Folder) Sessions() ([]Session, error) {
	path := filepath.Join(f.Dir, SessionsFile)
	text, err := readText(path)
	if text == nil || err != nil {
		return nil, err
	}
	var all sessions
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if all.Version != version {
		return nil, fmt.Errorf("%s: it is of version %d, and this chardevd reads version %d", path, all.Version, version)
	}
	for i, s := range all.Sessions {
		if sum, err := hex.DecodeString(s.SHA256); err != nil || len(sum) != sha256.Size {
			return nil, fmt.Errorf("%s: session %d: sha256: want 64 hexadecimal digits", path, i+1)
		}
	}
	return all.Sessions, nil
}

// KeepSessions puts a file with these sessions in the place of the one before, whole. One
// call happens at a time. If that fails the file before is removed, as it may have
// sessions that are over.
func (f Folder) KeepSessions(list []Session) error {
	path := filepath.Join(f.Dir, SessionsFile)
	text, err := json.MarshalIndent(sessions{version, list}, "", "\t")
	if err != nil {
		return err
	}
	d, err := os.Open(f.Dir)
	if err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	defer d.Close()
	if err := replace(d, path, append(text, '\n')); err != nil {
		if undone := os.Remove(path); undone != nil && !os.IsNotExist(undone) {
			return fmt.Errorf("%w; and the file before, whose sessions may be over, cannot be removed: %w", err, undone)
		}
		return err
	}
	if err := d.Sync(); err != nil {
		return fmt.Errorf("state folder %s: %w", f.Dir, err)
	}
	return nil
}

// Stamp tells an account from any other one, and from what it is when it is changed. It is
// that of the account in force on which an identity stands, "" if that is none.
func (s *Store) Stamp(who access.Identity) string {
	if len(who.Accounts) == 0 {
		return ""
	}
	if stamp := stampOf(*s.tokens.Load(), who.Accounts[0]); stamp != "" {
		return stamp
	}
	return stampOf(*s.users.Load(), who.Accounts[0])
}

func stampOf[R record](b book[R], of *access.Account) string {
	for _, a := range b {
		if a.who.Accounts[0] == of {
			return stampRecord(a.record)
		}
	}
	return ""
}

// stampRecord is a sum of all that is known of an account.
func stampRecord(r record) string {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // it was read as JSON
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Identities are whom the accounts of sessions stand for, if they are what they were
// when these began; else the zero Identity.
func (s *Store) Identities(list []Session) []access.Identity {
	type account struct {
		who    access.Identity
		record record
	}
	named := map[string]account{}
	for _, a := range *s.tokens.Load() {
		named[a.who.String()] = account{a.who, a.record}
	}
	for _, a := range *s.users.Load() {
		named[a.who.String()] = account{a.who, a.record}
	}
	all := make([]access.Identity, len(list))
	for i, one := range list {
		if a, ok := named[one.Account]; ok && stampRecord(a.record) == one.Stamp {
			all[i] = a.who
		}
	}
	return all
}
