package channel

import "crypto/tls"

var nullTransport = &transport{name: "null", nowhere: true}
var simTransport = &transport{name: "sim", what: "the name of a simulation"}
var tcpTransport = &transport{name: "tcp", hostport: true}
var unixTransport = &transport{name: "unix", what: "a path", file: true, options: fileOptions}
var tlsLayer = &layerDef{name: "tls"}
var wsLayer = &layerDef{name: "ws"}

// Credentials are a TLS identity and whom it trusts.
type Credentials struct {
	Certificates []tls.Certificate
}
