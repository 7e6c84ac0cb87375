package access

import (
	"fmt"
	"strings"
)

// Permissions are a set of what one may do. None implies another: who may write and
// not read gets no byte.
type Permissions uint8

const (
	Read    Permissions = 1 << iota // be attached, see the output, the log and who is there
	Write                           // type, as one who is attached
	Control                         // send breaks, set the line, cut clients
	Admin                           // add, replace and remove chardevs; of all (on = "*"): have the config read again

	None Permissions = 0
	All              = Read | Write | Control | Admin
)

// Words are the permissions as rules write them, in the order of their bits.
var Words = []string{"read", "write", "control", "admin"}

// Has says whether all of want are in p. None is never had: what asks for nothing
// forgot to ask.
func (p Permissions) Has(want Permissions) bool { return p&want == want && want != None }

// String is the words of p with commas, "nothing" if there are none.
func (p Permissions) String() string {
	var words []string
	for i, w := range Words {
		if p&(1<<i) != 0 {
			words = append(words, w)
		}
	}
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, ", ")
}

// ParsePermission reads one of Words.
func ParsePermission(word string) (Permissions, error) {
	for i, w := range Words {
		if w == word {
			return 1 << i, nil
		}
	}
	return None, &UnknownError{"permission", word, Words}
}

// UnknownError is a word that is none of those there are.
type UnknownError struct {
	What  string   // permission, kind
	Word  string   // as it was written
	Known []string // what there is
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("unknown %s %q: want one of %s", e.What, e.Word, strings.Join(e.Known, ", "))
}
