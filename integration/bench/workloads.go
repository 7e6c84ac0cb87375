package main

import (
	"fmt"
	"time"
)

// A runFunc measures one round on a rig that is set up.
type runFunc func(r *rig, s scale) (figures, error)

// A workload is one job and how it is measured.
type workload struct {
	name   string
	job    job
	run    runFunc
	goals  []goal
	versus string // another workload of the section, whose rate is compared, too
	most   int    // rounds that must do, since it is long or has little noise in it; 0: all
	long   bool   // not in a quick run
}

// A section is workloads that stand in one table.
type section struct {
	name      string
	metrics   []string // the table's columns
	workloads []workload
}

// versusRate is a metric: the rate over that of the workload it is compared with.
const versusRate = "of that of 512"

// A scale is how long things are measured.
type scale struct {
	rounds  int
	bulk    time.Duration // a device writes
	keys    int           // typed a round,
	typing  time.Duration // if they can be in this time
	isolate time.Duration // a client lags; the goals are of 3 s: in less the wait at its beginning weighs more
	settle  time.Duration // after everybody is attached
	idle    time.Duration // nothing happens
	breaks  int           // a device goes away
	boot    time.Duration // many guests boot
}

var (
	full = scale{rounds: 5, bulk: 500 * time.Millisecond, keys: 3000, typing: 400 * time.Millisecond, isolate: 3 * time.Second,
		settle: time.Second, idle: 2 * time.Second, breaks: 4, boot: 2 * time.Second}
	quick = scale{rounds: 3, bulk: 300 * time.Millisecond, keys: 1500, typing: 300 * time.Millisecond, isolate: 3 * time.Second,
		settle: time.Second / 2, idle: time.Second, breaks: 2, boot: time.Second}
)

