package plugins

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"troupe/kernels"
	"troupe/plugins/internal/wire"
)

// look is how often a call that lasts looks at the time, and whether the plugin still lives.
const look = 20 * time.Millisecond

// stall bounds what one look counts for, so that an engine that was stopped for a while, as by Ctrl-Z, does not find
// that its plugins were slow.
const stall = 5 * look

// pace is how long a kernel takes for batches of a size, so that the answer can be awaited awake: waking a thread whose
// processor has gone to sleep takes as long as a small kernel. Where the plugin has a thread for every processor
// there is none to wait on.
type pace struct {
	spare bool
	usual time.Duration // 0: unknown
}

// pacesOf are those of decode and prefill with so many threads.
func pacesOf(t kernels.Threads) [2]pace {
	return [2]pace{{spare: t.Decode < runtime.NumCPU()}, {spare: t.Prefill < runtime.NumCPU()}}
}

// A sleeper whose time is over may wake this much late, and kernels vary by about a tenth: a call is watched from so
// long before its usual end, and the same behind it.
const (
	lateness = 150 * time.Microsecond
	varies   = time.Millisecond // at most
)

func (p *pace) margin() time.Duration { return lateness + min(p.usual/4, varies) }

// await waits for the answer to a call.
func (p *pace) await(l *Library, old uint32, limit time.Duration, first bool) uint32 {
	if !first || !p.spare {
		return l.process.bell.Sleep(old, limit)
	}
	margin := p.margin()
	if early := p.usual - margin; early > 0 {
		if got := l.process.bell.Await(old, min(early, limit)); got != old {
			return got
		}
	}
	if got := l.process.bell.Watch(old, 2*margin); got != old {
		return got
	}
	return l.process.bell.Await(old, limit)
}

// took learns from a call.
func (p *pace) took(d time.Duration) {
	if p.usual == 0 {
		p.usual = d
	}
	p.usual += (d - p.usual) / 8
}

// ask writes a kernel and its frame to the control words, as number i of a call.
func (l *Library) ask(i int, kernel uint64, frame wire.Encoded) {
	item := &l.process.words.Call.Item[i]
	item.Kernel.Store(kernel)
	item.Region.Store(l.room.region)
	item.Offset.Store(uint64(frame.Offset))
	item.Length.Store(uint64(frame.Length))
}

// call rings the plugin's bell for so many items that were asked for, and waits for the answer.
func (l *Library) call(items int, allowance time.Duration, pace *pace) error {
	p, c := l.process, l.process.words
	c.Call.Items.Store(uint64(items))
	c.Answer.Status.Store(0)
	old := l.number
	if l.number++; l.number == numberGone {
		l.number = 1
	}
	limit := p.config.Deadline + allowance
	beat, beatAt := c.Beat.Load(), time.Duration(0)
	start := time.Now()
	last, spent := start, time.Duration(0)
	p.bell.Send(l.number)
	for first := true; ; first = false {
		switch got := pace.await(l, old, min(look, limit), first); got {
		case l.number:
			trip := time.Since(start)
			pace.took(trip)
			if !pace.spare {
				l.near.Look(c.Answer.Place.Load())
			}
			l.stats.trip.Add(int64(trip))
			return l.answer()
		case old:
		case numberGone:
			return l.fail(kernels.Crash, errors.New(p.epitaph()))
		default:
			return l.fail(kernels.Lie, fmt.Errorf("call %d was answered as call %d", l.number, got))
		}
		// Time in which this process was stopped is not the plugin's.
		now := time.Now()
		spent += min(now.Sub(last), stall)
		last = now
		if b := c.Beat.Load(); b != beat {
			beat, beatAt = b, spent
		}
		switch {
		case p.gone.Load():
			return l.fail(kernels.Crash, errors.New(p.epitaph()))
		case spent-beatAt > p.config.Deadline:
			return l.fail(kernels.Hang, fmt.Errorf("no sign of life for %v", p.config.Deadline))
		case spent > limit:
			return l.fail(kernels.Hang, fmt.Errorf("no answer within %v", limit))
		}
	}
}

// answer is what came of the call.
func (l *Library) answer() error {
	c := l.process.words
	l.stats.calls.Add(1)
	l.stats.kernel.Add(int64(min(c.Answer.Nanos.Load(), 1<<50)))
	switch status := c.Answer.Status.Load(); status {
	case wire.Done:
		return nil
	case wire.Failed, wire.Panicked, wire.BadCall:
		return l.fail(kernels.Crash, errors.New(firstLine(c.Said())))
	default:
		return l.fail(kernels.Lie, fmt.Errorf("answered with status %d", status))
	}
}

func firstLine(s string) string {
	for i, r := range s {
		if r == '\n' {
			s = s[:i]
			break
		}
	}
	if s = text(s); s == "" {
		s = "the kernel failed without a word"
	}
	return s
}
