package plugins

import (
	"fmt"

	"troupe/kernels"
	"troupe/plugins/internal/wire"
)

// buffer is a slot of the call at hand.
type buffer struct {
	wire.Buffer
	mine []float32 // in the exchange: what the kernel writes, or a copy of what it reads
	to   []float32 // where what it writes belongs
}

// Run has the plugin run the segment on a frame. After an error, the outputs and the cache are as before; a
// *kernels.Fault tells that the library is of no more use.
func (k *Kernel) Run(f *kernels.Frame) error {
	l := k.lib
	l.lane.Lock()
	defer l.lane.Unlock()
	if err := l.lost(); err != nil {
		return err
	}
	n, err := k.need(f)
	if err == nil {
		err = l.reserve(n)
	}
	if err != nil {
		return err
	}
	frame, err := k.send(f, 0)
	if err != nil {
		return err
	}
	l.ask(0, k.id, frame)
	pace := &k.paces[0]
	if f.Rows.N > kernels.DecodeRows {
		pace = &k.paces[1]
	}
	if err := l.call(1, k.allowance(f), pace); err != nil {
		return err
	}
	if err := k.judge(f); err != nil {
		return l.fail(kernels.Lie, err)
	}
	k.receive(f)
	return nil
}

// send writes the frame to shared memory, at an offset of the exchange.
func (k *Kernel) send(f *kernels.Frame, offset int) (at wire.Encoded, err error) {
	l, layers := k.lib, len(k.layers)
	blocks := 0
	var translate []int32
	if layers > 0 {
		if blocks, err = l.caches.prepare(k, f); err != nil {
			return at, err
		}
		translate = l.caches.translate
		if len(translate) > f.Cache.Blocks {
			translate = translate[:f.Cache.Blocks]
		}
	}
	e := &l.encoder
	e.Begin(l.room.memory.Bytes, offset, len(f.Rows.Tables), len(f.Rows.Skip), len(k.slots), layers)
	if !e.Rows(f, translate, k.destinations(f)) {
		return at, fmt.Errorf("plugins: %s: attend: a table names a block that the cache does not have", l.name)
	}
	e.Buffers(len(k.slots))
	for s := range k.slots {
		if err := k.buffer(s, f); err != nil {
			return at, err
		}
		e.Buffer(k.buffers[s].Buffer)
	}
	if layers == 0 {
		e.Cache(nil, 0, 0)
	} else {
		e.Cache(f.Cache, blocks, layers)
		for i := range k.views {
			e.Layer(k.views[i].layer, k.views[i].view.id)
		}
	}
	return e.End(), nil
}

// need is the room for the frame and all buffers that may have to lie beside it.
func (k *Kernel) need(f *kernels.Frame) (int, error) {
	if len(f.Bufs) < len(k.slots) {
		return 0, fmt.Errorf("plugins: %s: a frame of %d buffers, want %d", k.lib.name, len(f.Bufs), len(k.slots))
	}
	if len(k.layers) > 0 && f.Cache == nil {
		return 0, fmt.Errorf("plugins: %s: attend: a frame without cache", k.lib.name)
	}
	n := wire.Need(f, len(k.slots), len(k.layers))
	for s, use := range k.slots {
		if use != unused {
			n += wire.BufferNeed(len(f.Bufs[s]))
		}
	}
	return n, nil
}

func (l *Library) reserve(n int) error {
	old, err := l.room.reserve(n)
	if old != 0 {
		l.trash.forget(nil, []uint64{old})
	}
	return err
}

// destinations numbers the rows of the work from 0, when their results lie in the exchange alone.
func (k *Kernel) destinations(f *kernels.Frame) []int32 {
	if !k.parts {
		return nil
	}
	for len(k.work) < len(f.Work.Dst) {
		k.work = append(k.work, int32(len(k.work)))
	}
	return k.work[:len(f.Work.Dst)]
}

// buffer finds the place of a slot.
func (k *Kernel) buffer(s int, f *kernels.Frame) error {
	l, b := k.lib, &k.buffers[s]
	*b = buffer{}
	mem := f.Bufs[s]
	use := k.slots[s]
	if use == unused || len(mem) == 0 {
		return nil
	}
	if use == reads {
		region, offset, ok, err := locate(l.shared, mem)
		if err != nil {
			return err
		}
		if ok {
			b.Buffer = wire.Buffer{Region: region, Offset: offset, Elements: len(mem)}
			return nil
		}
	}
	n := len(mem)
	switch use {
	case parts:
		n = k.width(s) * len(f.Work.Dst)
		for _, d := range f.Work.Dst {
			if d < 0 || (int(d)+1)*k.width(s) > len(mem) {
				return fmt.Errorf("plugins: %s: expert: destination %d, in a buffer of %d elements", l.name, d, len(mem))
			}
		}
	case writes:
		n = min(n, k.extent(s, f))
	}
	if n == 0 {
		return nil
	}
	var offset int
	offset, b.mine = l.encoder.Floats(n)
	b.Buffer = wire.Buffer{Region: l.room.region, Offset: offset, Elements: n}
	switch use {
	case reads, live:
		copy(b.mine, mem)
		l.stats.in.Add(int64(4 * n))
	default:
		wire.Poison(b.mine)
	}
	if use != reads {
		b.to = mem[:min(n, len(mem))]
		if use == parts {
			b.to = mem
		}
	}
	return nil
}

// receive copies what the kernel has written to where it belongs.
func (k *Kernel) receive(f *kernels.Frame) {
	bytes := 0
	for s := range k.buffers {
		b := &k.buffers[s]
		switch {
		case b.to == nil:
		case k.slots[s] == parts:
			w := k.width(s)
			for i, d := range f.Work.Dst {
				copy(b.to[int(d)*w:][:w], b.mine[i*w:])
			}
		default:
			copy(b.to, b.mine)
		}
		if b.to != nil {
			bytes += 4 * len(b.mine)
		}
		b.mine, b.to = nil, nil
	}
	if len(k.layers) > 0 {
		bytes += k.lib.caches.commit(k.views, f.Cache, &f.Rows)
	}
	k.lib.stats.out.Add(int64(bytes))
}
