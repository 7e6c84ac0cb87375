package main

import "time"

// idle leaves consoles alone and looks at what that costs. The base is what the
// same target has with one console and one client.
func idle(r *rig, s scale) (figures, error) {
	n := float64(r.job.consoles)
	alone := r.job
	alone.consoles = 1
	one, err := setup(r.target, alone)
	if err != nil {
		return nil, err
	}
	defer one.close()
	time.Sleep(s.settle)
	base, err := one.use()
	if err != nil {
		return nil, err
	}
	u0, err := r.use()
	if err != nil {
		return nil, err
	}
	t0 := clock()
	time.Sleep(s.idle)
	u1, err := r.use()
	if err != nil {
		return nil, err
	}
	return figures{
		"RSS MiB":       float64(u1.rss) / (1 << 20),
		"KiB/console":   float64(u1.rss-base.rss) / (1 << 10) / (n - 1),
		"connected s":   r.attached.Seconds(),
		"% of a core":   100 * float64(u1.cpu-u0.cpu) / float64(clock()-t0),
		"base RSS, MiB": float64(base.rss) / (1 << 20),
	}, r.err()
}
