package chardev

import (
	"encoding/json"
	"time"
)

// The control socket speaks HTTP/1.1 and JSON under /api/v1. These are the
// shapes of that API; the daemon serves them and the commands read them.
//
//	GET    /api/v1/chardevs                     []Info
//	GET    /api/v1/events                       server-sent events: how all consoles are
//	GET    /api/v1/chardevs/NAME                Info
//	GET    /api/v1/chardevs/NAME/clients        []ClientInfo
//	DELETE /api/v1/chardevs/NAME/clients/ID     204: the client is cut
//	POST   /api/v1/chardevs/NAME/input          bytes → 204: the device was given all of them
//	POST   /api/v1/chardevs/NAME/reconnect      202: the device is opened anew
//	POST   /api/v1/chardevs/NAME/break          BreakRequest, or no body → 204: the break is over
//	GET    /api/v1/chardevs/NAME/line           LineInfo
//	PATCH  /api/v1/chardevs/NAME/line           LineSettings → LineInfo: what is in force now
//	GET    /api/v1/chardevs/NAME/writer         WriterInfo
//	POST   /api/v1/chardevs/NAME/writer         WriterChange → WriterInfo: how it is now
//	GET    /api/v1/chardevs/NAME/log            LogQuery → what it printed
//	GET    /api/v1/chardevs/NAME/ws             websocket: attach
//	GET    /api/v1/streams                      []StreamInfo
//	GET    /api/v1/streams/NAME/clients         []ClientInfo
//	DELETE /api/v1/streams/NAME/clients/ID      204: the client is cut
//	POST   /api/v1/reload                       Changes: the config file is read again, and done
//	POST   /api/v1/chardevs                     ChardevRequest → Changes: it is added, and kept in conf.d
//	PUT    /api/v1/chardevs/NAME                ChardevRequest → Changes: one that was added so is replaced
//	DELETE /api/v1/chardevs/NAME                Changes: one that was added so is removed
//	POST   /api/v1/chardevs/NAME/device         ChardevRequest and a descriptor → Changes: that is the device
//	POST   /api/v1/chardevs/NAME/frontends      ChardevRequest and a descriptor → Changes: that is a frontend
//	POST   /api/v1/chardevs/NAME/open           OpenInfo and a descriptor: that of a client
//	GET    /api/v1/session                      SessionInfo: who I am
//	POST   /api/v1/session                      SessionRequest → SessionInfo, and a cookie: I log in
//	DELETE /api/v1/session                      204: I log out; who is attached with it is cut
//	POST   /api/v1/ticket                       TicketInfo
//	GET    /openapi.json                        all this for programs (OpenAPI 3.1)
//	GET    /metrics                             for Prometheus: see METRICS.md
//	GET    /healthz                             200 while the daemon serves, for anybody
//	GET    /readyz                              Readiness: 200 if Ready, else 503, for anybody
//
// The same API is served at the addresses of [http]. There the caller is whoever its
// certificate or UNIX socket tells, and whoever the request shows: by a header
// Authorization (Bearer with a token; Basic with a user and a password, or the user
// "token" and a token), by the cookie of a session, or, to attach, by ticket=TICKET,
// which serves once and for a short time. What is shown and wrong is answered with 401,
// with 429 if too much was wrong before (Retry-After tells for how long). A Host that
// is no address of this host, nor named by host =, and an Origin that is not the
// host's, nor named by origin =, are answered with 403. What changes something needs
// that somebody is known, else it is 401.
//
// Errors are RFC 9457 problems (application/problem+json, type Problem). A break and
// a line are answered with 409 while the device is down, with 501 if this kind of
// device has none, and with 502 if the device, its driver or its server refuses.
// They need no right to type.
//
// Input is typed as by a client who goes then: nothing of a body that does not come
// whole, or is longer than 1 MiB (413). With an exclusive input the request has it until
// its end. If the device is not given all, the answer is 409, or 403 where it is not
// permitted any more, and the problem tells the reason and how much was taken. The device
// may take its time: who posts waits, and typing ends when he goes.
//
// A descriptor goes beside the bytes of a UNIX socket (SCM_RIGHTS of unix(7)): with the
// first byte of its request, and of the answer. It is the only one, and it is a stream
// socket, a pipe or a terminal. The device of the request, and the listen of its one
// frontend, is an address that says how it is taken, as "tls+fd:3?credentials=NAME"; the
// number tells nothing, and fd: is the default. One request at a time: the descriptor of
// the next one takes the place of one that is not taken yet. Nothing of it is there after a
// restart.
// Over layers, as of https, no descriptor comes: that is answered with 400.
//
// Who has an exclusive input is changed with 409 as the answer where that makes no sense:
// the input is not exclusive, or the client may not write.
//
// What a request needs by the access rules is told in control_access.go: to read, for
// what is only looked at; to write, for input; to control, for the rest. Where that is not given the answer
// is 403; for who may not even read, the chardev is not there (404). The daemon's own
// user and root are the operator, who may everything.
//
// What changes the config needs to administer: a reload on all chardevs (on = "*"), the
// others on the one that they name; without it the answer is 403, whether that is there or
// not. A config that would be wrong is answered with 422, what else is in the way, like a
// chardev that stands in a file of somebody else, with 409, and then nothing is changed.
//
// A log's parameters are the fields of LogQuery in lower case; true and false are
// written so. The answer is text, the bytes, an object a line or a recording, as
// format says. HeaderOffset and HeaderEpoch tell where it begins; trailers
// (TrailerNext, …) tell where to go on, how much was lost, and what failed. Offsets
// in since and until that are of another epoch, which epoch= tells, are answered with
// 409. Follow holds until the client goes, or has taken nothing for 10 minutes.
//
// With Accept: text/event-stream the log comes as server-sent events. Their data are the
// objects of format=json: with that format one for each line, else, or with format=raw,
// one for each run of bytes, {"offset":N,"time":T,"base64":B}, of at most 16 KiB; events
// of type gap have {"offset":N,"gap":SIZE} (and "why", see Info.Holes), those of type event what happened, if
// events=true. Where names=true is given they have the console's name. With format=text, which
// has to be said, the data are a JSON string: what format=text shows without, of lines
// that are whole; or, in an event without ID, more of the one that is not, so that who
// goes on behind the last ID gets what came in events without one again. The ID of an event is where to go on behind it, which Last-Event-ID does
// (and since and lines do not count then): the offset of the next byte; with +K behind
// it, if K of the things that happened there were told; and with @EPOCH, where no journal
// is kept and offsets end with the daemon. An ID of another epoch is answered with 409.
// A comment comes at least every 15 s.
//
// The events of /api/v1/events begin with one of type snapshot, a []Summary of what the
// caller may read. Then a chardev, a Summary, comes when one has changed: within 0.1 s,
// but what is printed only once a second, and from a slow reader's the ones between are
// left out; and a gone, a Gone, when the caller may read one no longer, or it was removed. They have no IDs:
// who comes again begins again.
//
// Attach offers the subprotocols AttachProtocol and StreamProtocol. Binary frames are
// the stream, both ways. With the first, text frames are Messages, in order with the
// stream: the first one from the daemon is a "hello" that tells the offset of the first
// byte. Without, all that comes is typed. A frame may end within a character of UTF-8.
// Parameters: read_only=true; since=PLACE (see PlaceForms), like -64KiB, 5m or an
// OFFSET, with epoch=EPOCH to go on exactly there or be told that there is no such
// place any more; credit=BYTES, what may be sent before the first "credit".

