package accounts

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"chardevd/chardev/internal/access"
)

var home = FromIP(netip.MustParseAddr("192.0.2.1"))

// A shop is a folder of accounts, and a store of it.
type shop struct {
	Folder
	*Store
	t *testing.T
}

func newShop(t *testing.T) *shop {
	t.Helper()
	dir := t.TempDir()
	return &shop{Folder{dir}, NewStore(dir, nil), t}
}

func (s *shop) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// token adds a token.
func (s *shop) token(name string, expires time.Time, groups ...string) string {
	s.t.Helper()
	secret, err := s.AddToken(name, groups, expires)
	s.must(err)
	return secret
}

// news reads the files again.
func (s *shop) news() string {
	s.t.Helper()
	n, err := s.Reload(time.Now())
	s.must(err)
	return fmt.Sprintf("%d tokens, %d users, begun %v, ended %v", n.Tokens, n.Users, n.Begun, n.Ended)
}

// is says what the files should have told.
func (s *shop) is(want string) {
	s.t.Helper()
	if have := s.news(); have != want {
		s.t.Fatalf("have %s, want %s", have, want)
	}
}

// shows says who shows a token; "" nobody.
func (s *shop) shows(secret string) access.Identity {
	s.t.Helper()
	who, err := s.Token(context.Background(), secret, home)
	if err != nil && !errors.Is(err, ErrWrong) {
		s.t.Fatal(err)
	}
	if (err == nil) != (len(who.Names) > 0) {
		s.t.Fatalf("%v with the error %v", who.Names, err)
	}
	return who
}

// types says who types a password.
func (s *shop) types(user, password string) access.Identity {
	s.t.Helper()
	who, err := s.Password(context.Background(), user, password, home)
	if err != nil && !errors.Is(err, ErrWrong) {
		s.t.Fatal(err)
	}
	return who
}

func names(who access.Identity) string { return strings.Trim(fmt.Sprint(who.Names), "[]") }

func TestTokens(t *testing.T) {
	s := newShop(t)
	s.is("0 tokens, 0 users, begun [], ended []")
	ci := s.token("ci", time.Time{}, "build", "ops")
	if s.shows(ci).Names != nil {
		t.Error("a token is known before the file was read")
	}
	s.is("1 tokens, 0 users, begun [token:ci], ended []")
	who := s.shows(ci)
	if names(who) != "token:ci group:build group:ops" || who.Ended() != "" {
		t.Errorf("who shows it is %s, %q", names(who), who.Ended())
	}
	for _, wrong := range []string{"", ci[:len(ci)-1], ci + "a", strings.ToUpper(ci), strings.TrimPrefix(ci, TokenPrefix)} {
		if who := s.shows(wrong); who.Names != nil {
			t.Errorf("%q is %s", wrong, names(who))
		}
	}
	if len(ci) != len(TokenPrefix)+32 || !strings.HasPrefix(ci, "cdt_") {
		t.Errorf("a token is %q", ci)
	}
	text, err := os.ReadFile(filepath.Join(s.Dir, TokensFile))
	s.must(err)
	if strings.Contains(string(text), ci[len(TokenPrefix):]) {
		t.Error("the file has the secret")
	}

	other := s.token("other", time.Time{})
	s.is("2 tokens, 0 users, begun [token:other], ended []")
	if who.Ended() != "" {
		t.Errorf("another token was made, and now %s", who.Ended())
	}
	s.must(s.RevokeToken("ci"))
	s.is("1 tokens, 0 users, begun [], ended [token:ci]")
	if who.Ended() != "token:ci was revoked" || s.shows(ci).Names != nil {
		t.Errorf("it was revoked, and %q", who.Ended())
	}
	if names(s.shows(other)) != "token:other" {
		t.Error("the other one is gone as well")
	}

	// One that is made anew under its name between two looks at the file is another.
	who = s.shows(other)
	s.must(s.RevokeToken("other"))
	again := s.token("other", time.Time{})
	s.is("1 tokens, 0 users, begun [token:other], ended [token:other]")
	if who.Ended() == "" || s.shows(other).Names != nil || s.shows(again).Names == nil {
		t.Error("the new token passes for the old one")
	}
}

func TestUsers(t *testing.T) {
	s := newShop(t)
	s.must(s.AddUser("alice", "correct horse", []string{"ops"}))
	s.must(s.AddUser("bob", "battery staple", nil))
	s.is("0 tokens, 2 users, begun [user:alice user:bob], ended []")
	alice, bob := s.types("alice", "correct horse"), s.types("bob", "battery staple")
	if names(alice) != "user:alice group:ops" || names(bob) != "user:bob" {
		t.Fatalf("they are %s and %s", names(alice), names(bob))
	}
	for _, c := range [][2]string{
		{"alice", "battery staple"}, {"alice", ""}, {"alice", "correct horse "}, {"carol", "correct horse"},
		{"", ""}, {"a:b\n", "x"}, {"alice", strings.Repeat("x", 1000)},
	} {
		if who := s.types(c[0], c[1]); who.Names != nil {
			t.Errorf("%q with %q is %s", c[0], c[1], names(who))
		}
	}
	s.must(s.SetPassword("alice", "another horse"))
	s.is("0 tokens, 2 users, begun [user:alice], ended [user:alice]")
	if alice.Ended() == "" || bob.Ended() != "" {
		t.Errorf("alice has another password: %q, %q", alice.Ended(), bob.Ended())
	}
	if s.types("alice", "correct horse").Names != nil || names(s.types("alice", "another horse")) != "user:alice group:ops" {
		t.Error("the old password is in force")
	}
	s.must(s.RemoveUser("bob"))
	s.is("0 tokens, 1 users, begun [], ended [user:bob]")
	if bob.Ended() != "user:bob was removed, or changed" || s.types("bob", "battery staple").Names != nil {
		t.Error("bob is still there")
	}
}

