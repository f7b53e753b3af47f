package doorbell

import (
	"sync/atomic"
	"time"
)

// Words is one direction: the number of the last message, which its sender writes, and whether the other
// side sleeps until it changes.
type Words struct {
	Number atomic.Uint32
	_      [60]byte // a cache line each
	Asleep atomic.Uint32
	_      [60]byte
}

// spins is how often a word is looked at before its watcher sleeps: a microsecond or two. Longer would take
// a processor from those who compute the answer.
const spins = 1000

// Bell is one side's view of both directions.
type Bell struct {
	Out, In *Words
	Wake    Waker
}

// Waker puts the watcher of a word to sleep and wakes the other side's.
type Waker interface {
	// Wait sleeps while words.Number is old, at most for the time given. It may return early.
	Wait(words *Words, old uint32, limit time.Duration)
	// Wake wakes who sleeps on words.
	Wake(words *Words)
}

// Send publishes a number, and all that was written to shared memory before.
func (b *Bell) Send(number uint32) {
	b.Out.Number.Store(number)
	if b.Out.Asleep.Load() != 0 {
		b.Wake.Wake(b.Out)
	}
}

// Watch is Await for a short time, without sleep: waking a thread takes 10 µs, and 50 and more when its processor has
// gone to sleep as well, most of all in a virtual machine. Other threads that want the processor get it.
func (b *Bell) Watch(old uint32, limit time.Duration) uint32 {
	for begin := time.Now(); ; giveWay() {
		for range 32 {
			if n := b.In.Number.Load(); n != old {
				return n
			}
		}
		if time.Since(begin) > limit {
			return old
		}
	}
}

// Await returns the other side's number when it is no longer old, or old after the time given. It looks for a moment
// before it sleeps.
func (b *Bell) Await(old uint32, limit time.Duration) uint32 {
	for range spins {
		if n := b.In.Number.Load(); n != old {
			return n
		}
	}
	return b.Sleep(old, limit)
}

// Sleep is Await for those on whose processor the other side may be waiting to compute the answer.
func (b *Bell) Sleep(old uint32, limit time.Duration) uint32 {
	// The sender looks at Asleep after it has stored its number; so either it wakes us, or we see the number.
	b.In.Asleep.Store(1)
	if b.In.Number.Load() == old {
		b.Wake.Wait(b.In, old, limit)
	}
	b.In.Asleep.Store(0)
	return b.In.Number.Load()
}