// The websocket subprotocols of attach.
const (
	AttachProtocol = "chardev.v1" // with messages
	StreamProtocol = "binary"     // the stream and nothing else, as for who asks for none
)

// ChardevRequest is a chardev that is to be added, or to replace the one of its name. Paths
// are whole ones. Commands and files (exec:, command:, file:, pipe:, stdio:, fd:) only a config
// file may have.
type ChardevRequest struct {
	Name      string         `json:"name,omitempty"`      // absent where the path has it
	Device    any            `json:"device"`              // an address, or {"listen": address}
	Frontends []any          `json:"frontends,omitempty"` // addresses, or objects with the keys of [[chardev.frontend]]
	Settings  map[string]any `json:"settings,omitempty"`  // the other keys of [[chardev]]: history, input, writer_idle, log
}

// OpenInfo tells of the descriptor that comes with it: a UNIX stream socket, whose other
// end is a client of the chardev.
type OpenInfo struct {
	Chardev  string `json:"chardev"`
	Frontend string `json:"frontend"` // its address, as in ClientInfo
}

// The states of a device or a frontend.
const (
	StateUp      = "up"
	StateDown    = "down"
	StateOpening = "opening"
)

// Info is one chardev as the daemon sees it.
type Info struct {
	Name      string           `json:"name"`
	State     string           `json:"state"`           // of the device: up, down, opening
	Since     time.Time        `json:"since"`           // when it came up or, if it is down or opening, went down
	Error     string           `json:"error,omitempty"` // why it is not up
	Device    string           `json:"device"`          // its address
	From      string           `json:"from"`            // where the chardev comes from: file:line:column, or the path at which it was found and the [[discover]] that did
	Input     string           `json:"input"`           // shared, exclusive, off
	Writer    string           `json:"writer,omitempty"`
	Waits     bool             `json:"input_waits,omitempty"` // the device has not taken all that was typed: it is stopped, or slow
	Clients   int              `json:"clients"`
	BytesIn   int64            `json:"bytes_in"`       // typed, and taken by the device
	BytesOut  int64            `json:"bytes_out"`      // printed by the device since the daemon began, over upgrades
	LastByte  *time.Time       `json:"last_byte"`      // when the device last printed; null: never yet
	Line      string           `json:"line,omitempty"` // how the device's serial line is set, as far as it is known without asking anybody: 115200n81
	Epoch     string           `json:"epoch"`
	Offset    int64            `json:"offset"`            // of the next byte
	Oldest    int64            `json:"oldest"`            // the first offset still in memory or in the journal
	Holes     []Hole           `json:"holes,omitempty"`   // between them, ascending
	Journal   *JournalInfo     `json:"journal,omitempty"` // absent: none is kept
	Refused   map[string]int64 `json:"refused"`           // input bytes not taken, by reason
	Gaps      int64            `json:"gaps"`              // bytes that clients could not have any more, in sum
	Frontends []FrontendInfo   `json:"frontends"`
	Events    []Event          `json:"events,omitempty"` // the newest last; only for one chardev
}

