package channel_test

import (
	"testing"

	"chardevd/channel"
)

func TestUnits(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "12": 12, "12B": 12, "3KiB": 3 << 10, "100MiB": 100 << 20, "2GiB": 2 << 30, "8589934591GiB": 8589934591 << 30} {
		if n, err := channel.ParseSize(s); err != nil || n != want {
			t.Errorf("%q is %d, %v; want %d", s, n, err, want)
		}
	}
	for _, s := range []string{"", "B", "KiB", "-1", "+1", "1 KiB", "1kb", "1.5MiB", "1TiB", "0x10", "8589934592GiB", "99999999999999999999", "1_000", "１KiB"} {
		if n, err := channel.ParseSize(s); err == nil {
			t.Errorf("%q is taken as %d", s, n)
		}
	}
	for s, want := range map[string]string{"100ms": "100ms", "30s": "30s", "5m": "5m", "120m": "2h", "90d": "90d", "0s": "0s", "1500ms": "1500ms"} {
		if d, err := channel.ParseDuration(s); err != nil || channel.FormatDuration(d) != want {
			t.Errorf("%q is %v, %v; want %s", s, d, err, want)
		}
	}
	for _, s := range []string{"", "s", "5", "-5s", "1.5s", "1h30m", "5 s", "1w", "999999999999d"} {
		if d, err := channel.ParseDuration(s); err == nil {
			t.Errorf("%q is taken as %v", s, d)
		}
	}
	for n, want := range map[int64]string{0: "0B", 1: "1B", 4096: "4KiB", 1 << 30: "1GiB", 5 << 20: "5MiB", 1025: "1025B"} {
		if s := channel.FormatSize(n); s != want {
			t.Errorf("%d is written %s, want %s", n, s, want)
		}
	}
}
