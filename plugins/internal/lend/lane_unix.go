//go:build unix

package lend

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"troupe/kernels"
	"troupe/plugins/internal/doorbell"
	"troupe/plugins/internal/processor"
	"troupe/plugins/internal/wire"
)

// beatTime is how often the plugin says that it lives.
const beatTime = 20 * time.Millisecond

// patience is how long the lane watches for the next call before it sleeps: while a batch is on its way calls follow
// each other within tens of microseconds. The engine gets the processor if it wants this one.
const patience = 100 * time.Microsecond

// lane runs the engine's calls, one after the other, on one thread.
type lane struct {
	server  *server
	memory  wire.Memory
	control *wire.Control
	bell    doorbell.Bell
	frame   wire.Frame
}

func (l *lane) run() {
	runtime.LockOSThread()
	debug.SetPanicOnFault(true) // memory that is gone, and addresses that are wrong, end a call with a panic
	for last := uint32(0); ; {
		number := l.bell.Await(last, time.Second)
		for number != last {
			last = number
			l.call()
			l.bell.Send(number)
			number = l.bell.Watch(last, patience)
		}
	}
}

// call runs what the control words ask for and writes the answer.
func (l *lane) call() {
	c := l.control
	status, text, took := uint32(wire.Done), "", time.Duration(0)
	func() {
		defer func() {
			if p := recover(); p != nil {
				status, text = wire.Panicked, fmt.Sprintf("panic: %s\n%s", say(p), debug.Stack())
			}
		}()
		items := c.Call.Items.Load()
		if items == 0 || items > kernels.MostSeveral {
			status, text = wire.BadCall, fmt.Sprintf("a call of %d kernels, want 1 to %d", items, kernels.MostSeveral)
			return
		}
		for i := range int(items) {
			item := &c.Call.Item[i]
			k, err := l.server.kernel(item.Kernel.Load())
			if err == nil {
				err = l.frame.Decode(l.memory, item.Region.Load(), item.Offset.Load(), item.Length.Load())
			}
			if err != nil {
				status, text = wire.BadCall, err.Error()
				return
			}
			start := time.Now()
			err = k.Run(&l.frame.Frame)
			took += time.Since(start)
			if err != nil {
				status, text = wire.Failed, err.Error()
				return
			}
		}
	}()
	if l.crowded() {
		c.Answer.Place.Store(processor.Own())
	}
	c.Say(text)
	c.Answer.Nanos.Store(uint64(took))
	c.Answer.Status.Store(status)
}

// crowded tells that the library has a thread for every processor, so that the engine has none for itself.
func (l *lane) crowded() bool { return runtime.GOMAXPROCS(0) > runtime.NumCPU() } // one more than threads

// say puts a panic in words; of a memory fault Go says no more than that it is one.
func say(p any) string {
	if fault, ok := p.(interface{ Addr() uintptr }); ok && fault.Addr() >= 4096 {
		return fmt.Sprintf("memory fault at %#x: an address of nothing, or of the engine's memory, which is read-only", fault.Addr())
	}
	return fmt.Sprint(p)
}

func beat(c *wire.Control) {
	for {
		c.Beat.Add(1)
		time.Sleep(beatTime)
	}
}
