// Package chardev is the life of consoles: a configuration, a server that holds
// its chardevs, and for each of them a device, its history, and the clients of its
// frontends.
//
// # The way of the bytes
//
//	device ─Read→ [readDevice] ─Commit→ history ←Next─ [pump 1] ─Writev→ client 1
//	   ↑                └─ keepUp, never waiting, for each who keeps up ─→ client 2 … N
//	   └─Write─ in turn ←─ [readInput 1 … N] ←Read─ clients
//
// Brackets are goroutines, of which those that read are there only while there is
// something to read: a channel that is silent rests (reading.go), and so does a
// listener. An idle console costs no goroutine. A device writes one history; everything else reads it
// with a cursor of its own. Bytes are addressed by their offset since the daemon
// began, and an epoch tells one daemon's offsets from another's.
//
// Below the layers of every channel of the hub stands a channel.Outbox, so no
// write waits. A client that keeps up is written to on the spot by the goroutine
// that reads the device. When its outbox has to keep something, the client lags:
// its own pump gives it up to 64 KiB whenever the outbox is empty, and hands it
// back at the head. What it wants and memory no longer has is a gap, whose size is
// told; on_lag says what happens then. pace.go says when the device is made to
// wait for somebody who lags.
//
// A client is in one of these states, which say who moves its cursor:
//
//	attach ─→ lagging ←─→ live      by its pump, and by the device's goroutine
//	             │          │
//	             └─→ leaving ←┘      its end has come: the pump, for up to 1 s, up to
//	                    ↓            what was published by then
//	                detached         nobody; only now its channel is closed
//
// A cursor changes under the client's mutex, a state under the hub's; where both
// are held the client's is taken first. Neither is held over anything that waits.
// publish passes over a client whose cursor is not where its chunk begins, so that
// one who changes hands gets no byte twice and misses none.
//
// Input is given to the device by the goroutine that reads the client, in the order
// of coming, when the device has taken what came before. Input that is not taken
// is counted by its reason, and never kept for later.
//
// Beside the bytes (line.go) breaks, window sizes and the settings of serial lines go
// to the device, from whoever may type, and from the operator at the control socket
// (control_line.go): a client's channel tells of them from within
// its Read, so that they keep their place in what the client sends, and overtake what
// others have waiting. Modem lines and breaks of the device go the other way, while a
// client asks for them.
//
// # Who owns what
//
// Server.Run waits for frontends, then for devices; a supervisor owns each
// endpoint, and is the only one that tries again; frontend.serve and the control
// socket's attach own a client, and client.serve its channel; hub.session owns the
// device's channel. What goes on while nobody waits for it is begun with a function
// that is called at its end (ended, done); the last of them count off a WaitGroup of
// Server.Run. Whoever starts a goroutine waits for it, in this way too.
package chardev
