package actors

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Deed is what is done to a worker or to the link to it.
type Deed string

// The deeds.
const (
	KillWorker Deed = "kill"  // its process, by SIGKILL
	StopWorker Deed = "stop"  // its process, by SIGSTOP, for a time
	DelayLink  Deed = "delay" // messages in both directions
	DropLink   Deed = "drop"  // messages in both directions, for a time
)

// Harm is what is done to a worker of the run, or to the link to it, by the number in the order of --workers.
type Harm struct {
	Deed   Deed
	Worker int
	Token  uint64        // when so many have been made by all requests together; 0: at the start
	By     time.Duration // DelayLink
	For    time.Duration // 0: to the end
}

// String is the harm as ParseChaos reads it.
func (h Harm) String() string {
	s := fmt.Sprintf("%s %s", h.Deed, h.Whom())
	if h.By > 0 {
		s += fmt.Sprintf(" ms=%g", float64(h.By)/float64(time.Millisecond))
	}
	if h.Token > 0 {
		s += fmt.Sprintf(" token=%d", h.Token)
	}
	if h.For > 0 {
		s += fmt.Sprintf(" for=%v", h.For)
	}
	return s
}

// Whom is what it is done to: worker=0, link=2.
func (h Harm) Whom() string {
	if h.Deed == KillWorker || h.Deed == StopWorker {
		return fmt.Sprintf("worker=%d", h.Worker)
	}
	return fmt.Sprintf("link=%d", h.Worker)
}

func (h Harm) check() error {
	switch {
	case h.Deed == DelayLink && h.By <= 0:
		return errors.New("by how much? give ms=")
	case h.Deed != DelayLink && h.By > 0:
		return errors.New("ms= is for delay")
	case (h.Deed == StopWorker || h.Deed == DropLink) && h.For <= 0:
		return errors.New("for how long? give for=, as for=3s")
	case h.Deed == KillWorker && h.For > 0:
		return errors.New("who is killed stays so: leave for= out")
	}
	return nil
}

// machine names this computer among others, as far as one can tell.
var machine = sync.OnceValue(func() string {
	name, _ := os.Hostname()
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return words(name + " " + strings.TrimSpace(string(boot)))
})

// forever is longer than a run.
const forever = 1 << 62

// checkHarms refuses what cannot be done to the workers of this run.
func (e *Engine) checkHarms(c *Chaos) error {
	if c == nil {
		return nil
	}
	for _, h := range c.Harms {
		if h.Worker >= len(e.hosts) {
			return fmt.Errorf("actors: chaos: %v: there are %d workers, the first is 0", h, len(e.hosts))
		}
		host := e.hosts[h.Worker]
		if pid, on := host.process(); (h.Deed == KillWorker || h.Deed == StopWorker) && (pid == 0 || on != machine()) {
			return fmt.Errorf("actors: chaos: %v: worker %s is not a process of this machine: do it there", h, host.address)
		}
	}
	return nil
}

// process is that of the worker, and its machine.
func (h *host) process() (pid int, machine string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pid, h.machine
}

// harm does what is to be done to a worker, and tells whether that was possible.
func (k *keeper) harm(h Harm, by *Injury) bool {
	on := k.engine.hosts[h.Worker]
	during := h.For
	if during == 0 {
		during = forever
	}
	k.mu.Lock()
	if k.harmed == nil {
		k.harmed = map[*host]harmed{}
	}
	k.harmed[on] = harmed{by, time.Since(epoch)}
	k.mu.Unlock()
	switch h.Deed {
	case DelayLink:
		on.net.Delay(on.address, h.By, during)
	case DropLink:
		on.net.Drop(on.address, during)
	default:
		pid, _ := on.process()
		if err := signal(pid, h.Deed); err != nil {
			return false
		}
		if h.Deed == StopWorker {
			k.sleep(pid, h.For)
		}
	}
	return true
}

// harmed is a worker that something was done to, and when.
type harmed struct {
	injury *Injury
	at     time.Duration // since epoch
}

// sleep has a stopped process go on after a time, or at the end of the run.
func (k *keeper) sleep(pid int, during time.Duration) {
	k.mu.Lock()
	k.asleep = append(k.asleep, pid)
	k.mu.Unlock()
	time.AfterFunc(during, func() { k.goOn(pid) })
}

// goOn has processes go on that were stopped; 0: all.
func (k *keeper) goOn(pid int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asleep = slices.DeleteFunc(k.asleep, func(p int) bool {
		if pid != 0 && p != pid {
			return false
		}
		_ = signal(p, "") // it may have ended meanwhile
		return true
	})
}

// harmOf is what was done to a worker that is lost now; nil: nothing. The caller has k.mu.
func (k *keeper) harmOf(h *host) (harmed, bool) {
	by, ok := k.harmed[h]
	delete(k.harmed, h)
	return by, ok
}
