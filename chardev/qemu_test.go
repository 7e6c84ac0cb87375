package chardev

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"chardevd/channel"
)

// A client can be kicked after the device under it was changed, and after a change that was
// refused: QEMU's yank survives a chardev-change likewise (tests/unit/test-yank.c). The
// device of the second config listens as well, so the guest comes anew.
func TestKickSurvivesAChangeOfTheDevice(t *testing.T) {
	clearEnvironment(t)
	const one = "[[chardev]]\nname = 'a'\ndevice = { listen = 'unix:guest' }\nfrontends = ['unix:front']\n"
	for name, changed := range map[string]string{
		"success": strings.Replace(one, "unix:guest", "unix:other", 1),
		"fail":    "[[chardev]]\nname = 'a'\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, one, nil)
			s := serves(t, path)
			client, err := channel.Dial(t.Context(), channel.MustParseAddress("unix:"+filepath.Join(filepath.Dir(path), "front")))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			hub := s.console("a").hub
			await(t, "the client", func() bool { return len(hub.clientInfos()) == 1 })
			if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := reloaded(s); (err == nil) != (name == "success") {
				t.Fatalf("the change: %v", err)
			}
			if have := hub.clientInfos(); len(have) != 1 || s.console("a").hub != hub {
				t.Fatalf("the change left %d clients", len(have))
			}
			if id, err := strconv.Atoi(hub.clientInfos()[0].ID); err != nil || !hub.kick(id) {
				t.Fatal("there is nobody to kick")
			}
			client.SetReadDeadline(time.Now().Add(20 * time.Second))
			if p, err := io.ReadAll(client); err != nil || len(p) > 0 {
				t.Errorf("who was kicked sees %q, %v", p, err)
			}
		})
	}
}
