package chardev

import (
	"sync"
	"syscall"
	"time"

	"chardevd/chardev/internal/history"
)

const (
	// cedeAfter is how many bytes a goroutine whose device is at full rate writes until it
	// cedes its core, by sched_yield(2), to who waits for it: mostly those who are to read
	// these bytes, which are in the core's own cache yet. Without it both sides have the
	// core for time slices of 3 ms, in which 10 MB are written that all go to memory and
	// come back from there. Measured, beside the version without: 1.1 to 1.2 times the rate
	// to one client, to 8 and to 4 000, for 0.7 to 0.9 of the CPU time. Half as many bytes are
	// no better to one client and worse to many, twice as many are as good to many.
	cedeAfter = 2 * history.MaxBlock

	// workMost is more than two blocks take, with a few under TLS between them. Who took
	// longer has waited, for his device or for a core, and that is no work: it earns nothing,
	// and readers need no longer for the same bytes. Measured without this limit, for a
	// device of 100 MB/s beside two who compute: they had a third of the time, and with it
	// a tenth.
	workMost = time.Millisecond / 2

	// readersTime is how long a reader may have a core, in the time that writing took.
	readersTime = 3

	// Who takes a core for longer is likely no reader, but somebody who computes, such as
	// a guest's processor, and keeps it for a whole time slice. Of that the daemon gives
	// so little (1 in strangersPart of the time that it writes, in advance strangersMost)
	// that it has about the share of a core that it would have otherwise (measured beside
	// two that compute: 0.9 of the rate without; without this limit a quarter).
	strangersPart = 8
	strangersMost = 50 * time.Millisecond

	// debtMost is the most that is due. Who was stopped (SIGSTOP, a frozen cgroup, a paused
	// machine) while he had ceded his core gave nothing to strangers, and would not cede
	// again for eight times as long.
	debtMost = 2 * strangersMost
)

// A ceder cedes the core of the goroutine that has it. For the nil one it is never time.
type ceder struct {
	bytes int    // written since
	since moment // when it last could have ceded
}

func newCeder() *ceder { return &ceder{since: thisMoment()} }

// wrote notes that n bytes were written, and returns whether it is time to cede.
func (c *ceder) wrote(n int) bool {
	if c == nil {
		return false
	}
	c.bytes += n
	return c.bytes >= cedeAfter
}

// cede lets those run who wait for the core, unless strangers had much of it.
func (c *ceder) cede() {
	now := thisMoment()
	worked := c.worked(now)
	c.bytes, c.since = 0, now
	if !strangers.mayHave(worked) {
		return
	}
	syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) // it can not fail
	c.since = thisMoment()
	strangers.had(c.since.since(now) - readersTime*worked)
}

// worked is how long its goroutine has worked since it last could have ceded.
func (c *ceder) worked(now moment) time.Duration { return min(now.since(c.since), workMost) }

// strangers are those who are no readers and take a core that is ceded, which all
// consoles share.
var strangers debt

// A debt is time that was ceded and has not been earned by work.
type debt struct {
	mu  sync.Mutex
	due time.Duration
}

// mayHave notes some work, and says whether there may be more debt.
func (d *debt) mayHave(worked time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.due = max(0, d.due-worked/strangersPart)
	return d.due < strangersMost
}

// had notes what was ceded for nothing; if it is negative there was nothing.
func (d *debt) had(t time.Duration) {
	if t <= 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.due = min(d.due+t, debtMost)
}