// Hole is offsets that a daemon which was killed or crashed had put aside and may have
// given to bytes: at most so many are missing there, and mostly none. Who asks for so
// many bytes of the past is given what was printed before as well.
type Hole struct {
	From int64  `json:"from"`
	To   int64  `json:"to"`  // of the next byte
	Why  string `json:"why"` // in words
}

// Summary is one chardev as a list shows it, in the events of GET /api/v1/events.
type Summary struct {
	Name     string     `json:"name"`
	State    string     `json:"state"` // as in Info
	Since    time.Time  `json:"since"`
	Error    string     `json:"error,omitempty"`
	Device   string     `json:"device"`
	Input    string     `json:"input"`
	Waits    bool       `json:"input_waits,omitempty"` // as in Info; that it is so after a while, or no more, is no change by itself
	Writer   string     `json:"writer,omitempty"`
	Clients  int        `json:"clients"`
	Attached []string   `json:"attached"` // who they are, as access rules call them, each once; at most 8
	BytesIn  int64      `json:"bytes_in"`
	BytesOut int64      `json:"bytes_out"`
	LastByte *time.Time `json:"last_byte"`
	LastLine string     `json:"last_line"` // that was printed and is not blank, finished or not: at most 200 characters, without escape sequences
	Epoch    string     `json:"epoch"`
	Offset   int64      `json:"offset"`
}

// Gone is a chardev that the caller may read no longer.
type Gone struct {
	Name    string `json:"name"`
	Removed bool   `json:"removed,omitempty"` // as it is no more
}

// JournalInfo is what is written down of a chardev.
type JournalInfo struct {
	Error    string `json:"error,omitempty"` // why nothing is written now
	Bytes    int64  `json:"bytes"`           // on disk
	Segments int    `json:"segments"`        // files they are in
	Behind   int64  `json:"behind"`          // bytes that are not written yet
	Lost     int64  `json:"lost"`            // bytes that the disk did not take in time, since the daemon began
}

// FrontendInfo is one way in.
type FrontendInfo struct {
	Address string `json:"address"`
	State   string `json:"state"`
	Error   string `json:"error"`
	Mode    string `json:"mode"`
	Reach   string `json:"reach,omitempty"` // a command line that reaches it
	Clients int    `json:"clients"`
}

