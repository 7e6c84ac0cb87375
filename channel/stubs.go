package channel

var ptyTransport = &transport{name: "pty", what: "a path", file: true, options: fileOptions}
var execTransport = &transport{name: "exec", what: "a command", raw: true}
var nullTransport = &transport{name: "null", nowhere: true}
var simTransport = &transport{name: "sim", what: "the name of a simulation"}
var tcpTransport = &transport{name: "tcp", hostport: true}
var unixTransport = &transport{name: "unix", what: "a path", file: true, options: fileOptions}
var wsLayer = &layerDef{name: "ws"}
