// Package channel is all the ways bytes travel between chardevd and the world:
// one interface, Channel; transports that carry bytes; layers that stand on any
// channel and are one; and addresses, which name a stack of them.
//
// # Addresses
//
//	layer+layer+transport:where?option=value&option=value
//
// Layers are written from the outermost, nearest the user's bytes, to the
// transport. Where the transport crosses a network, // and host:port follow, as in
// any URL, and for ws a path; else a path, a command or a name. A layer in the
// transport's place stands over tcp (tls://host:port, telnet://host:port), and wss
// is ws+tls. rfc2217 is telnet with RFC 2217's option, and stands alone. %3F is
// a ? that begins no options. ParseAddress checks all of it against the tables; an
// option that nothing in the stack knows is an error.
//
// Dial opens an address and Listen waits for others to do so; both are methods of
// Env as well, which holds what an address leaves to its user: credentials, the
// folder of relative paths, what is to stand below the layers, time limits, a
// log. A Listener hands out channels whose handshakes are done.
//
// A connection that somebody else made is a channel by FromConn. DialLayers and
// ListenLayers are the layers of an address without its transport, to be put on any
// channel.
//
// # Abilities
//
// What changes or consumes the stream is in Channel, so that every layer has to
// answer it. What stands beside the stream (Breaker, Resizer, Secured, Local, Rester,
// FDPasser, an Outbox) is found with As, which goes down a stack by Unwrap. So is what belongs to
// serial lines (line.go): Line has settings and modem lines, Purger throws away what
// is buffered, and a Notifier (notify.go) tells of what arrives beside the stream: a
// break, a window's size, modem lines. A PortServer is the other side of it: a
// channel whose peer has a serial port there, which is to be given to it. An FDPasser
// (fdpass.go) passes open files over a UNIX socket; a layer has NoFiles, as they would go
// around it. What only what ends in a socket, or is a pty, can do, to be read without waiting and be
// attended to with thousands of others, is Attended (rest.go): AsAttended finds a plain one,
// AsAttendedLayers one with layers.
//
// # One of your own
//
// Another module needs no table: whatever implements Channel is a transport, and a
// function like Layer is a layer; the examples have one of each. Addresses do not name
// them. Package channeltest, which is not internal, holds them to the promises
// of Channel: channeltest.Run and channeltest.RunLayer.
//
// # To add one here
//
// A transport is a file here with a *transport, and a line in transports
// (table.go); a layer is a file with a *layerDef, and a line in layers. Dial and
// Listen do the rest: the row says what may stand behind the colon, which options
// there are, and how to open it. A channel over a descriptor embeds fdChannel, a
// layer embeds layered; sockets, also those that are listened on, and ptys that are opened
// are handles (handle.go), which Go's poller knows only while somebody waits. The package's
// tests hold every row to the promises of Channel, with package channeltest; a row without
// an entry there fails them.
//
// What is open can be parked and adopted (park.go): its peer does not notice that another
// process, or another part of this one, goes on with it.
//
// A Relay (relay.go) joins two channels, whatever they are.
//
// # What is shared by a process
//
// No state of the package is one user's settings. What all users in a process share are
// things of which the kernel gives one or few, made with the first use and ended with the
// last: an inotify, an epoll and a netlink socket. The process's standard input and
// output are one channel at a time, and end once. Ports of hold=true that are closed are
// kept for the whole process, by their name. Signal 44 loses its SA_RESTART with the
// first use of a system call that only a signal can interrupt (interrupt.go): a program
// with another use for that signal has to know.
//
// # Versions
//
// The module is versioned semantically (semver.org). While it is v0 a minor version may
// break what is exported here, and its notes say so; a patch does not. What counts as
// breaking: a program that compiles no more, an address that is refused or means another
// thing, a promise of Channel or of an ability that no longer holds (channeltest is
// their list). New transports, layers, options, abilities, fields of Env and of the
// structs of options do not, so name the fields of these where you make them; nor do the words
// of errors, for which there are IsGone and errors.Is.
//
// This package knows nothing of consoles: it imports no other one of the module.
package channel
