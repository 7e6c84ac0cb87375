package systemd

import (
	"context"
	"log/slog"
	"time"
)

// Watch tells the manager that the service is alive, twice in the time that it gives,
// until ctx ends. alive is asked before each message, and returns when the service has
// answered: as long as it does not, nothing is told, and after the given time the
// manager ends the process. Where no watchdog is set it returns at once.
func (s *Service) Watch(ctx context.Context, alive func(), log *slog.Logger) {
	if s.watchdog == 0 {
		return
	}
	tick := time.NewTicker(s.watchdog / 2)
	defer tick.Stop()
	for {
		late := time.AfterFunc(s.watchdog/2, func() {
			log.Error("chardevd gives no answer to itself: systemd ends it, if that does not change", "within", s.watchdog/2)
		})
		alive()
		late.Stop()
		if err := s.tell("WATCHDOG=1"); err != nil {
			log.Warn("watchdog", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