func sections() []section {
	one := func(dev, front string, n int) job { return job{device: dev, front: front, consoles: 1, clients: n} }
	fast := func(rate, cpu float64) []goal { return []goal{atLeast(rate, "MB/s"), atMost(cpu, "CPU-s/GB")} }
	wait := []goal{atMost(1.25, "p50 µs"), atMost(1.1, "p99 µs")}
	beside := []goal{atMost(0.5, "p50 µs"), atMost(1, "p99 µs")}
	lossy := job{device: "unix", front: "tcp", consoles: 1, clients: 8, lossy: true}

	fan := section{name: "Fan-out, sum of all clients", metrics: []string{"MB/s", "CPU-s/GB", versusRate}}
	for _, n := range []int{1, 8, 64, 512, 4000} {
		w := workload{name: fmt.Sprintf("unix→%d tcp", n), job: one("unix", "tcp", n), run: bulk(chunkMax), goals: fast(1, 1.1)}
		if n == 1 {
			w.goals = fast(0.9, 1.2)
		}
		if n >= 512 {
			w.run = sustained(chunkMax)
		}
		if n == 4000 {
			w.versus, w.goals = "unix→512 tcp", []goal{noLess(0.9, versusRate)}
		}
		fan.workloads = append(fan.workloads, w)
	}
	fan.workloads = append(fan.workloads,
		workload{name: "unix→8 tls", job: one("unix", "tls", 8), run: bulk(chunkMax), goals: []goal{atLeast(1.1, "MB/s")}},
		workload{name: "unix→8 ws", job: one("unix", "ws", 8), run: bulk(chunkMax), goals: []goal{atLeast(0.95, "MB/s")}})

	logs := section{name: "With log", metrics: []string{"MB/s", "CPU-s/GB"}}
	for _, k := range []struct{ name, setting string }{{"logged", `{ max_size = "256MiB", keep = 2 }`}, {"logged, 4 × 4 MiB", "true"}} {
		for _, n := range []int{1, 8} {
			w := workload{name: fmt.Sprintf("unix→%d tcp, %s", n, k.name), job: one("unix", "tcp", n), run: bulk(chunkMax), goals: []goal{atLeast(0.9, "MB/s")}}
			w.job.log = k.setting
			logs.workloads = append(logs.workloads, w)
		}
	}

	// What a log adds: to a console that prints at 20 MB/s, and to a key.
	logs.metrics = append(logs.metrics, "p50 µs", "p99 µs")
	for _, setting := range []string{"", "true"} {
		name := map[string]string{"": "not logged", "true": "logged"}[setting]
		paced := workload{name: "unix→tcp at 20 MB/s, " + name, job: one("unix", "tcp", 1), run: steady(4<<10, 20e6)}
		key := workload{name: "echo unix→tcp, " + name, job: one("unix", "tcp", 1), run: echo}
		paced.job.log, key.job.log = setting, setting
		logs.workloads = append(logs.workloads, paced, key)
	}

	echoes := section{name: "Keystroke echo", metrics: []string{"p50 µs", "p99 µs", "CPU µs/key", "MB/s beside"}}
	for _, k := range []struct{ dev, front string }{{"unix", "tcp"}, {"unix", "tls"}, {"unix", "ws"}, {"pty", "tcp"}} {
		echoes.workloads = append(echoes.workloads, workload{name: "echo " + k.dev + "→" + k.front, job: one(k.dev, k.front, 1), run: echo, goals: wait})
	}
	for _, front := range []string{"tcp", "tls", "ws"} {
		j := one("unix", front, 1)
		j.consoles = 2
		echoes.workloads = append(echoes.workloads, workload{name: "echo unix→" + front + " beside full load", job: j, run: echoBeside, goals: beside})
	}

	idles := section{name: "Idle consoles with a client each", metrics: []string{"KiB/console", "RSS MiB", "connected s", "% of a core"}}
	for _, k := range []struct {
		front string
		kib   float64
	}{{"tcp", 14}, {"ws", 18}, {"tls", 32}} {
		for _, n := range []int{10, 100, 1000, 5000} {
			w := workload{name: fmt.Sprintf("idle %d %s", n, k.front), job: one("unix", k.front, 1), run: idle, most: 1, long: n > 1000 || n < 100}
			w.job.consoles = n
			if n == 1000 { // with fewer, what the process itself needs hides them
				w.goals = []goal{noMore(k.kib, "KiB/console")}
			}
			if n == 5000 && k.front == "tcp" {
				w.goals = []goal{noMore(90, "RSS MiB"), noMore(3, "connected s"), noMore(0.5, "% of a core")}
			}
			idles.workloads = append(idles.workloads, w)
		}
	}

	return []section{
		{"Bulk, one device to one client", []string{"MB/s", "CPU-s/GB"}, []workload{
			{name: "bulk unix→tcp", job: one("unix", "tcp", 1), run: bulk(chunkMax), goals: fast(0.9, 1.2)},
			{name: "bulk tcp→tcp", job: one("tcp", "tcp", 1), run: bulk(chunkMax), goals: fast(0.9, 1.2)},
			{name: "bulk unix→unix", job: one("unix", "unix", 1), run: bulk(chunkMax), goals: fast(0.9, 1.2)},
			{name: "bulk unix→tls", job: one("unix", "tls", 1), run: bulk(chunkMax), goals: fast(1, 1)},
			{name: "bulk unix→ws", job: one("unix", "ws", 1), run: bulk(chunkMax), goals: fast(0.9, 1.2)},
			{name: "bulk unix→telnet", job: one("unix", "telnet", 1), run: bulk(chunkMax), goals: fast(0.9, 1.2)},
			{name: "bulk pty→tcp", job: one("pty", "tcp", 1), run: bulk(chunkMax), goals: fast(0.9, 1.2)},
			{name: "bulk unix→tcp, 64-byte writes", job: one("unix", "tcp", 1), run: bulk(64), goals: fast(0.9, 1.2)},
		}},
		fan,
		logs,
		echoes,
		{"One of eight clients stops reading", []string{"before MB/s", "after MB/s", "last third MB/s", "kept", "memory MB"}, []workload{
			{name: "stopped", job: lossy, run: stopped, goals: []goal{noLess(0.95, "kept"), noMore(0.262, "memory MB")}},
		}},
		{"One of eight clients reads 1 MB/s", []string{"with MB/s", "without MB/s", "kept"}, []workload{
			{name: "slow", job: lossy, run: slow, goals: []goal{noLess(0.95, "kept")}},
		}},
		idles,
		{"The device is gone for 0.5 s and back", []string{"back ms", "worst ms", "clients dropped, of 1"}, []workload{
			{name: "gone", job: one("unix", "tcp", 1), run: gone, goals: []goal{noMore(0, "clients dropped, of 1")}, most: 3},
		}},
		{"200 boot logs at once, 50 000 lines/s", []string{"p50 µs", "p99 µs", "CPU µs/line"}, []workload{
			{name: "boot logs", job: job{device: "unix", front: "tcp", consoles: 200, clients: 1}, run: bootLogs,
				goals: []goal{atMost(1.5, "p99 µs"), atMost(1.3, "CPU µs/line")}},
		}},
	}
}
