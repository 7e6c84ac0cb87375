package accounts

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// A hash is what is kept of a password: the parameters and the result of Argon2id
// (RFC 9106), version 0x13.
type hash struct {
	memory uint32 // KiB
	passes uint32
	lanes  uint8
	salt   []byte
	tag    []byte
}

// usual is what new passwords are hashed with. RFC 9106 section 4 would have 64 MiB and
// four lanes; this is what OWASP's password storage cheat sheet holds for no weaker than
// its other choices and leaves the consoles their memory and the other cores: 50 ms of
// one of them (measured).
var usual = hash{memory: 19 << 10, passes: 2, lanes: 1, salt: make([]byte, 16), tag: make([]byte, 32)}

// What a file may ask for: the daemon computes it for whoever shows the name.
const (
	maxMemory = 256 << 10 // KiB
	maxPasses = 64
	maxLanes  = 16
)

// minPassword and maxPassword are how long a password is: at least so many characters
// (NIST SP 800-63B section 5.1.1), at most so many bytes.
const (
	minPassword = 8
	maxPassword = 128
)

// newHash hashes a password with a new salt.
func newHash(password string) hash {
	h := usual
	h.salt = make([]byte, len(usual.salt))
	rand.Read(h.salt)
	h.tag = h.of(password)
	return h
}

// of computes the tag for a password.
func (h hash) of(password string) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.lanes, uint32(len(h.tag)))
}

// matches says whether the hash is of this password. It takes as long if it is not.
func (h hash) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.tag, h.of(password)) == 1
}

var base64raw = base64.RawStdEncoding.Strict()

// String is the hash as a PHC string: $argon2id$v=19$m=19456,t=2,p=1$SALT$TAG.
func (h hash) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.memory, h.passes, h.lanes, base64raw.EncodeToString(h.salt), base64raw.EncodeToString(h.tag))
}

// parseHash reads what String writes, and nothing that is written otherwise.
func parseHash(s string) (hash, error) {
	var h hash
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return h, errors.New("want a PHC string that begins with $argon2id$")
	}
	if parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, fmt.Errorf("want version %d of Argon2, have %q", argon2.Version, parts[2])
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.lanes); err != nil {
		return h, fmt.Errorf("want parameters like m=%d,t=%d,p=%d, have %q", usual.memory, usual.passes, usual.lanes, parts[3])
	}
	var err error
	if h.salt, err = base64raw.DecodeString(parts[4]); err != nil {
		return h, fmt.Errorf("salt: %w", err)
	}
	if h.tag, err = base64raw.DecodeString(parts[5]); err != nil {
		return h, fmt.Errorf("tag: %w", err)
	}
	switch {
	case h.lanes < 1 || h.lanes > maxLanes, h.passes < 1 || h.passes > maxPasses,
		h.memory < 8*uint32(h.lanes) || h.memory > maxMemory:
		return h, fmt.Errorf("want m=%d at most and 8 a lane at least, t=1 to %d, p=1 to %d, have %q", maxMemory, maxPasses, maxLanes, parts[3])
	case len(h.salt) < 8 || len(h.salt) > 64 || len(h.tag) < 16 || len(h.tag) > 64:
		return h, errors.New("want a salt of 8 to 64 bytes and a tag of 16 to 64")
	case h.String() != s:
		return h, fmt.Errorf("want it written as %q", h)
	}
	return h, nil
}

// checkPassword says what a new password lacks. It is taken byte for byte as it was
// typed.
func checkPassword(p string) error {
	switch {
	case utf8.RuneCountInString(p) < minPassword:
		return fmt.Errorf("the password is too short: want %d characters at least", minPassword)
	case len(p) > maxPassword:
		return fmt.Errorf("the password is too long: want %d bytes at most", maxPassword)
	case !utf8.ValidString(p):
		return errors.New("the password is not UTF-8")
	case strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("the password has a control character in it, which many a login cannot take")
	}
	return nil
}