// ClientInfo is somebody attached.
type ClientInfo struct {
	ID       string    `json:"id"`
	Frontend string    `json:"frontend"` // the frontend's address, or "attach"
	Who      string    `json:"who"`      // as access rules call it, like unix:alice; or anonymous
	Peer     string    `json:"peer"`     // who and where, as far as it is known
	Since    time.Time `json:"since"`
	Mode     string    `json:"mode"`
	Writer   string    `json:"writer,omitempty"` // what it has of an exclusive input: WriterHas, WriterAsked or nothing
	BytesIn  int64     `json:"bytes_in"`         // typed by it
	BytesOut int64     `json:"bytes_out"`        // delivered to it
	Lag      int64     `json:"lag"`              // bytes between it and the live edge
	Gaps     int64     `json:"gaps"`             // bytes it could not have
	Refused  int64     `json:"refused"`          // bytes of its input that were not taken
}

// Event is something that happened to a chardev, beside its bytes.
type Event struct {
	Time   time.Time `json:"time"`
	Offset int64     `json:"offset"`
	Kind   string    `json:"kind"` // up, down, attach, detach, gap, break, line, reconnect, refused, writer, frontend, rotation, journal
	Text   string    `json:"text"`
}

// BreakRequest says how a break is to be.
type BreakRequest struct {
	Duration string `json:"duration,omitempty"` // like 250ms, the default; at most MaxBreak. A device whose break has no length, as over telnet, sends its one
}

// LineSettings are what can be set of a serial line. What is absent is not known,
// or is to stay as it is.
type LineSettings struct {
	Baud  int             `json:"baud,omitempty"`  // bits per second
	Mode  string          `json:"mode,omitempty"`  // data bits, parity, stop bits: 8n1
	Flow  string          `json:"flow,omitempty"`  // none, rtscts, xonxoff
	Modem map[string]bool `json:"modem,omitempty"` // dtr, rts, cts, dsr, ri, dcd: true is on; the first two can be set
}

// LineInfo is a serial line as the device tells it.
type LineInfo struct {
	LineSettings
	Counters  *LineCounters `json:"counters,omitempty"`   // absent: the device does not count
	OtherUser string        `json:"other_user,omitempty"` // another program that has the port open, like process 4711 (cat), and may get some of its bytes
	Error     string        `json:"error,omitempty"`      // what the device did not tell, and why
}

// LineCounters are what the device's driver counted since the port was found.
type LineCounters struct {
	Frame         int `json:"frame"`          // bytes that came with a framing error
	Parity        int `json:"parity"`         // bytes that came with a parity error
	Overrun       int `json:"overrun"`        // bytes that the hardware lost
	BufferOverrun int `json:"buffer_overrun"` // bytes that were lost because nobody read them in time
	Break         int `json:"break"`          // breaks received
	Received      int `json:"received"`       // bytes
	Sent          int `json:"sent"`           // bytes
	CTS           int `json:"cts"`            // changes of the modem line, and of those that follow
	DSR           int `json:"dsr"`
	RI            int `json:"ri"`
	DCD           int `json:"dcd"`
}

// What an attached client can do about an exclusive input, with a "writer" message, and
// over the API by whom it is permitted to control. What somebody types while nobody has
// the input is a WriterTake, too.
const (
	WriterTake    = "take"    // have it if it is free
	WriterRequest = "request" // have it if it is free, else ask who has it
	WriterGrant   = "grant"   // hand it over to one who asked
	WriterRelease = "release" // let it go, or ask for it no more; nobody is promoted. Over the API: whoever has it lets it go
	WriterForce   = "force"   // have it, whoever has it: that takes the right to control. Over the API: a client is given it
)

// What a client has of an exclusive input.
const (
	WriterHas   = "has"   // it is the one who types
	WriterAsked = "asked" // it asked for it
	WriterMay   = "may"   // neither, but it may type: if the input is exclusive, when it has it
)

// WriterInfo is who has a chardev's input.
type WriterInfo struct {
	Input  string         `json:"input"`           // shared, exclusive, off; nobody has one that is not exclusive
	Holder *WriterClient  `json:"holder"`          // null: it is free
	Asked  []WriterClient `json:"asked"`           // who asked for it since it was free, the first first
	Turn   int64          `json:"turn"`            // how often it changed hands
	Since  *time.Time     `json:"since,omitempty"` // when it did so last
	Why    string         `json:"why,omitempty"`   // how it came to that, if not by itself
	Idle   string         `json:"idle,omitempty"`  // how long the holder may type nothing; absent: for ever
}

