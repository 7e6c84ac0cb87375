package channel

// The names in the tables, for the conformance test.
var (
	TransportNames = transportNames
	LayerNames     = layerNames
)
