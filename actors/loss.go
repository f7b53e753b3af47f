package actors

import (
	"errors"
	"fmt"
	"log/slog"
)

// OnLoss is what becomes of requests when no device can take what was lost with a worker.
type OnLoss uint8

// Either way the engine stays up, and goes on when a device comes.
const (
	WaitOnLoss OnLoss = iota // requests keep their streams and wait
	FailOnLoss               // they end with the reason, and new ones are refused with it
)

// String is how ParseOnLoss reads it.
func (o OnLoss) String() string { return [...]string{"wait", "fail"}[o] }

// ParseOnLoss reads wait or fail.
func ParseOnLoss(s string) (OnLoss, error) {
	for o := WaitOnLoss; o <= FailOnLoss; o++ {
		if o.String() == s {
			return o, nil
		}
	}
	return 0, fmt.Errorf("%q, want wait or fail", s)
}

// short comes from the keeper when no device takes what was lost. A restart ends it.
type short struct{ why error }

// miss tells that the company is not complete: the head at once, people the first time.
func (k *keeper) miss(t *troop, parts []Part, refusals []error) {
	what := parts[0].String()
	if n := len(parts) - 1; n > 0 {
		what = fmt.Sprintf("%s and %d more parts", what, n)
	}
	refused := ""
	if len(refusals) > 0 {
		refused = fmt.Sprintf(" (%v)", refusals[0])
	}
	why := fmt.Errorf("actors: %s: gone: %w; no device can take over%s: start a worker there again, or one that is named as a spare", what, t.host.reason(), refused)
	k.mu.Lock()
	first := k.missing == nil
	k.missing = why
	k.mu.Unlock()
	if !first {
		return
	}
	k.engine.log.Warn("no device for what was lost: "+map[OnLoss]string{WaitOnLoss: "requests wait", FailOnLoss: "requests end"}[k.options.OnLoss], slog.Any("reason", why))
	k.engine.tell(&short{why})
}

// complete notes that nobody is missing any more.
func (k *keeper) complete() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.missing != nil {
		k.engine.log.Warn("all that was lost is there again: requests go on")
	}
	k.missing = nil
}

// reason is why there is no session.
func (h *host) reason() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.why == nil {
		return errors.New("worker " + h.address)
	}
	return h.why
}

// short ends what waits for a part that nobody can take, if that is wanted, or if the engine is to stop.
func (h *headActor) short(why error) {
	h.lacks = why
	if h.engine.keeper.options.OnLoss == FailOnLoss || h.leaving != nil {
		h.failAll(why)
	}
}

// failAll ends all requests. No batch is on its way: who had them is lost, and nobody else is at work.
func (h *headActor) failAll(why error) {
	lost := h.away
	h.away = nil
	if d := h.mend; d != nil {
		lost = append(lost, d.lost...)
		d.lost = nil
		h.endReplay()
		d.spans = nil
	}
	for _, c := range lost {
		c.err = why
		h.fail(c)
	}
	h.events = h.sched.FailAll(why, h.events)
}
