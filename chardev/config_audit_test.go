package chardev

import (
	"path/filepath"
	"testing"
)

// Where the audit log is: in the state folder, where the config says, or nowhere.
func TestAuditConfig(t *testing.T) {
	clearEnvironment(t)
	for text, want := range map[string]string{
		"":                          "state/audit.jsonl",
		"audit = true\n":            "state/audit.jsonl",
		"state = 'st'\n":            "st/audit.jsonl",
		"audit = 'log/who.jsonl'\n": "log/who.jsonl",
		"audit = false\n":           "",
	} {
		path := write(t, text+good, map[string]string{"log/x": ""})
		cfg, err := Load(path)
		if err != nil {
			t.Error(err)
			continue
		}
		if want != "" {
			want = filepath.Join(filepath.Dir(path), want)
		}
		if cfg.Audit != want {
			t.Errorf("%q: %q, want %q", text, cfg.Audit, want)
		}
	}
	// without one its name is free
	if _, err := Load(write(t, "audit = false\n[[chardev]]\nname = 'audit.jsonl'\ndevice = 'null:'\n", nil)); err != nil {
		t.Error(err)
	}
}
