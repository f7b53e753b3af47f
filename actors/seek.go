package actors

import (
	"log/slog"
	"time"

	"troupe/stages/place"
)

// seek looks for a worker that is not there, behind everybody's back, until it is there or the engine ends. A worker
// that is frozen takes all the time there is to be reached, so nobody waits for that.
func (k *keeper) seek(h *host) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		return
	}
	first := h.rest()
	k.seekers.Go(func() {
		for pause := first; ; pause = min(2*pause, seekLast) {
			select {
			case <-k.quit:
				return
			case <-k.engine.ended:
				return
			case <-time.After(pause):
			}
			ctx, cancel := k.patience(knockPatience)
			err := h.connect(ctx)
			cancel()
			if err == nil {
				k.engine.log.Info("worker is back", slog.String("worker", h.address))
				select {
				case k.back <- struct{}{}:
				default:
				}
				return
			}
			k.engine.log.Debug("worker not found", slog.Any("error", err))
		}
	})
}

// rest is how long after its loss a worker is left alone: longer each time when it has been lost soon after it came,
// so that one that breaks at what it is given is not given it without end.
func (h *host) rest() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.brief++; time.Since(epoch)-h.begun > steady {
		h.brief = 0
	}
	return min(seekFirst<<min(h.brief, 16), seekLast)
}

// steady is how long a session lasts with a worker that is well.
const steady = 5 * time.Second

// idle are devices that workers have and nobody has named: they are spare as well.
func (e *Engine) idle(o *Options) (devices []place.Device) {
	named := func(h *host, number int) bool {
		for _, list := range [][]place.Device{o.Placement.Devices, o.Spare} {
			for _, d := range list {
				if d.Host == h.address && d.Number == number {
					return true
				}
			}
		}
		return false
	}
	for _, h := range e.hosts {
		h.mu.Lock()
		for i, d := range h.offers {
			if !named(h, i) {
				devices = append(devices, place.Device{Name: d.Name, Threads: int(d.Threads), Prefill: int(d.Prefill), Memory: int64(d.Memory), Host: h.address, Number: i})
			}
		}
		h.mu.Unlock()
	}
	return devices
}
