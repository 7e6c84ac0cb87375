// Package attach is the terminal's side of a console: it joins a person's
// terminal (or a script's pipes) with one chardev of the daemon.
//
// The way of the bytes:
//
//	stdin ─Input→ [read] ─Scanner→ queue ─→ [send] ─→ stream ─→ daemon
//	stdout, stderr ←─ [print] ←─ pieces ←─ [receive] ←─ stream ←─ daemon
//
// Each bracket is one goroutine that Session.Run starts and waits for. The
// reader of stdin never waits for the daemon (up to the queue's limit), so that
// the escape to leave works while the daemon is away, the device takes no input,
// or stdout is stuck.
package attach
