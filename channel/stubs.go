package channel

var nullTransport = &transport{name: "null", nowhere: true}
var simTransport = &transport{name: "sim", what: "the name of a simulation"}