// What cannot be an account is refused, and changes nothing.
func TestChangesThatAreRefused(t *testing.T) {
	s := newShop(t)
	token := func(name string, groups ...string) error {
		_, err := s.AddToken(name, groups, time.Time{})
		return err
	}
	s.must(token("ci"))
	s.must(s.AddUser("alice", "correct horse", nil))
	for want, err := range map[string]error{
		"already: revoke it first":             token("ci"),
		`"" is no name`:                        token(""),
		`"a b" is no name`:                     token("a b"),
		`"-a" is no name`:                      token("-a"),
		`"*" is no name`:                       token("*"),
		`group: "a:b" is no name`:              token("x", "a:b"),
		"no letter in it":                      token("x", "27"),
		"twice":                                token("x", "a", "b", "a"),
		`no token "cj"; there is ci`:           s.RevokeToken("cj"),
		`a user "alice" already`:               s.AddUser("alice", "correct horse", nil),
		"shown under":                          s.AddUser("token", "correct horse", nil),
		"too short: want 8":                    s.AddUser("bob", "ëëëëëëë", nil),
		"too long: want 128":                   s.AddUser("bob", strings.Repeat("x", 129), nil),
		"not UTF-8":                            s.AddUser("bob", "12345678\xff", nil),
		"control character":                    s.SetPassword("alice", "12345678\t"),
		`no user "bob"; there is alice`:        s.SetPassword("bob", "correct horse"),
		`no user "carol"; there is alice`:      s.RemoveUser("carol"),
		`"` + strings.Repeat("x", 65) + `" is`: token(strings.Repeat("x", 65)),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q", err, want)
		}
	}
	s.is("1 tokens, 1 users, begun [token:ci user:alice], ended []")
}

// A token ends when it expires, whether or not its file changes.
func TestExpiry(t *testing.T) {
	s := newShop(t)
	soon := time.Now().Add(time.Hour).Truncate(time.Second)
	first, second := s.token("first", soon), s.token("second", soon.Add(time.Hour))
	s.token("always", time.Time{})
	n, err := s.Reload(time.Now())
	s.must(err)
	if !n.Next.Equal(soon) {
		t.Errorf("the first expires at %v, want %v", n.Next, soon)
	}
	who, whoElse := s.shows(first), s.shows(second)
	for _, c := range []struct {
		at    time.Time
		ended string
		next  time.Time
	}{{soon.Add(-1), "[]", soon}, {soon, "[token:first]", soon.Add(time.Hour)}, {soon.Add(time.Hour), "[token:second]", time.Time{}}} {
		n, err := s.Reload(c.at)
		s.must(err)
		if fmt.Sprint(n.Ended) != c.ended || !n.Next.Equal(c.next) {
			t.Errorf("at %v ended %v, next %v; want %s, %v", c.at, n.Ended, n.Next, c.ended, c.next)
		}
	}
	if who.Ended() != "token:first has expired" || whoElse.Ended() != "token:second has expired" {
		t.Errorf("they ended: %q, %q", who.Ended(), whoElse.Ended())
	}

	// One that expired since the files were read is not taken.
	past := s.token("past", time.Now().Add(-time.Second))
	s.Reload(time.Now().Add(-time.Hour))
	if s.shows(past).Names != nil {
		t.Error("a token is taken that has expired")
	}
}

