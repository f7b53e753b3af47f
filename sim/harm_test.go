package sim

import (
	"fmt"
	"sync"
	"time"
)

// harm does something bad to hosts and links at times drawn from the seed, and mends it again. It returns what is done.
func (c *company) harm(over time.Duration, busy *sync.WaitGroup) (done []string) {
	rng := c.rng
	fate := make(map[int]time.Duration) // workers that have one already: until when
	for range rng.IntN(5) {
		at, i := time.Duration(rng.Int64N(int64(over))), rng.IntN(len(c.workers))
		length := time.Duration(rng.Int64N(int64(3 * silence)))
		delay := micros(rng, 0, 5000)
		host, what := worker(i), ""
		if at < fate[i] {
			continue
		}
		fate[i] = at + length + time.Minute
		var act func()
		switch rng.IntN(6) {
		case 0:
			what, act = "killed", func() { c.kill(i, delay, length) }
		case 1:
			what, act = "ended", func() { c.fire(i); time.Sleep(length); c.workers[i] = c.hire(i) }
		case 2:
			what, act = "frozen", func() {
				thaw := c.world.Freeze(host)
				time.Sleep(length)
				thaw()
			}
		case 3:
			what, act = "cut off", func() {
				mend := c.world.Lose(headHost, host)
				time.Sleep(delay)
				c.local.Cut(headHost, host)
				time.Sleep(delay / 3)
				c.local.Cut(host, headHost)
				mend()
			}
		case 4:
			what, act = "stuck", func() {
				release := c.world.Stick(headHost, host)
				time.Sleep(length)
				release()
			}
		case 5:
			what, act = "slow", func() { c.world.Slow(headHost, host, delay*4) }
		}
		done = append(done, fmt.Sprintf("%s %s at %v for %v", host, what, at, length))
		busy.Go(func() {
			time.Sleep(at)
			act()
		})
	}
	return done
}

// kill ends a worker without a word; later there is a new one.
func (c *company) kill(i int, heard, back time.Duration) {
	host := worker(i)
	c.world.Kill(host)
	time.Sleep(heard)
	if heard%4 > 0 { // else the head learns of it by silence alone
		c.local.Cut(headHost, host)
	}
	c.local.Cut(host, headHost)
	c.fire(i)
	time.Sleep(back)
	c.workers[i] = c.hire(i)
	c.world.Revive(host)
}
