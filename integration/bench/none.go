package main

// none is no target at all: the client at the device itself. It shows what the
// devices and clients of the benchmark could do.
type none struct{}

func (none) name() string { return "(none)" }

func (none) can(j job) bool {
	return j.log == "" && j.device == "unix" && j.front == "unix" && j.consoles == 1 && j.clients == 1
}

func (none) start(_ string, _ job, consoles []*console) (*instance, error) {
	consoles[0].front.addr = consoles[0].dev.addr
	return &instance{}, nil
}
