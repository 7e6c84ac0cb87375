// Package chardev is the life of consoles: a configuration, a server that holds
// its chardevs, and for each of them a device, its history, and the clients of its
// frontends.
//
// # The way of the bytes
//
//	device ─Read→ [readDevice] ─Commit→ history ←Next─ [pump 1] ─Writev→ client 1
//	   ↑                ├─ keepUp, never waiting, for each who keeps up ─→ client 2 … N
//	   │                └─ history ←Next─ [scribe] ─Append→ journal ─(catchUp)→ pumps
//	   └─Write─ in turn ←─ [readInput 1 … N] ←Read─ clients
//
// Brackets are goroutines, of which those that read are there only while there is
// something to read: a channel that is silent rests (reading.go), and so does a
// listener. An idle console costs no goroutine, and of many that say little at the same
// time one goroutine reads them all (session.attend), which waits for nobody. A device
// writes one history; everything else reads it with a cursor of its own. Bytes are
// addressed by their offset: with a journal since that was begun, for ever; without one
// since the daemon began. An epoch tells the offsets of one from those of another.
//
// A client that keeps up is written to on the spot by the goroutine that reads the
// device, who has help when that takes long (round.go), and at full rate lets those run
// who read (cede.go). Nobody waits in a write (outlet.go): a plain client is given what
// its socket takes, as the rest is still in the history; below the layers of any other stands a channel.Outbox, which
// keeps the rest of a record or a frame. When something is left the client lags:
// its own pump gives it what has gathered whenever there is room, and hands it back
// at the head. Only a client with whom nobody else keeps up is borne with for a
// moment (patience). What a client wants and memory no longer has its pump takes from
// the journal (catchup.go), which is tried again for some time if it can not be read
// (recall.go); what that has not either is a gap, whose size is told, and on_lag says
// what happens then. pace.go says when the device is made to wait for
// somebody who lags.
//
// The scribe (scribe.go) writes the history into the journal, in larger pieces the
// more the device prints. What it has not written yet stays in memory, up to 16 MiB
// of a chardev and 256 MiB of all; the journal of a disk that is slower than that has
// a gap. No offset is given out twice, not even when the daemon is killed: the journal
// reserves them ahead, and goes on behind the reserve if it was not closed. A full disk
// takes the reserve, which has its room there. A device does not wait for a disk that fails, or
// takes longer than scribeGrace, and what it prints beyond the reserve in that time is
// numbered anew if the daemon is killed before the disk takes it. When a
// byte came is marked by publish (times.go) and kept in the journal's index.
//
// A client is in one of these states, which say who moves its cursor:
//
//	attach ─→ lagging ←─→ live      by its pump, and by the device's goroutine
//	             │          │
//	             └─→ leaving ←┘      its end has come: the pump, for up to 1 s, up to
//	                    ↓            what was published by then
//	                detached         nobody; only now its channel is closed
//
// One that can be given nothing any more is detached from lagging until its end has come.
//
// A cursor changes under the client's mutex, a state under the hub's; where both
// are held the client's is taken first. Neither is held over anything that waits,
// but the client's over patience. giveOut passes over a client who is in his pump's
// hands, or whose cursor is not where its chunk begins, so that one who changes
// hands gets no byte twice and misses none.
//
// Input is given to the device by the goroutine that reads the client, in the order
// of coming, when the device has taken what came before. Input that is not taken
// is counted by its reason, and never kept for later.
//
// Who somebody is (identity.go) is one value, made of what was proven when the channel
// came. What that one may do is asked of the gate (access.go): by attach, which lets in
// who may read and keeps what else is permitted with the client; by the routes of the
// API (control_access.go), each of which says what it needs; and again for all who are
// there when the rules change. mayType and takeControl ask the client.
//
// What somebody shows is looked at by vouch (secret.go): of a websocket's request before
// its handshake is answered (admit), of a login before there is a client (login.go), and
// of a request of the API before a route sees it (caller.go), behind what keeps pages of
// other sites out (http.go). A session (session_web.go) has a context; what is served
// with it ends with that.
//
// Where input = "exclusive" one client at a time has the input (writer.go). It changes
// hands with the pen held, which whoever gives the device something holds from the look
// at who has the input to the write: so no byte of a former holder comes behind that. A
// client whose input has ended, or who may write no longer, has it no more. People are
// told by their pumps how it is, not how it came to that step by step: a change costs
// each of them one message at most, and whoever takes nothing none. How many are attached
// they are told in the same way, soon after it has changed (headcount.go, owed.go).
//
// Who came, went, was refused or changed something is told to the audit log by one call
// where it happens (audit.go: did, didNot, went); a new thing that somebody can do is to
// do that too. It never waits. internal/audit sums up what comes in floods; the events and
// the log have the first of them only (flood.go).
//
// How all consoles are is told over the API (control_events.go) to whoever watches the
// board (board.go): a hub that has changed marks that there and goes on, and the watchers
// look at it as often as they can and should.
//
// Metrics (metrics.go) are made when they are asked for, of what the hubs count anyway;
// what a client had is added to that of its frontend when it goes (hub.detach). A hub is
// held only while the list of its clients is copied.
//
// Beside the bytes (line.go) breaks, window sizes and the settings of serial lines go
// to the device, from whoever may type and control, and over the API from whoever may
// control (control_line.go): a client's channel tells of them from within its Read, so that
// they keep their place in what the client sends, and overtake what others have
// waiting. Modem lines and breaks of the device go the other way, while a client asks
// for them.
//
// The daemon may hand over to a successor (handover.go): what it holds without layers is
// parked where it ends because of errHandover (handover_park.go), and with what is known of
// it taken over by the next Server (handover_resume.go), in the same process after execve(2)
// (handover_exec.go). First goes what can not be parked, while all else goes on; then the
// devices, so that nothing more is printed and input is kept; then the clients.
//
// A stream (stream.go) has no hub: each of its clients is joined with a connection of its
// own by a channel.Relay. Its listeners are supervisors like a frontend's, its clients end
// with its life, and the gate is asked when they come and when the rules change.
//
// # Who owns what
//
// Consoles come and go while the daemon runs. The server holds them copy-on-write; a
// device, a frontend and an address of [http] have a life each (life.go), which ends
// alone or with the daemon's, and to which sessions and clients are tied. A change of the config is compared first (diff.go, which
// touches nothing) and then done (reload.go): one at a time, with Server.changing held;
// what is gone is closed before anything is opened. A console that goes (console.stop)
// lets in nobody more, waits for who is there, closes the device, and then the journal.
// keep.go writes down what is added over the API.
//
// What is discovered (discover.go) is a layer of the config above the files: change puts it
// over each config that comes from them, and one goroutine (discover_run.go) looks when the
// one inotify of the process tells that a glob may match something else, and has the
// difference done like any other, without comparing what was not touched.
//
// What is passed as a descriptor (passing.go) is named by an address of its own, once. A
// device makes a chardev that stands in no file: it is in the config that is in force, and a
// reload carries it over (withPassed). A frontend is of no config: a console has those
// beside the configured ones, and whose only client is gone takes itself off the list.
// The requests, and the descriptors beside them, are in control_passing.go.
//
// The credentials of all chardevs (keyring.go) follow their files in one
// goroutine; whoever shakes hands asks for those in force. Server.Run waits for
// frontends and who is there, then for devices; a supervisor owns each endpoint, and is the only one
// that tries again; frontend.serve and the control socket's attach own a client, and
// client.serve its channel; hub.session owns the device's channel. What goes on while
// nobody waits for it is begun with a function that is called at its end (ended,
// done); the last of them count off the work of a life. Whoever starts a
// goroutine waits for it, in this way too.
package chardev
