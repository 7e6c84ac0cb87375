package transcript

import (
	"fmt"
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

func TestRequired(t *testing.T) {
	for pattern, want := range map[string]string{
		"panic":                      "[panic]",
		"Kernel panic":               "[Kernel panic]",
		"panic|oops":                 "[panic oops]",
		"link is (up|down)":          "[link is ]",
		"(a|bcd)(efg|hijk)":          "[efg hijk]",
		"x{3,}long":                  "[long]",
		"(abc)+d?":                   "[abc]",
		"a*b?":                       "[]",
		"[pP]anic":                   "[anic]",
		"foo|":                       "[]",
		"foo|.*":                     "[]",
		"a|b|c.d|eee":                "[]", // a to c become a class
		"(?i)panic":                  "[panic/i]",
		"(?i)Kernel panic":           "[ernel panic/i]",
		"(?i)kiss":                   "[i/i]",
		"(?i)ks":                     "[]",
		"(?i)é\u0130xy":              "[xy/i]",
		"(?i)error|(?-i)Oops":        "[error/i Oops]",
		"^$":                         "[]",
		"link \uFFFD up":             "[]",
		"link \uFFFD+ up":            "[link ]",
		"aa|bb|cc|dd|ee|ff|gg|hh|ii": "[]",
	} {
		var got []string
		for _, n := range newMatcher(regexp.MustCompile(pattern)).needles {
			text := string(n.text)
			if n.fold {
				text += "/i"
			}
			got = append(got, text)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s requires %v, want %s", pattern, got, want)
		}
	}
}

// What is no UTF-8 is found as regexp reads it.
func TestWhatIsNoUTF8IsFound(t *testing.T) {
	if m := newMatcher(regexp.MustCompile("is \uFFFD up")); !m.matches([]byte("link is \xff up")) {
		t.Error("it is not found")
	}
}

// A needle is found where a regular expression finds it.
func TestNeedleIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[abAB -]{1,4}`).Draw(t, "needle")
		hay := rapid.StringMatching(`[abABx -]{0,40}`).Draw(t, "hay")
		for _, pattern := range []string{regexp.QuoteMeta(text), "(?i)" + regexp.QuoteMeta(text)} {
			re := regexp.MustCompile(pattern)
			want := -1
			if at := re.FindStringIndex(hay); at != nil {
				want = at[0]
			}
			n := newMatcher(re).needles[0]
			if got := n.index([]byte(hay)); got != want {
				t.Fatalf("%s is found in %q at %d, want %d", pattern, hay, got, want)
			}
		}
	})
}
