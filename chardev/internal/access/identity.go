package access

import "strings"

// A Kind is what sort of name somebody has, as rules write it before the colon.
type Kind string

const (
	User  Kind = "user"  // one that showed a password
	Group Kind = "group" // of a user or a token; of the host for a process of it
	Cert  Kind = "cert"  // the subject of a certificate that was verified, as in RFC 4514: CN=alice,O=office
	SAN   Kind = "san"   // a subject alternative name of it: DNS, URI or email address (RFC 5280 section 4.2.1.6)
	Unix  Kind = "unix"  // a user of the host: the name, or the number
	Token Kind = "token" // the name of a token that was shown
)

// Kinds are those that names in a rule can have.
var Kinds = []string{string(User), string(Group), string(Cert), string(SAN), string(Unix), string(Token)}

// Anyone is what a rule writes for everybody, those of whom nothing is known too.
const Anyone = "anyone"

// A Name is one of somebody's names.
type Name struct {
	Kind Kind
	Text string

	// Fold says that letters differ not by their case, as in a host name. Text is
	// in lower case then.
	Fold bool
}

func (n Name) String() string { return string(n.Kind) + ":" + n.Text }

// An Identity is who somebody is. Each of its names was proven, by a handshake or by
// the kernel; the zero Identity is of somebody of whom nothing is known.
type Identity struct {
	Names []Name // the one that it is called by comes first

	// Accounts are what names of it stand on besides. When one of them ends, so does
	// the whole identity.
	Accounts []*Account

	// Guest is set of somebody at [http] of whom nothing is known. Where there is no
	// rule at all it may look, and change nothing: a door that is made for browsers
	// leads to every chardev, also to those that have no other.
	Guest bool

	// Operator is set of the daemon's own user, and of root, at the control socket:
	// whoever is that could as well change the config. No rule can keep it out.
	Operator bool
}

// String is what somebody is called: the first name, or anonymous.
func (i Identity) String() string {
	if len(i.Names) == 0 {
		return "anonymous"
	}
	return i.Names[0].String()
}

// A Pattern is for whom a rule is: Anyone, or a kind and a glob of names. In a glob *
// stands for any run of bytes and ? for one of them; nothing else is special, so that
// what distinguished names and URIs are made of needs no quoting.
type Pattern struct {
	Kind Kind // "": Anyone
	Glob string
}

// ParsePattern reads anyone or KIND:GLOB. An *UnknownError tells of a kind that is
// none.
func ParsePattern(s string) (Pattern, error) {
	if s == Anyone {
		return Pattern{}, nil
	}
	n, err := ParseName(s)
	return Pattern{n.Kind, n.Text}, err
}

// ParseName reads KIND:NAME; the name may not be empty.
func ParseName(s string) (Name, error) {
	kind, text, colon := strings.Cut(s, ":")
	known := false
	for _, k := range Kinds {
		known = known || k == kind
	}
	switch {
	case !known && colon:
		return Name{}, &UnknownError{"kind", kind, Kinds}
	case !known:
		return Name{}, &UnknownError{"kind", kind, append([]string{Anyone}, Kinds...)}
	case text == "":
		return Name{}, &EmptyError{Kind(kind)}
	}
	return Name{Kind: Kind(kind), Text: text}, nil
}

// EmptyError is a kind without a name behind it.
type EmptyError struct{ Kind Kind }

func (e *EmptyError) Error() string {
	return "no name behind " + string(e.Kind) + ": give one, or * for every " + string(e.Kind)
}

// String is the pattern as a rule writes it.
func (p Pattern) String() string {
	if p.Kind == "" {
		return Anyone
	}
	return string(p.Kind) + ":" + p.Glob
}

// matches says whether the pattern is for who.
func (p Pattern) matches(who Identity) bool {
	if p.Kind == "" {
		return true
	}
	for _, n := range who.Names {
		if n.Kind != p.Kind {
			continue
		}
		if glob(p.Glob, n.Text) || n.Fold && glob(strings.ToLower(p.Glob), n.Text) {
			return true
		}
	}
	return false
}

// glob says whether a pattern of * and ? is all of s. It takes time in proportion to
// the product of their lengths at most: only the last * is ever tried again.
func glob(pattern, s string) bool {
	star, from := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
