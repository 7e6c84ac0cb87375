package chardev

import (
	"io"
	"testing"
)

// Answers of the log count as comings and goings: many leave garbage, and a console
// that is silent then would keep it.
func TestLogsAreGivenBackInALull(t *testing.T) {
	r := newLogRig(t)
	var l lull
	defer l.stop()
	r.says("one\n")
	r.hub.stir = l.stir
	before := forcedCollections()
	for range lullAfter {
		resp := r.get(t.Context(), "")
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	l.awaitGiven(t, before)
}
