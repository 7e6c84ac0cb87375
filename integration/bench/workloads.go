package main

import (
	"fmt"
	"time"
)

// A runFunc measures one round on a rig that is set up.
type runFunc func(r *rig, s scale) (figures, error)

// A workload is one job and how it is measured.
type workload struct {
	name  string
	job   job
	run   runFunc
	goals []goal
}

// A section is workloads that stand in one table.
type section struct {
	name      string
	metrics   []string // the table's columns
	workloads []workload
}

// A scale is how long things are measured.
type scale struct {
	rounds  int
	bulk    time.Duration // a device writes
	keys    int           // typed a round
	isolate time.Duration // each phase of a workload with a client that lags
}

var (
	full  = scale{rounds: 5, bulk: 500 * time.Millisecond, keys: 3000, isolate: 3 * time.Second}
	quick = scale{rounds: 3, bulk: 300 * time.Millisecond, keys: 1500, isolate: time.Second}
)

func sections() []section {
	one := func(dev, front string, n int) job { return job{device: dev, front: front, consoles: 1, clients: n} }
	fast := func(rate, cpu float64) []goal { return []goal{atLeast(rate, "MB/s"), atMost(cpu, "CPU-s/GB")} }
	wait := []goal{atMost(1.25, "p50 µs"), atMost(1.1, "p99 µs")}
	beside := []goal{atMost(0.5, "p50 µs"), atMost(1, "p99 µs")}
	lossy := job{device: "unix", front: "tcp", consoles: 1, clients: 8, lossy: true}

	fan := section{name: "Fan-out, sum of all clients", metrics: []string{"MB/s", "CPU-s/GB"}}
	for _, n := range []int{1, 8, 64, 512, 4000} {
		w := workload{fmt.Sprintf("unix→%d tcp", n), one("unix", "tcp", n), bulk(chunkMax), fast(1, 1.1)}
		if n == 1 {
			w.goals = fast(0.9, 1.2)
		}
		if n == 4000 {
			w.goals = nil // its goal is the rate at 512
		}
		fan.workloads = append(fan.workloads, w)
	}
	fan.workloads = append(fan.workloads,
		workload{"unix→8 tls", one("unix", "tls", 8), bulk(chunkMax), []goal{atLeast(1.1, "MB/s")}},
		workload{"unix→8 ws", one("unix", "ws", 8), bulk(chunkMax), []goal{atLeast(0.95, "MB/s")}})

	echoes := section{name: "Keystroke echo", metrics: []string{"p50 µs", "p99 µs", "CPU µs/key", "MB/s beside"}}
	for _, k := range []struct{ dev, front string }{{"unix", "tcp"}, {"unix", "tls"}, {"unix", "ws"}, {"pty", "tcp"}} {
		echoes.workloads = append(echoes.workloads, workload{"echo " + k.dev + "→" + k.front, one(k.dev, k.front, 1), echo, wait})
	}
	for _, front := range []string{"tcp", "tls", "ws"} {
		j := one("unix", front, 1)
		j.consoles = 2
		echoes.workloads = append(echoes.workloads, workload{"echo unix→" + front + " beside full load", j, echoBeside, beside})
	}

	return []section{
		{"Bulk, one device to one client", []string{"MB/s", "CPU-s/GB"}, []workload{
			{"bulk unix→tcp", one("unix", "tcp", 1), bulk(chunkMax), fast(0.9, 1.2)},
			{"bulk tcp→tcp", one("tcp", "tcp", 1), bulk(chunkMax), fast(0.9, 1.2)},
			{"bulk unix→unix", one("unix", "unix", 1), bulk(chunkMax), fast(0.9, 1.2)},
			{"bulk unix→tls", one("unix", "tls", 1), bulk(chunkMax), fast(1, 1)},
			{"bulk unix→ws", one("unix", "ws", 1), bulk(chunkMax), fast(0.9, 1.2)},
			{"bulk pty→tcp", one("pty", "tcp", 1), bulk(chunkMax), fast(0.9, 1.2)},
			{"bulk unix→tcp, 64-byte writes", one("unix", "tcp", 1), bulk(64), fast(0.9, 1.2)},
		}},
		fan,
		echoes,
		{"One of eight clients stops reading", []string{"before MB/s", "after MB/s", "last third MB/s", "kept", "memory MB"}, []workload{
			{"stopped", lossy, stopped, []goal{noLess(0.95, "kept")}},
		}},
		{"One of eight clients reads 1 MB/s", []string{"with MB/s", "without MB/s", "kept"}, []workload{
			{"slow", lossy, slow, []goal{noLess(0.95, "kept")}},
		}},
	}
}
