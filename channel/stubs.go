package channel

var wsLayer = &layerDef{name: "ws"}
