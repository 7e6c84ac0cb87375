package accounts

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"chardevd/chardev/internal/access"
)

// TokensFile and UsersFile are the names of the files in the state folder.
const (
	TokensFile = "tokens.json"
	UsersFile  = "users.json"
)

// maxFile is how large a file may be, in bytes: a hundred thousand accounts.
const maxFile = 32 << 20

// version is that of the files, which a daemon that is older must not misread.
const version = 1

// A Token is one of tokens.json.
type Token struct {
	Name    string    `json:"name"`
	SHA256  string    `json:"sha256"` // of the shown form, in lower case hex
	Groups  []string  `json:"groups,omitempty"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
}

// A User is one of users.json.
type User struct {
	Name     string    `json:"name"`
	Password string    `json:"password"` // its hash, a PHC string
	Groups   []string  `json:"groups,omitempty"`
	Created  time.Time `json:"created"`
	Changed  time.Time `json:"changed"` // when the password was set
}

// A record is a Token or a User.
type record interface {
	shown() string         // by what it is found: what is shown, as the file has it
	called() access.Name   // what access rules call it
	groups() []string      // of which it is
	gone(time.Time) string // why one that was there is not any more
	check() error          // what is wrong with it
}

func (t Token) shown() string       { return t.SHA256 }
func (t Token) called() access.Name { return access.Name{Kind: access.Token, Text: t.Name} }
func (t Token) groups() []string    { return t.Groups }
func (t Token) gone(now time.Time) string {
	if t.expired(now) {
		return "has expired"
	}
	return "was revoked"
}

func (t Token) expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

func (u User) shown() string         { return u.Name }
func (u User) called() access.Name   { return access.Name{Kind: access.User, Text: u.Name} }
func (u User) groups() []string      { return u.Groups }
func (u User) gone(time.Time) string { return "was removed, or changed" }

func (t Token) check() error {
	if sum, err := hex.DecodeString(t.SHA256); err != nil || len(sum) != sha256.Size || strings.ToLower(t.SHA256) != t.SHA256 {
		return errors.New("sha256: want 64 hexadecimal digits in lower case")
	}
	return checkNames(t.Name, t.Groups)
}

func (u User) check() error {
	if _, err := parseHash(u.Password); err != nil {
		return fmt.Errorf("password: %w", err)
	}
	return u.checkNames()
}

func (u User) checkNames() error {
	if u.Name == TokenUser {
		return errTokenUser
	}
	return checkNames(u.Name, u.Groups)
}

// TokenUser is the name under which a token is shown where a user and a password are
// asked for. No user has it.
const TokenUser = "token"

var errTokenUser = fmt.Errorf("%q is no name for a user: it is what a token is shown under", TokenUser)

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func checkName(s string) error {
	const digits = "0123456789"
	if s == "" || len(s) > 64 || strings.Trim(s, letters+digits+"._-@") != "" || !strings.Contains(letters+digits, s[:1]) {
		return fmt.Errorf("%q is no name: want 1 to 64 of A–Z a–z 0–9 . _ - @, a letter or digit first", s)
	}
	return nil
}

func checkNames(name string, groups []string) error {
	if err := checkName(name); err != nil {
		return err
	}
	for i, g := range groups {
		if err := checkName(g); err != nil {
			return fmt.Errorf("group: %w", err)
		}
		if !strings.ContainsAny(g, letters) {
			return fmt.Errorf("group: %q has no letter in it, and could be the number of a group of this host", g)
		}
		if slices.Contains(groups[:i], g) {
			return fmt.Errorf("group: %q is given twice", g)
		}
	}
	return nil
}

// A file is what is in tokens.json or users.json.
type file[R record] struct {
	Version  int `json:"version"`
	Accounts []R `json:"accounts"`
}

// parse reads the text of a file. Nothing is taken of one that is wrong anywhere.
func parse[R record](text []byte) ([]R, error) {
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	if v.Version != version {
		return nil, fmt.Errorf("it is of version %d, and this chardevd reads version %d", v.Version, version)
	}
	var f file[R]
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for i, r := range f.Accounts {
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("account %d, %s: %w", i+1, r.called(), err)
		}
		// A name, and what is shown, stands for one account.
		for _, key := range []string{r.called().String(), r.shown()} {
			if seen[key] {
				return nil, fmt.Errorf("account %d: %s is there twice", i+1, r.called())
			}
			seen[key] = true
		}
	}
	return f.Accounts, nil
}

// format is the text of a file.
func format[R record](list []R) ([]byte, error) {
	if list == nil {
		list = []R{}
	}
	text, err := json.MarshalIndent(file[R]{version, list}, "", "\t")
	return append(text, '\n'), err
}
