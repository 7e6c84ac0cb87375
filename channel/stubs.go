package channel

import "crypto/tls"

var nullTransport = &transport{name: "null", nowhere: true}
var simTransport = &transport{name: "sim", what: "the name of a simulation"}
var tlsLayer = &layerDef{name: "tls"}
var wsLayer = &layerDef{name: "ws"}

// Credentials are a TLS identity and whom it trusts.
type Credentials struct {
	Certificates []tls.Certificate
}
