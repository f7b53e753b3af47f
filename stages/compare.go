package stages

import "troupe/kernels"

// verdict is what is to be compared: outputs in frames, keys and values as cacheRows lists them.
type verdict struct {
	got, want           *kernels.Frame
	gotCache, wantCache []float32
	exact               bool // equal bits are promised
}

// compare finds where two libraries are furthest apart in the outputs of a piece, op by op. The first op that
// is out of bounds ends it: those behind it have had other inputs. Where bits are not promised, each op may add
// its bound to those before it.
func (s *shadow) compare(pc *piece, v verdict) (worst Difference, ok bool) {
	worst = Difference{Layer: -1, Expert: -1}
	cached := 0
	for i := range pc.calls {
		c := &pc.calls[i]
		o := opCheck{frame: v.got, call: c, ok: true, worst: Difference{Op: c.Op, Layer: c.Layer, Expert: pc.expert}}
		if !v.exact {
			o.bound = kernels.Bound[s.arith] * float64(i+1)
		}
		if c.Op == kernels.Attend {
			width := v.got.Cache.KVHeads * v.got.Cache.KeySize
			for _, what := range [...]string{"keys", "values"} {
				end := cached + v.got.Rows.N*width
				o.compare(v.gotCache[cached:end], v.wantCache[cached:end], width, what)
				cached = end
			}
		}
		for _, slot := range c.Out {
			got, want, width := v.got.Bufs[slot], v.want.Bufs[slot], s.slots[slot].Width
			if c.Op == kernels.Expert {
				s.a, s.b = gather(s.a[:0], got, v.got.Work.Dst, width), gather(s.b[:0], want, v.got.Work.Dst, width)
				got, want = s.a, s.b
			}
			o.compare(got, want, width, "output")
		}
		if !o.ok {
			return o.worst, false
		}
		if o.worst.Relative > worst.Relative {
			worst = o.worst
		}
	}
	return worst, true
}

func gather(list, from []float32, rows []int32, width int) []float32 {
	for _, i := range rows {
		list = append(list, row(from, int(i), width)...)
	}
	return list
}

// opCheck is the comparison of one op's outputs.
type opCheck struct {
	frame *kernels.Frame
	call  *kernels.Call
	bound float64
	worst Difference
	ok    bool
}

// compare looks at one output. The worst difference of the op is that of an output that is out of bounds, if
// there is one.
func (o *opCheck) compare(got, want []float32, width int, what string) {
	d, ok := kernels.Compare(got, want, o.bound)
	if d.Element < 0 || ok && !o.ok || ok == o.ok && d.Relative <= o.worst.Relative {
		return
	}
	o.ok = ok
	w := &o.worst
	w.Row, w.Element, w.What, w.Got, w.Want, w.Relative = d.Element/width, d.Element%width, what, d.Got, d.Want, d.Relative
	switch {
	case o.call.Op == kernels.Expert:
		w.Row = int(o.frame.Work.Row[w.Row])
	case o.call.Op == kernels.Head:
		w.Row = int(o.frame.Rows.Draw[w.Row])
	}
}

// give puts what was computed beside in the place of what was served.
func (s *shadow) give(pc *piece, f *kernels.Frame) {
	for i := range pc.calls {
		for _, slot := range pc.calls[i].Out {
			if pc.calls[i].Op != kernels.Expert {
				copy(f.Bufs[slot], s.frame.Bufs[slot])
				continue
			}
			width := s.slots[slot].Width
			for _, dst := range f.Work.Dst {
				copy(row(f.Bufs[slot], int(dst), width), row(s.frame.Bufs[slot], int(dst), width))
			}
		}
	}
}
