package actors

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// mostRecoveries bounds how many are remembered one by one (M2); all are counted.
const mostRecoveries = 1024

// Losses are what has died since the start, and what came of it.
type Losses struct {
	Deaths     int // of parts
	Recoveries int
	Moves      int           // on purpose, by Engine.Move: no losses
	Replayed   int           // rows, as in Recovery
	Resent     int           // batches
	GivenUp    int           // batches
	Longest    time.Duration // until recovered
	Last       []Recovery    // the latest, oldest first
	Injuries   []Injury      // what chaos has done, in order: the first ones
}

// chronicle remembers recoveries and injuries.
type chronicle struct {
	mu       sync.Mutex
	all      Losses
	injuries []*Injury
}

// add completes a recovery and counts it.
func (r *chronicle) add(d *mending) {
	now := time.Since(epoch)
	first := now
	for _, x := range d.deaths {
		first = min(first, x.at)
		d.Deaths = append(d.Deaths, x.Death)
	}
	for _, m := range d.moves {
		first = min(first, m.at)
	}
	d.Recovered = now - first
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range d.deaths {
		if x.injury != nil {
			x.injury.Noticed, x.injury.Recovered, x.injury.Replayed, x.injury.Outcome = x.Noticed, now-x.at, d.Replayed, Recovered
		}
	}
	l := &r.all
	l.Moves += len(d.moves)
	if len(d.deaths) == 0 {
		return
	}
	l.Deaths, l.Recoveries, l.Replayed, l.Resent, l.GivenUp = l.Deaths+len(d.Deaths), l.Recoveries+1, l.Replayed+d.Replayed, l.Resent+d.Resent, l.GivenUp+d.GivenUp
	l.Longest = max(l.Longest, d.Recovered)
	if len(l.Last) == mostRecoveries {
		l.Last = slices.Delete(l.Last, 0, 1)
	}
	l.Last = append(l.Last, d.Recovery)
}

// mostInjuries bounds how many are remembered (M2).
const mostInjuries = 1 << 16

// injure notes what chaos is about to do.
func (r *chronicle) injure(i *Injury) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.injuries) < mostInjuries {
		r.injuries = append(r.injuries, i)
	}
}

// outlived says that an injury met a part that was dead already.
func (r *chronicle) outlived(i *Injury) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i.Outcome = WasDead
}

// sums are the losses without what is remembered one by one.
func (r *chronicle) sums() Losses {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.all
	l.Last = nil
	return l
}

// losses is a copy.
func (r *chronicle) losses() Losses {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.all
	l.Last = slices.Clone(l.Last)
	for _, i := range r.injuries {
		l.Injuries = append(l.Injuries, *i)
	}
	return l
}

// Losses says what has died so far, also when the engine has ended.
func (e *Engine) Losses() Losses { return e.keeper.chronicle.losses() }

func comparePart(a, b Part) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Index, b.Index), cmp.Compare(a.Expert, b.Expert))
}
