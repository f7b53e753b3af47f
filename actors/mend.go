package actors

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"troupe/stages/sched"
)

// mostDeaths is at how many deaths at the same batch, other than on purpose, it is given up: what dies of the same
// input again and again is a bug, and other requests are to go on.
const mostDeaths = 3

// mending is how the head comes back to what was: stages that have lost their cache compute it again, and then the
// batches that were on their way are sent again, whole, in the order in which they left.
type mending struct {
	Recovery
	deaths   []death
	moves    []*restart
	torn     []bool        // by stage: its cache is not complete
	lost     []*credit     // batches to send again, oldest first
	spans    []replaySpan  // still to be replayed; the first is under way
	replay   *sched.Replay // of the first span; nil: not begun
	idle     []*credit     // for batches of the replay, at home
	replayed []*credit     // on their way
}

// replaySpan is a run of stages that compute again what the first of them has in its journal, or stage 0 from tokens.
type replaySpan struct{ enter, until int }

// restart begins a recovery, or begins it again when a part has died in the middle of one.
func (h *headActor) restart(m *restart) {
	h.epoch, h.stages, h.lacks = m.epoch, m.stages, nil
	d := h.mend
	if d == nil {
		d = &mending{torn: make([]bool, len(h.stages))}
		h.mend = d
	}
	d.deaths = append(d.deaths, m.deaths...)
	h.blame(m.deaths)
	if m.done != nil {
		d.moves = append(d.moves, m)
	}
	for _, p := range m.moved {
		if p.Kind == StagePart {
			d.torn[p.Index] = true
		}
	}
	for _, death := range m.deaths {
		if death.Part.Kind == StagePart {
			d.torn[death.Part.Index] = true
		}
	}
	d.lost = append(h.away, d.lost...) // either is empty: batches leave when all that was lost has left
	h.away = nil
	for i, c := range d.lost {
		d.lost[i] = c.again()
	}
	h.giveUp()
	h.endReplay()
	d.spans = h.engine.spans(d.torn)
	d.idle = d.idle[:0]
	for _, c := range h.engine.credits {
		d.idle = append(d.idle, newCredit(c.slot, c.batch.Twin(), len(c.work), c.now))
	}
}

// spans are what stages without a cache need: each its own with journals, else all from the first on.
func (e *Engine) spans(torn []bool) (all []replaySpan) {
	for i, t := range torn {
		switch {
		case !t:
		case i == 0 || e.journals[i] != nil:
			all = append(all, replaySpan{i, i})
		default:
			all = []replaySpan{{0, i}}
		}
	}
	return all
}

// blame counts deaths at the batches where they happened, each batch once.
func (h *headActor) blame(deaths []death) {
	var counted []*credit
	for _, death := range deaths {
		c := death.credit
		if c == nil || death.Killed || slices.Contains(counted, c) {
			continue
		}
		counted = append(counted, c)
		c.err = fmt.Errorf("actors: BUG: %v has died %d times at the same batch: panic: %s: please report it with the log of the part actors", death.Part, mostDeaths, death.Reason)
		switch {
		case slices.Contains(h.away, c):
			c.deaths++
		case slices.Contains(h.mend.replayed, c):
			h.events = h.mend.replay.Blame(c.batch, mostDeaths, c.err, h.events)
		}
	}
}

// giveUp fails batches at which parts have died too often; all of them when the engine ends.
func (h *headActor) giveUp() {
	d := h.mend
	d.lost = slices.DeleteFunc(d.lost, func(c *credit) bool {
		if c.deaths < mostDeaths && h.leaving == nil {
			return false
		}
		if h.leaving == nil {
			d.GivenUp++
			h.engine.log.Warn("batch given up", slog.Uint64("batch", c.batch.ID), slog.Any("error", c.err))
		}
		h.fail(c)
		return true
	})
}

// endReplay lets go of the rows that were to be computed again.
func (h *headActor) endReplay() {
	d := h.mend
	for _, c := range d.replayed {
		h.engine.binder.ledger.land(c.batch.Generation, false)
	}
	d.replayed = d.replayed[:0]
	if d.replay != nil {
		d.replay.End()
		d.replay = nil
	}
}

// mended goes on with a recovery and reports whether it is over.
func (h *headActor) mended(c actor.Context) bool {
	d := h.mend
	if h.leaving != nil { // no more is sent, and what is on its way comes home first
		if len(d.replayed) > 0 {
			return false
		}
		h.endReplay()
		d.spans = nil
		h.giveUp()
	}
	for ; len(d.spans) > 0; d.spans = d.spans[1:] {
		if d.replay == nil {
			d.replay = h.sched.Replay()
		}
		h.sendReplay(c)
		if len(d.replayed) > 0 {
			return false
		}
		h.endReplay()
		for i := d.spans[0].enter; i <= d.spans[0].until; i++ {
			d.torn[i] = false
		}
	}
	for _, lost := range d.lost {
		lost.batch.Rewind()
		h.depart(c, lost)
	}
	d.Resent += len(d.lost)
	h.engine.keeper.chronicle.add(d)
	h.tellMended(d)
	for _, m := range d.moves {
		h.moves = append(h.moves, func() { m.done <- d.Recovery })
	}
	if len(d.lost) == 0 {
		h.moved()
	}
	h.mend = nil
	return true
}

// sendReplay sends batches of the replay while there are credits for them.
func (h *headActor) sendReplay(c actor.Context) {
	d, ledger := h.mend, h.engine.binder.ledger
	for len(d.idle) > 0 {
		b := d.idle[len(d.idle)-1]
		b.batch.Generation = ledger.depart()
		if !d.replay.Next(b.batch) {
			ledger.land(b.batch.Generation, false)
			return
		}
		d.idle = d.idle[:len(d.idle)-1]
		d.replayed = append(d.replayed, b)
		d.Replayed += b.batch.Frame.Rows.N * (d.spans[0].until - d.spans[0].enter + 1)
		b.replay, b.enter, b.until = true, d.spans[0].enter, d.spans[0].until
		c.Send(h.stages[b.enter], b.leave(h.epoch, c.Self()))
	}
}

// replayHome takes a batch of the replay back. An error of a kernel fails the requests that have rows in it.
func (h *headActor) replayHome(c *credit, err error) {
	d := h.mend
	h.engine.binder.ledger.land(c.batch.Generation, false)
	if err != nil {
		h.events = d.replay.Fail(c.batch, err, h.events)
	}
	d.replayed = remove(d.replayed, c)
	d.idle = append(d.idle, c)
}

// moved tells of moves that they are over: not before a batch has come home, so that moves one after the other hold
// nobody up for ever.
func (h *headActor) moved() {
	for _, tell := range h.moves {
		tell()
	}
	h.moves = h.moves[:0]
}

func remove(list []*credit, c *credit) []*credit {
	i := slices.Index(list, c)
	return slices.Delete(list, i, i+1)
}

func (h *headActor) tellMended(d *mending) {
	var parts, moved []string
	for _, m := range d.moves {
		for _, p := range m.moved {
			moved = append(moved, p.String())
		}
	}
	for _, x := range d.Deaths {
		parts = append(parts, x.Part.String())
	}
	h.engine.log.Info("recovered", slog.Any("parts", parts), slog.Any("moved", moved), slog.Duration("after", d.Recovered.Round(time.Microsecond)),
		slog.Int("rows computed again", d.Replayed), slog.Int("batches sent again", d.Resent), slog.Int("given up", d.GivenUp))
}
