package accounts

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"chardevd/chardev/internal/access"
)

// A Folder is a state folder, in which accounts are changed and listed. A daemon that
// uses it sees by itself what was changed.
type Folder struct{ Dir string }

// TokenPrefix is what every token begins with, so that one can be found where it should
// not be.
const TokenPrefix = "cdt_"

// tokenBytes is how long the random part of a token is: 160 bits.
const tokenBytes = 20

var tokenCoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// AddToken makes a token and returns its secret, which nothing remembers. expires may be
// zero: never.
func (f Folder) AddToken(name string, groups []string, expires time.Time) (secret string, err error) {
	random := make([]byte, tokenBytes)
	rand.Read(random)
	secret = TokenPrefix + tokenCoding.EncodeToString(random)
	sum := sha256.Sum256([]byte(secret))
	t := Token{Name: name, SHA256: hex.EncodeToString(sum[:]), Groups: groups, Created: stamp(), Expires: expires}
	if err := t.check(); err != nil {
		return "", err
	}
	return secret, change(f.Dir, TokensFile, func(list []Token) ([]Token, error) {
		if index(list, t.called()) >= 0 {
			return nil, fmt.Errorf("there is a token %q already: revoke it first, or give this one another name", name)
		}
		return append(list, t), nil
	})
}

// RevokeToken removes a token.
func (f Folder) RevokeToken(name string) error {
	return change(f.Dir, TokensFile, func(list []Token) ([]Token, error) {
		return without(list, Token{Name: name}.called())
	})
}

// Tokens are the tokens that there are, those that have expired too.
func (f Folder) Tokens() ([]Token, error) { return read[Token](filepath.Join(f.Dir, TokensFile)) }

// AddUser makes a user.
func (f Folder) AddUser(name, password string, groups []string) error {
	u := User{Name: name, Groups: groups, Created: stamp()}
	if err := u.set(password); err != nil {
		return err
	}
	return change(f.Dir, UsersFile, func(list []User) ([]User, error) {
		if err := isNew(list, u); err != nil {
			return nil, err
		}
		return append(list, u), nil
	})
}

// CheckNewUser returns the error that AddUser has whatever the password is, before anybody
// is asked for one.
func (f Folder) CheckNewUser(name string, groups []string) error {
	u := User{Name: name, Groups: groups}
	if err := u.checkNames(); err != nil {
		return err
	}
	users, err := f.Users()
	if err != nil {
		return err
	}
	return isNew(users, u)
}

// isNew returns the error of a user that there is already.
func isNew(list []User, u User) error {
	if index(list, u.called()) < 0 {
		return nil
	}
	return fmt.Errorf("there is a user %q already: \"chardevd user passwd\" gives another password, \"chardevd user remove\" removes the user", u.Name)
}

// CheckUser returns the error that SetPassword and RemoveUser have for a name that is
// nobody's, before anybody is asked for a password.
func (f Folder) CheckUser(name string) error {
	users, err := f.Users()
	if err != nil {
		return err
	}
	called := User{Name: name}.called()
	if index(users, called) < 0 {
		return unknown(users, called)
	}
	return nil
}

// SetPassword gives a user another password.
func (f Folder) SetPassword(name, password string) error {
	with := User{Name: name}
	if err := with.set(password); err != nil {
		return err
	}
	return change(f.Dir, UsersFile, func(list []User) ([]User, error) {
		i := index(list, with.called())
		if i < 0 {
			return nil, unknown(list, with.called())
		}
		list[i].Password, list[i].Changed = with.Password, with.Changed
		return list, nil
	})
}

// RemoveUser removes a user.
func (f Folder) RemoveUser(name string) error {
	return change(f.Dir, UsersFile, func(list []User) ([]User, error) {
		return without(list, User{Name: name}.called())
	})
}

// Users are the users that there are.
func (f Folder) Users() ([]User, error) { return read[User](filepath.Join(f.Dir, UsersFile)) }

// Groups are those of the token or the user that access rules call n; none of another
// name.
func (f Folder) Groups(n access.Name) ([]string, error) {
	switch n.Kind {
	case access.Token:
		list, err := f.Tokens()
		return groupsOf(list, n), err
	case access.User:
		list, err := f.Users()
		return groupsOf(list, n), err
	}
	return nil, nil
}

func groupsOf[R record](list []R, n access.Name) []string {
	if i := index(list, n); i >= 0 {
		return list[i].groups()
	}
	return nil
}

// set gives u a password. It takes its time, so that nobody waits for the folder
// meanwhile.
func (u *User) set(password string) error {
	if err := checkPassword(password); err != nil {
		return err
	}
	u.Password, u.Changed = newHash(password).String(), stamp()
	return u.check()
}

// stamp is the time as a file has it.
func stamp() time.Time { return time.Now().UTC().Truncate(time.Second) }

// index is where the account of this name is in a list, -1 where there is none.
func index[R record](list []R, n access.Name) int {
	return slices.IndexFunc(list, func(r R) bool { return r.called() == n })
}

// without is the list without the account of this name.
func without[R record](list []R, n access.Name) ([]R, error) {
	i := index(list, n)
	if i < 0 {
		return nil, unknown(list, n)
	}
	return slices.Delete(list, i, i+1), nil
}

// unknown is the error of a name that no account has.
func unknown[R record](list []R, n access.Name) error {
	var names []string
	for _, r := range list {
		names = append(names, r.called().Text)
	}
	there := strings.Join(names, ", ")
	if there == "" {
		there = "none"
	}
	return fmt.Errorf("there is no %s %q; there is %s", n.Kind, n.Text, there)
}
