//go:build cuda && cgo && linux && (amd64 || arm64)

package library

import (
	"fmt"
	"slices"
	"unsafe"

	"troupe/kernels"
	"troupe/plugins/cuda/cuext"
	"troupe/plugins/cuda/device"
)

// frame is the memory of one batch on the GPU: one block that has, on the host, a page-locked twin.
//
//	[rows, tables, ... | slots that are only read | slots read and written | slots written]
//	 └───────────── one copy to the GPU ─────────────────────────────────┘
//	                                              └────── one copy back ─────────────────┘
type frame struct {
	in    *kernels.Frame
	arena buffer
	at    int          // end of what is laid out
	down  int          // where the copy back begins
	slots []device.Ptr // by slot
	meta  meta
}

// slotUse says how a segment uses a slot.
type slotUse struct {
	slot         kernels.Slot
	reads, write bool // contents from before matter; contents are results
	// compact slots belong to experts alone. Of a read one only the rows of the work are uploaded, in the work's
	// order; a written one has its results in that order until they are back.
	compact bool
}

// buffer is memory on the GPU that grows, with a page-locked twin if host is wanted.
type buffer struct {
	dev    *device.Device
	data   device.Ptr
	size   int
	host   []byte
	pinned bool
}

// atLeast makes room for n bytes. What was there is lost.
func (b *buffer) atLeast(what string, n int) error {
	if n <= b.size {
		return nil
	}
	if err := b.free(); err != nil {
		return err
	}
	n = max(n, 64<<10)
	n += n / 4 // the next batch may be a little larger
	var err error
	if b.data, err = b.dev.Alloc(what, int64(n)); err != nil {
		b.data = 0
		return err
	}
	if b.pinned {
		if b.host, err = cuext.Pinned(n); err != nil {
			return b.dev.Failed("take page-locked memory", err)
		}
	}
	b.size = n
	return nil
}

func (b *buffer) free() error {
	err := b.dev.Free(b.data)
	if e := b.dev.Failed("give page-locked memory back", cuext.FreePinned(b.host)); err == nil {
		err = e
	}
	b.data, b.size, b.host = 0, 0, nil
	return err
}

// plan looks at how the segment uses its slots.
func (k *kernel) plan(s *kernels.Segment) {
	k.calls = s.Calls
	use := kernels.FootprintOf(s.Calls)
	only := func(slot kernels.Slot) bool { // experts' alone
		for i := range s.Calls {
			c := &s.Calls[i]
			if c.Op != kernels.Expert && (slices.Contains(c.In, slot) || slices.Contains(c.Out, slot)) ||
				c.Op == kernels.Expert && c.In[0] == slot && slices.Contains(use.Writes, slot) {
				return false
			}
		}
		return true
	}
	for _, slot := range use.Reads {
		k.slots = append(k.slots, slotUse{slot, true, false, only(slot)})
	}
	for _, slot := range use.Live {
		if !only(slot) {
			k.slots = append(k.slots, slotUse{slot, true, true, false})
		}
	}
	for _, slot := range use.Writes {
		if compact := only(slot); compact || !slices.Contains(use.Live, slot) {
			k.slots = append(k.slots, slotUse{slot, false, true, compact})
		}
	}
	for i := range s.Calls {
		k.needs.add(&s.Calls[i])
	}
}

const align = 256 // of everything in the arena

// place takes n bytes of the arena and returns where they begin.
func (f *frame) place(n int) int {
	at := f.at
	f.at += (n + align - 1) / align * align
	return at
}

// begin checks the frame and lays it out.
func (f *frame) begin(k *kernel) error {
	f.arena.pinned = true
	f.at = 0
	if err := f.meta.measure(f, k.needs); err != nil {
		return err
	}
	f.down = -1
	most := 0
	for _, u := range k.slots {
		if int(u.slot) >= len(f.in.Bufs) {
			return fmt.Errorf("cuda: slot %d: the frame has %d", u.slot, len(f.in.Bufs))
		}
		most = max(most, int(u.slot)+1)
	}
	for len(f.slots) < most {
		f.slots = append(f.slots, 0)
	}
	for _, u := range k.slots {
		if u.write && f.down < 0 {
			f.down = f.at
		}
		f.slots[u.slot] = device.Ptr(f.place(4 * f.length(k, u)))
	}
	if f.down < 0 {
		f.down = f.at
	}
	if err := f.arena.atLeast("a batch's activations", f.at); err != nil {
		return err
	}
	for _, u := range k.slots {
		f.slots[u.slot] += f.arena.data
	}
	return nil
}

// length is the number of elements that a slot has on the GPU.
func (f *frame) length(k *kernel, u slotUse) int {
	if u.compact {
		return len(f.in.Work.Row) * k.width(u.slot)
	}
	return len(f.in.Bufs[u.slot])
}

// width of an expert's slot.
func (k *kernel) width(slot kernels.Slot) int {
	for i := range k.calls {
		if c := &k.calls[i]; c.Op == kernels.Expert && c.In[0] == slot {
			return c.Weights[0].In
		} else if c.Op == kernels.Expert && c.Out[0] == slot {
			return c.Weights[2].Out
		}
	}
	return 0
}

// twin is the page-locked memory of a slot.
func (f *frame) twin(slot kernels.Slot, n int) []float32 {
	return floats(f.arena.host[f.slots[slot]-f.arena.data:], n)
}

func floats(b []byte, n int) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

// send uploads rows and inputs.
func (f *frame) send(k *kernel) error {
	f.meta.write(f)
	end := f.down
	for _, u := range k.slots {
		if !u.reads {
			continue
		}
		n := f.length(k, u)
		twin := f.twin(u.slot, n)
		if u.write {
			end = int(f.slots[u.slot]-f.arena.data) + 4*n
		}
		if !u.compact {
			copy(twin, f.in.Bufs[u.slot])
			continue
		}
		width := k.width(u.slot)
		for i, r := range f.in.Work.Row {
			copy(twin[i*width:][:width], f.in.Bufs[u.slot][int(r)*width:])
		}
	}
	return k.lib.stream.Upload(f.arena.data, f.arena.host[:end])
}

// receive downloads the results, waits for them and gives them to the frame.
func (f *frame) receive(k *kernel) error {
	if err := k.lib.stream.Download(f.arena.host[f.down:f.at], f.arena.data+device.Ptr(f.down)); err != nil {
		return err
	}
	if err := k.lib.stream.Wait(); err != nil {
		return err
	}
	for _, u := range k.slots {
		if !u.write {
			continue
		}
		twin := f.twin(u.slot, f.length(k, u))
		if !u.compact {
			copy(f.in.Bufs[u.slot], twin)
			continue
		}
		width := k.width(u.slot)
		for i, p := range f.in.Work.Dst {
			copy(f.in.Bufs[u.slot][int(p)*width:][:width], twin[i*width:])
		}
	}
	return nil
}
