package accounts

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"
)

const someTag = "$EjRWeJCrze8SNFZ4kKvN7w$EjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJCrze8"

func TestHashes(t *testing.T) {
	h := newHash("correct horse")
	if again, err := parseHash(h.String()); err != nil || !reflect.DeepEqual(again, h) || !again.matches("correct horse") {
		t.Errorf("%s is read as %s, %v", h, again, err)
	}
	if h.matches("correct horsf") || newHash("correct horse").String() == h.String() {
		t.Error("another password matches, or two hashes have the same salt")
	}
	// One of the reference implementation's test vectors (phc-winner-argon2, test.c).
	const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if h, err := parseHash(reference); err != nil || !h.matches("password") {
		t.Errorf("the hash of the reference implementation: %v", err)
	}
	for want, s := range map[string]string{
		"PHC":             "plain",
		"begins with":     "$argon2i$v=19$m=19456,t=2,p=1" + someTag,
		"version 19":      "$argon2id$v=16$m=19456,t=2,p=1" + someTag,
		"parameters like": "$argon2id$v=19$t=2,m=19456,p=1" + someTag,
		"8 a lane":        "$argon2id$v=19$m=15,t=2,p=2" + someTag,
		"t=1 to 64":       "$argon2id$v=19$m=19456,t=0,p=1" + someTag,
		"t=0":             "$argon2id$v=19$m=19456,t=0,p=1" + someTag,
		"t=65":            "$argon2id$v=19$m=19456,t=65,p=1" + someTag,
		"p=0":             "$argon2id$v=19$m=19456,t=2,p=0" + someTag,
		"p=17":            "$argon2id$v=19$m=19456,t=2,p=17" + someTag,
		"m=262145":        "$argon2id$v=19$m=262145,t=2,p=1" + someTag,
		"p=256":           "$argon2id$v=19$m=19456,t=2,p=256" + someTag,
		"as \"$argon2id":  "$argon2id$v=19$m=019456,t=2,p=1" + someTag,
		"salt: illegal":   "$argon2id$v=19$m=19456,t=2,p=1$====$EjRWeJCrze8SNFZ4kKvN7w",
		"tag: illegal":    "$argon2id$v=19$m=19456,t=2,p=1$EjRWeJCrze8SNFZ4kKvN7w$====",
		"salt of 8":       "$argon2id$v=19$m=19456,t=2,p=1$EjRW$EjRWeJCrze8SNFZ4kKvN7w",
		"tag of 16":       "$argon2id$v=19$m=19456,t=2,p=1$EjRWeJCrze8SNFZ4kKvN7w$EjRW",
	} {
		if h, err := parseHash(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is %s, %v; want an error with %q", s, h, err, want)
		}
	}
}

// Whatever is in a file, it is read and written again the same, or refused.
func FuzzTokens(f *testing.F) {
	text, err := format([]Token{{Name: "ci", SHA256: strings.Repeat("0f", 32), Groups: []string{"ops"}, Created: time.Unix(0, 0).UTC(), Expires: time.Unix(1e9, 0).UTC()}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(sameAgain[Token])
}

func FuzzUsers(f *testing.F) {
	text, err := format([]User{{Name: "alice", Password: "$argon2id$v=19$m=19456,t=2,p=1" + someTag, Groups: []string{"ops"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(sameAgain[User])
}

func sameAgain[R record](t *testing.T, text []byte) {
	list, err := parse[R](text)
	if err != nil {
		if list != nil {
			t.Errorf("refused (%v), and yet %d accounts", err, len(list))
		}
		return
	}
	seen := map[string]bool{}
	for _, r := range list {
		if err := r.check(); err != nil || seen[r.called().Text] {
			t.Errorf("%s was taken: %v", r.called(), err)
		}
		seen[r.called().Text] = true
	}
	once, err := format(list)
	if err != nil {
		return // a year that is not in RFC 3339: it cannot be changed, and says so
	}
	list, err = parse[R](once)
	if err != nil {
		t.Fatalf("what was written cannot be read: %v\n%s", err, once)
	}
	if again, err := format(list); err != nil || !bytes.Equal(again, once) {
		t.Errorf("written again it differs: %v\n%s\n%s", err, once, again)
	}
}
