package chardev

import "time"

// The control socket speaks HTTP/1.1 and JSON under /api/v1. These are the
// shapes of that API; the daemon serves them and the commands read them.
//
//	GET    /api/v1/chardevs                     []Info
//	GET    /api/v1/chardevs/NAME                Info
//	GET    /api/v1/chardevs/NAME/clients        []ClientInfo
//	DELETE /api/v1/chardevs/NAME/clients/ID     204: the client is cut
//	GET    /api/v1/chardevs/NAME/ws             websocket: attach
//
// Errors are RFC 9457 problems (application/problem+json, type Problem).
//
// Attach offers the subprotocol AttachProtocol. Binary frames are the stream,
// both ways. Text frames are Messages, in order with the stream: the first one
// from the daemon is a "hello" that tells the offset of the first byte.
// Parameters: read_only=true; since=-SIZE (bytes of history before the live
// edge, like "-65536") or since=OFFSET with epoch=EPOCH to go on exactly there.

// AttachProtocol is the websocket subprotocol of attach.
const AttachProtocol = "chardev.v1"

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
	Since     time.Time        `json:"since"`           // when it came to that state
	Error     string           `json:"error,omitempty"` // why it is not up
	Device    string           `json:"device"`          // its address
	Input     string           `json:"input"`           // shared, exclusive, off
	Writer    string           `json:"writer,omitempty"`
	Clients   int              `json:"clients"`
	BytesIn   int64            `json:"bytes_in"`  // typed, and taken by the device
	BytesOut  int64            `json:"bytes_out"` // printed by the device
	LastByte  *time.Time       `json:"last_byte"` // when the device last printed; null: never yet
	Epoch     string           `json:"epoch"`
	Offset    int64            `json:"offset"`  // of the next byte
	Oldest    int64            `json:"oldest"`  // the first offset still in memory
	Refused   map[string]int64 `json:"refused"` // input bytes not taken, by reason
	Gaps      int64            `json:"gaps"`    // bytes that clients could not have any more, in sum
	Frontends []FrontendInfo   `json:"frontends"`
	Events    []Event          `json:"events,omitempty"` // the newest last; only for one chardev
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
	Peer     string    `json:"peer"`     // who, as far as it is known
	Since    time.Time `json:"since"`
	Mode     string    `json:"mode"`
	BytesIn  int64     `json:"bytes_in"`  // typed by it
	BytesOut int64     `json:"bytes_out"` // delivered to it
	Lag      int64     `json:"lag"`       // bytes between it and the live edge
	Gaps     int64     `json:"gaps"`      // bytes it could not have
	Refused  int64     `json:"refused"`   // bytes of its input that were not taken
}

// Event is something that happened to a chardev, beside its bytes.
type Event struct {
	Time   time.Time `json:"time"`
	Offset int64     `json:"offset"`
	Kind   string    `json:"kind"` // up, down, attach, detach, gap, break, frontend
	Text   string    `json:"text"`
}

// Problem is an error of the API (RFC 9457).
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// The codes of a "bye" that a client acts on. Any other one (it was kicked, it
// lagged, …) ends the client's session for good.
const (
	ByeEOF      = "eof"      // the client's own end of file was carried out
	ByeStopping = "stopping" // the daemon stops or starts again: come back
)

// Message is a text frame of attach, JSON.
//
// From the daemon: "hello" (Chardev, Client, Epoch, Offset, State, Mode; Text is
// set when since= could not be honoured), "gap" (Size bytes before Offset are lost
// to this client), "device" (State, Text why), "notice" (Text), "bye" (Code, Text why; the end follows).
// From the client: "break" (Millis), "resize" (Cols, Rows), "eof" (no more input).
type Message struct {
	Type    string `json:"type"`
	Chardev string `json:"chardev,omitempty"`
	Client  string `json:"client,omitempty"`
	Epoch   string `json:"epoch,omitempty"`
	Offset  int64  `json:"offset,omitempty"`
	Size    int64  `json:"size,omitempty"`
	State   string `json:"state,omitempty"`
	Mode    string `json:"mode,omitempty"`
	Code    string `json:"code,omitempty"` // of a bye: what a program does about it
	Text    string `json:"text,omitempty"`
	Cols    int    `json:"cols,omitempty"`
	Rows    int    `json:"rows,omitempty"`
	Millis  int    `json:"millis,omitempty"`
}
