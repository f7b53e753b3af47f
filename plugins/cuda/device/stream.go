//go:build cuda && cgo && linux && (amd64 || arm64)

package device

import (
	"math"
	"unsafe"

	"gorgonia.org/cu"
)

// Stream is work that the GPU does in order: copies and kernels. One goroutine at a time uses it.
type Stream struct {
	dev    *Device
	stream cu.Stream
	values [maxArgs]uint64 // of the launch at hand; every parameter of a kernel has 8 bytes
	args   []unsafe.Pointer
	n      int
}

const maxArgs = 24

// NewStream makes a stream that does not wait for others.
func (d *Device) NewStream() (*Stream, error) {
	s := &Stream{dev: d}
	var err error
	s.stream, err = cu.MakeStream(cu.NonBlocking)
	for i := range s.values {
		s.args = append(s.args, unsafe.Pointer(&s.values[i]))
	}
	return s, d.Failed("make a stream", err)
}

// Close ends the stream.
func (s *Stream) Close() error { return s.dev.Failed("end a stream", s.stream.Destroy()) }

// Upload copies host memory to the GPU. Page-locked memory must stay as it is until the stream has been waited for.
func (s *Stream) Upload(dst Ptr, src []byte) error {
	if len(src) == 0 {
		return nil
	}
	return s.dev.Failed("copy to the GPU", cu.MemcpyHtoDAsync(dst, unsafe.Pointer(unsafe.SliceData(src)), int64(len(src)), s.stream))
}

// Download copies from the GPU to page-locked memory, which holds it when the stream has been waited for.
func (s *Stream) Download(dst []byte, src Ptr) error {
	if len(dst) == 0 {
		return nil
	}
	return s.dev.Failed("copy from the GPU", cu.MemcpyDtoHAsync(unsafe.Pointer(unsafe.SliceData(dst)), src, int64(len(dst)), s.stream))
}

// Wait waits for all work of the stream. It is here that a kernel's failure shows.
func (s *Stream) Wait() error { return s.dev.Failed("wait for the kernels", s.stream.Synchronize()) }

// Kernel is one function of the kernels' module.
type Kernel struct {
	name string
	fn   cu.Function
}

// Kernel finds a function by name.
func (d *Device) Kernel(name string) (Kernel, error) {
	fn, err := d.module.Function(name)
	return Kernel{name, fn}, d.Failed("find kernel "+name, err)
}

// Ptr adds a parameter to the launch that comes.
func (s *Stream) Ptr(p Ptr) *Stream { return s.arg(uint64(p)) }

// Int adds a parameter.
func (s *Stream) Int(v int) *Stream { return s.arg(uint64(v)) }

// Float adds a parameter; kernels take a double.
func (s *Stream) Float(v float32) *Stream { return s.arg(math.Float64bits(float64(v))) }

func (s *Stream) arg(v uint64) *Stream {
	s.values[s.n] = v
	s.n++
	return s
}

// Grid is the number of blocks, and of threads in each.
type Grid struct{ X, Y, Z, Block int }

// Launch has the GPU run a kernel with the parameters that were added since the launch before. An empty grid is none.
func (s *Stream) Launch(k Kernel, g Grid) error {
	n := s.n
	s.n = 0
	if g.X == 0 || g.Y == 0 || g.Z == 0 {
		return nil
	}
	return s.dev.Failed(k.name, k.fn.Launch(g.X, g.Y, g.Z, g.Block, 1, 1, 0, s.stream, s.args[:n]))
}

// Event is a point in a stream.
type Event struct {
	dev *Device
	ev  cu.Event
}

// NewEvent makes an event; timing tells that Since will be asked.
func (d *Device) NewEvent(timing bool) (Event, error) {
	flags := cu.DisableTiming
	if timing {
		flags = cu.DefaultEvent
	}
	ev, err := cu.MakeEvent(flags)
	return Event{d, ev}, d.Failed("make an event", err)
}

// Record puts the event behind the stream's work up to now.
func (s *Stream) Record(e Event) error { return s.dev.Failed("record an event", e.ev.Record(s.stream)) }

// Wait waits until the work before the event is done.
func (e Event) Wait() error { return e.dev.Failed("wait for an event", e.ev.Synchronize()) }

// Since is the time in milliseconds between two events that have been waited for.
func (e Event) Since(start Event) (float64, error) {
	ms, err := start.ev.Elapsed(e.ev)
	return ms, e.dev.Failed("time events", err)
}

// Close gives the event back.
func (e *Event) Close() error { return e.dev.Failed("give an event back", cu.DestroyEvent(&e.ev)) }