// WriterClient is one who has the input, or asked for it.
type WriterClient struct {
	Client string `json:"client"` // its ID
	Who    string `json:"who"`    // as in ClientInfo
	Name   string `json:"name"`   // for people: ID, who, where and on which frontend
}

// WriterChange is what is to become of an exclusive input.
type WriterChange struct {
	Op     string `json:"op"`               // WriterForce or WriterRelease
	Client string `json:"client,omitempty"` // the ID: who is to have it; who is to let it go, if it is that one
}

// Problem is an error of the API (RFC 9457).
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`

	// of POST …/input
	Reason string `json:"reason,omitempty"` // why the device was not given all, as Info.Refused calls it: not_writer, device_down, …
	Taken  int64  `json:"taken,omitempty"`  // how many bytes, the first ones, it was given
}

// The codes of a "bye" that a client acts on. Any other one (it was kicked, it
// lagged, …) ends the client's session for good.
const (
	ByeEOF      = "eof"      // the client's own end of file was carried out
	ByeStopping = "stopping" // the daemon stops or starts again: come back
)

// SessionRequest is what somebody logs in with: a user and a password, or a token.
type SessionRequest struct {
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"`
	Token    string `json:"token,omitempty"`
}

// SessionInfo is who the caller is.
type SessionInfo struct {
	Who      string     `json:"who"`            // what it is called: the first of its names, or anonymous
	Names    []string   `json:"names"`          // all of them, as the access rules know them
	Operator bool       `json:"operator"`       // it may everything
	Ends     *time.Time `json:"ends,omitempty"` // when its session does at the latest; none: it has no session
}

// TicketInfo is a ticket: whoever shows it is taken for the caller, once.
type TicketInfo struct {
	Ticket string    `json:"ticket"`
	Until  time.Time `json:"until"` // when it can be used no longer
}

// Message is a text frame of attach, JSON.
//
// From the daemon: "hello" (Chardev, Client, Clients, Epoch, Offset, State, Why it
// is not up, Waits, Mode, Writer, You; Text is set when since= could not be honoured),
// "clients" (Clients: how many are attached, soon after that has changed),
// "gap" (Size bytes before Offset are lost to this client; if Text tells why, at most so
// many, and mostly none: see Info.Holes), "device" (State, Text why),
// "writer" (Writer, You: how an exclusive input is now, whenever that changes and after
// each "writer" of the client's; of many changes at once the last is told), "notice" (Text;
// with a Code: input was not taken, for that reason, see input.go; or with Waits), "bye" (Code, Text why; the
// end follows). A hello and a gap have an offset also where it is 0.
// From the client: "break" (Millis), "resize" (Cols, Rows), "eof" (no more input),
// "credit" (Bytes: so many more may be sent; once one was given, or credit= was, no more are
// sent than all of them together, and what is printed meanwhile comes from the past later),
// "writer" (Text: WriterTake, …; Client, of a grant: to whom, if not to who asked first).
type Message struct {
	Type    string `json:"type"`
	Chardev string `json:"chardev,omitempty"`
	Client  string `json:"client,omitempty"`
	Clients int    `json:"clients,omitempty"`
	Epoch   string `json:"epoch,omitempty"`
	Offset  int64  `json:"offset,omitempty"`
	Size    int64  `json:"size,omitempty"`
	State   string `json:"state,omitempty"`
	Why     string `json:"why,omitempty"`
	Waits   bool   `json:"waits,omitempty"` // as Info.Waits
	Mode    string `json:"mode,omitempty"`
	Code    string `json:"code,omitempty"` // of a bye, and of a notice that is more than text: what a program does about it
	Text    string `json:"text,omitempty"`
	Cols    int    `json:"cols,omitempty"`
	Rows    int    `json:"rows,omitempty"`
	Millis  int    `json:"millis,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`

	You    string      `json:"you,omitempty"` // what the client has of the input: WriterHas, …; "": it may not have it
	Writer *WriterInfo `json:"writer,omitempty"`
}

// MarshalJSON makes a Message a json.Marshaler.
func (m Message) MarshalJSON() ([]byte, error) {
	type plain Message
	if m.Type == "hello" || m.Type == "gap" {
		return json.Marshal(struct {
			plain
			Offset int64 `json:"offset"`
		}{plain(m), m.Offset})
	}
	return json.Marshal(plain(m))
}
