package channel

import "crypto/tls"

var ptyTransport = &transport{name: "pty", what: "a path", file: true, options: fileOptions}
var execTransport = &transport{name: "exec", what: "a command", raw: true}
var nullTransport = &transport{name: "null", nowhere: true}
var simTransport = &transport{name: "sim", what: "the name of a simulation"}
var tlsLayer = &layerDef{name: "tls"}
var wsLayer = &layerDef{name: "ws"}

// Credentials are a TLS identity and whom it trusts.
type Credentials struct {
	Certificates []tls.Certificate
}
