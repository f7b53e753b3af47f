//go:build cuda && cgo && linux && (amd64 || arm64)

package library

import (
	"errors"
	"fmt"
	"hash/maphash"
	"unsafe"

	"troupe/kernels"
	"troupe/plugins/cuda/device"
)

// weightKey is where a weight lies on the host and how. Memory can hold another weight once every segment that used
// the first is closed, or, where segments are not closed, without a word: so a part of the contents is in the key.
type weightKey struct {
	address          uintptr
	in, out, groups  int
	panels, byOutput bool
	mark             uint64
}

// weight is one on the GPU: int8 panels and behind them the scales, or float32 values as on the host.
type weight struct {
	key    weightKey
	name   string
	refs   int
	data   device.Ptr
	size   int
	scales device.Ptr // within data
}

var seed = maphash.MakeSeed()

// marked is how many bytes of a weight the mark reads.
const marked = 64 << 10

// markOf hashes all of a small weight, and of a large one 64 pieces.
func markOf(all ...[]byte) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, b := range all {
		if len(b) <= marked {
			h.Write(b)
			continue
		}
		const pieces = 64
		for i := range pieces {
			h.Write(b[(len(b)-marked/pieces)/(pieces-1)*i:][:marked/pieces])
		}
	}
	return h.Sum64()
}

func bytesOf[T any](s []T) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(s[0])))
}

func keyOf(w *kernels.Weight) weightKey {
	data := bytesOf(w.F)
	if w.Quantised() {
		data = bytesOf(w.Q)
	}
	return weightKey{uintptr(unsafe.Pointer(unsafe.SliceData(data))), w.In, w.Out, w.Groups, w.Panels, w.ByOutput, markOf(data, bytesOf(w.Scales))}
}

// sizeOf is what a weight takes on the GPU.
func sizeOf(w *kernels.Weight) int {
	if !w.Quantised() {
		return 4 * len(w.F)
	}
	return panelBytes(w) + 4*len(w.Scales)
}

// panelBytes is the size of the panels, whatever the layout on the host; scales follow at a multiple of 64.
func panelBytes(w *kernels.Weight) int { return kernels.PanelSize(w.In, w.Out, w.Groups) }

// pending is a weight that a segment needs and the GPU lacks.
type pending struct {
	*weight
	from *kernels.Weight // nil: floats
	rope *kernels.Rope
}

// upload brings what the segment's weights lack to the GPU, all or nothing, and holds them for the kernel.
func (l *Library) upload(s *kernels.Segment, k *kernel) (err error) {
	k.current, k.rope = map[*kernels.Weight]*weight{}, map[*kernels.Rope]*weight{}
	fresh := map[weightKey]*weight{}
	var todo []pending
	need := int64(0)
	get := func(key weightKey, name string, size int, p pending) *weight {
		w := l.weights[key]
		if w == nil {
			w = fresh[key]
		}
		if w == nil {
			w = &weight{key: key, name: name, size: size}
			fresh[key], p.weight = w, w
			todo = append(todo, p)
			need += int64(size)
		}
		k.held = append(k.held, w)
		return w
	}
	for i := range s.Calls {
		c := &s.Calls[i]
		for _, w := range c.Weights {
			if k.current[w] == nil {
				k.current[w] = get(keyOf(w), w.Name, sizeOf(w), pending{from: w})
			}
		}
		if r := c.Rope; c.Op == kernels.RoPE && k.rope[r] == nil {
			cos, sin := bytesOf(r.Cos), bytesOf(r.Sin)
			key := weightKey{address: uintptr(unsafe.Pointer(unsafe.SliceData(cos))), in: len(cos), out: len(sin), mark: markOf(cos, sin)}
			k.rope[r] = get(key, "rope", len(cos)+len(sin), pending{rope: r})
		}
	}
	if len(todo) > 0 {
		if err := l.dev.Fits(fmt.Sprintf("a segment with %d new weights, from %s on,", len(todo), todo[0].name), need); err != nil {
			return err
		}
	}
	defer func() {
		if err != nil {
			for _, p := range todo {
				err = errors.Join(err, l.dev.Free(p.data))
			}
		}
	}()
	for _, p := range todo {
		if p.data, err = l.dev.Alloc(p.name, int64(p.size)); err != nil {
			return err
		}
		if err := l.send(p); err != nil {
			return err
		}
	}
	if err := l.stager.finish(); err != nil {
		return err
	}
	for _, p := range todo {
		l.weights[p.key] = p.weight
	}
	for _, w := range k.held {
		w.refs++
	}
	return nil
}

func (l *Library) send(p pending) error {
	switch w := p.from; {
	case p.rope != nil:
		p.scales = p.data + device.Ptr(4*len(p.rope.Cos)) // the sines
		if err := l.stager.copy(p.data, bytesOf(p.rope.Cos)); err != nil {
			return err
		}
		return l.stager.copy(p.scales, bytesOf(p.rope.Sin))
	case !w.Quantised():
		return l.stager.copy(p.data, bytesOf(w.F))
	default:
		p.scales = p.data + device.Ptr(panelBytes(w))
		if err := l.stager.copy(p.scales, bytesOf(w.Scales)); err != nil {
			return err
		}
		if w.Panels {
			return l.stager.copy(p.data, bytesOf(w.Q))
		}
		return l.stager.pack(p.data, w)
	}
}

// release lets go of a kernel's weights.
func (l *Library) release(k *kernel) error {
	var errs []error
	for _, w := range k.held {
		if w.refs--; w.refs == 0 {
			delete(l.weights, w.key)
			errs = append(errs, l.dev.Free(w.data))
		}
	}
	k.held = nil
	return errors.Join(errs...)
}
