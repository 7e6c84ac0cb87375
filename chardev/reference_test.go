package chardev

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"chardevd/channel"
)

// referenceSections are the tables of a config file as REFERENCE.md has them: what stands
// before and behind the lines of one, for the rest of the file to be right. A key that
// a section shares with another one is told of there.
var referenceSections = []struct {
	heading, before, after string
	others                 []string
}{
	{"The top of the main file", "", dev, nil},
	{"`[journal]`", "[journal]\n", dev, nil},
	{"`[http]`", "[http]\nlisten = ['unix:h']\n", dev, nil},
	{"`[credentials.NAME]`", "[credentials.n]\n", dev, nil},
	{"`[[access]]`", "[[access]]\nwho = 'anyone'\nmay = []\non = '*'\n", dev, nil},
	{"`[[chardev]]`", dev + "input = 'exclusive'\n", "", nil},
	{"`device = { … }`", "[[chardev]]\nname = 'n'\n[chardev.device]\nlisten = 'unix:d'\n", "", nil},
	{"`log = { … }`", dev + "[chardev.log]\n", "", nil},
	{"`[[chardev.frontend]]`", dev + "[[chardev.frontend]]\nlisten = 'unix:d'\n", "", nil},
	{"`reconnect = { … }`", dev + "[[chardev.frontend]]\nconnect = 'unix:d'\n[chardev.frontend.reconnect]\n", "", nil},
	{"`[defaults]`", "[defaults]\n", dev, []string{"`[[chardev]]`", "`[[chardev.frontend]]`"}},
	{"`[[discover]]`", "[[discover]]\nglob = '/x/*'\n", "", []string{"`[[chardev]]`"}},
	{"`[[stream]]`", "[[stream]]\nname = 'n'\nlisten = 'unix:d'\nconnect = 'unix:f'\n", "", nil},
}

// REFERENCE.md tells of all keys of a config file, with the values that the messages about
// mistakes name, and of no others.
func TestKeysAreToldOf(t *testing.T) {
	clearEnvironment(t)
	text, err := os.ReadFile("REFERENCE.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string][]string{} // the keys of a section
	for _, s := range referenceSections {
		_, section, found := strings.Cut(string(text), "\n### "+s.heading+"\n")
		section, _, _ = strings.Cut(section, "\n#")
		if !found {
			t.Errorf("there is no section ### %s", s.heading)
		}
		var want []string
		for _, key := range knownKeys(t, s.before, s.after) {
			if slices.ContainsFunc(s.others, func(o string) bool { return slices.Contains(told[o], key) }) {
				continue
			}
			told[s.heading] = append(told[s.heading], key)
			want = append(want, fmt.Sprintf("| `%s` | %s | ", key, valuesOf(t, s.before, key, s.after)))
		}
		var rows []string
		for line := range strings.Lines(section) {
			if strings.HasPrefix(line, "| `") {
				rows = append(rows, line)
			}
		}
		if !slices.EqualFunc(rows, want, func(row, want string) bool {
			return strings.HasPrefix(row, want) && len(row) > len(want)+len(" |\n")
		}) {
			t.Errorf("### %s has other keys or values than these, or does not say what they are:\n%s", s.heading, strings.Join(want, "\n"))
		}
	}
}

// knownKeys are the keys of a table, as the message about one that is none names them.
func knownKeys(t *testing.T, before, after string) []string {
	for _, m := range errorsOf(t, write(t, before+"xxxxxxxxxxxx = 1\n"+after, nil)) {
		if _, names, ok := strings.Cut(m.Message, "; want one of "); ok {
			return strings.Split(names, ", ")
		}
	}
	t.Fatalf("no key is unknown behind %s", before)
	return nil
}

// valuesOf is what a key wants, as the messages about values that are wrong say it. Of a size
// and a duration it is that about one out of range.
func valuesOf(t *testing.T, before, key, after string) (values string) {
	line := regexp.MustCompile(`(?m)^` + key + ` = .*\n`)
	list := regexp.MustCompile(`(?m)^\[\[` + key + `\]\]\n`)
	rest := [2]string{line.ReplaceAllString(before, ""), after}
	if list.MatchString(after) {
		rest[1] = ""
	}
	for _, wrong := range []string{"1979-05-27", "-1", "'50000d'"} {
		_, err := Load(write(t, rest[0]+key+" = "+wrong+"\n"+rest[1], nil))
		ce, _ := errors.AsType[*ConfigError](err)
		if ce == nil {
			continue
		}
		for _, m := range ce.Mistakes {
			have := strings.LastIndex(m.Message, ", have ")
			if want, ok := strings.CutPrefix(m.Message[:max(have, 0)], key+": want "); ok && want != channel.SizeForm && want != channel.DurationForm {
				values = want
			}
		}
	}
	if values == "" {
		t.Errorf("no message says what %s wants", key)
	}
	return values
}