// A file that is wrong leaves in force what it said, and the other file is read.
func TestAWrongFile(t *testing.T) {
	s := newShop(t)
	ci, short := s.token("ci", time.Time{}), s.token("short", time.Now().Add(time.Hour))
	s.must(s.AddUser("alice", "correct horse", nil))
	s.news()
	who, whoElse := s.shows(ci), s.shows(short)
	path := s.Paths()[0]
	right, err := os.ReadFile(path)
	s.must(err)
	for want, text := range map[string]string{
		"unexpected end":      string(right[:len(right)/2]),
		"unexpected":          "",
		"unknown field":       `{"version":1,"accounts":[{"name":"x","sha":""}]}`,
		"of version 2":        `{"version":2,"tokens":[]}`,
		"of version 0":        `{"accounts":[]}`,
		"after top-level":     string(right) + "{}",
		"64 hexadecimal":      `{"version":1,"accounts":[{"name":"x","sha256":"ab"}]}`,
		"is there twice":      strings.Replace(string(right), `"name": "short"`, `"name": "ci"`, 1),
		"larger than 32 MiB":  strings.Repeat(" ", maxFile+1),
		"token:x y: \"x y\" ": strings.Replace(string(right), `"name": "ci"`, `"name": "x y"`, 1),
	} {
		s.must(os.WriteFile(path, []byte(text), 0o600))
		if _, err := s.Reload(time.Now()); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%.60q: the error is %v, want %q", text, err, want)
		}
		if err := s.RevokeToken("ci"); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("%.60q: a change says %v", text, err)
		}
	}
	users, err := os.ReadFile(s.Paths()[1])
	s.must(err)
	s.must(os.WriteFile(s.Paths()[1], users[1:], 0o600))
	if n, err := s.Reload(time.Now()); err == nil || strings.Count(err.Error(), ".json: ") != 2 || n.Users != 1 || len(n.Ended) > 0 {
		t.Errorf("both files: %+v, %v", n, err)
	}
	s.must(os.WriteFile(s.Paths()[1], users, 0o600))
	s.must(s.RemoveUser("alice"))
	n, err := s.Reload(time.Now())
	if err == nil || fmt.Sprint(n.Ended) != "[user:alice]" || n.Next.IsZero() {
		t.Errorf("the other file: %+v, %v", n, err)
	}
	if who.Ended() != "" || names(s.shows(ci)) != "token:ci" {
		t.Error("what was in force is not any more")
	}
	// What expires does so with a wrong file, too.
	if n, err := s.Reload(time.Now().Add(2 * time.Hour)); err == nil || fmt.Sprint(n.Ended) != "[token:short]" || whoElse.Ended() == "" {
		t.Errorf("it should have expired: %+v, %v", n, err)
	}
	s.must(os.WriteFile(path, right, 0o600))
	s.is("2 tokens, 0 users, begun [token:short], ended []")
	if who.Ended() != "" {
		t.Error("it was there all the time")
	}
	s.must(os.Remove(path))
	s.is("0 tokens, 0 users, begun [], ended [token:ci token:short]")
}

// Files that others can write are not believed, and what is no file holds nobody up.
func TestAFileThatIsNotTrusted(t *testing.T) {
	s := newShop(t)
	s.token("ci", time.Time{})
	path := s.Paths()[0]
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s has the mode %v, %v", path, info.Mode(), err)
	}
	s.must(os.Chmod(path, 0o620))
	if _, err := s.Reload(time.Now()); err == nil || !strings.Contains(err.Error(), "others can write it") {
		t.Errorf("the error is %v", err)
	}
	s.must(os.Remove(path))
	s.must(os.Mkdir(path, 0o700))
	if _, err := s.Reload(time.Now()); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("the error is %v", err)
	}
}

// A file of a stranger is not believed, whatever its mode; one of whose the folder is is.
// (Only root can show it; who is not gives no file away.)
func TestAFileOfAStranger(t *testing.T) {
	s := newShop(t)
	s.token("ci", time.Time{})
	path := s.Paths()[0]
	stranger := os.Geteuid()
	if stranger == 0 {
		stranger = 65534
		s.must(os.Chown(path, stranger, stranger))
		if _, err := s.Reload(time.Now()); err == nil || !strings.Contains(err.Error(), "of the user 65534") {
			t.Errorf("the error is %v", err)
		}
	}
	s.must(os.Chown(s.Dir, stranger, -1))
	if n, err := s.Reload(time.Now()); err != nil || n.Tokens != 1 {
		t.Errorf("%d tokens, %v", n.Tokens, err)
	}
}

// Two at once lose nothing.
func TestChangesAtOnce(t *testing.T) {
	s := newShop(t)
	var all sync.WaitGroup
	const each, many = 10, 8
	for i := range many {
		all.Go(func() {
			for j := range each {
				if _, err := s.AddToken(fmt.Sprintf("t%d-%d", i, j), nil, time.Time{}); err != nil {
					t.Error(err)
				}
				if j%2 == 1 {
					if err := s.RevokeToken(fmt.Sprintf("t%d-%d", i, j)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	if n, err := s.Reload(time.Now()); err != nil || n.Tokens != many*each/2 {
		t.Errorf("there are %d tokens, want %d: %v", n.Tokens, many*each/2, err)
	}
	if left, _ := filepath.Glob(filepath.Join(s.Dir, ".*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// What root writes belongs to whose the folder is, who must read it.
func TestFilesAreOfWhoseTheFolderIs(t *testing.T) {
	s := newShop(t)
	want := os.Geteuid()
	if want == 0 {
		want = 65534
		s.must(os.Chown(s.Dir, want, want))
	}
	s.token("ci", time.Time{})
	info, err := os.Stat(s.Paths()[0])
	s.must(err)
	if have := info.Sys().(*syscall.Stat_t).Uid; have != uint32(want) {
		t.Errorf("the file is of %d, want %d", have, want)
	}
}
