package actors

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Stop ends the engine, in the reverse order of Start: requests are cancelled, batches come home, actors
// stop, caches and libraries are closed, threads end. It waits for that until ctx ends; then it says what
// it still waited for, and giving back goes on behind it. A second call waits for the first one's end.
func (e *Engine) Stop(ctx context.Context) error {
	e.stop.Do(func() {
		e.phase.Store("waiting for batches in flight")
		go func() {
			defer close(e.stopped)
			e.callHome()
			e.stopErr = e.giveBack()
			e.log.Info("stopped")
		}()
	})
	select {
	case <-e.stopped:
		return e.stopErr
	case <-ctx.Done():
		return fmt.Errorf("actors: stop: still %s: %w: allow more time, or end the process", e.phase.Load(), ctx.Err())
	}
}

// callHome has the head cancel all requests, and waits for the batches in flight.
func (e *Engine) callHome() {
	home := make(chan struct{})
	e.tell(&leave{home})
	select {
	case <-home:
	case <-e.ended: // after a panic they may never come
	}
	e.finish(ErrStopped)
}

// giveBack stops the actors and closes everything; a half-started engine too.
func (e *Engine) giveBack() error {
	e.phase.Store("waiting for libraries")
	e.binder.stop()
	e.keeper.stop()
	e.keeper.goOn(0)
	var byes sync.WaitGroup
	for _, h := range e.hosts {
		byes.Go(func() { h.bye("the run is over") })
	}
	byes.Wait()
	for _, h := range e.hosts {
		h.lending.Wait()
	}
	e.phase.Store("stopping actors")
	for i := len(e.actors) - 1; i >= 0; i-- {
		e.system.Root.Stop(e.actors[i])
	}
	e.alive.Wait() // from here on no kernel runs
	e.phase.Store("closing")
	var errs []error
	for _, c := range e.credits {
		errs = append(errs, c.batch.Close())
	}
	for _, j := range e.journals {
		if j != nil {
			errs = append(errs, j.Close())
		}
	}
	for _, r := range e.rooms.all() {
		if r != nil {
			r.lane.do(func() { errs = append(errs, r.close()) })
		}
	}
	for i := len(e.devices) - 1; i >= 0; i-- {
		e.devices[i].lane.stop()
	}
	if e.keeper.options.Net == nil {
		e.system.Shutdown()
	}
	return errors.Join(errs...)
}
