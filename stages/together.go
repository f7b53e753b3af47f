package stages

import "troupe/kernels"

// company is the experts of one layer and batch that a library computes in one call. The first is the one whose turn
// it is.
type company struct {
	batch   *Batch
	kernels []kernels.Kernel
	frames  []kernels.Frame
	experts []int
}

// sociable tells that others may be computed together with the piece: its library can do so, and nothing of this pass is
// timed, looked at or compared for the piece alone.
func (pc *piece) sociable(x *pass) bool {
	lib := pc.chain[0].lib
	return lib.several != nil && !lib.failed && !x.timed && pc.trial == nil && pc.tap == nil &&
		!(len(pc.chain) > 1 && x.program.sampled(x.batch, pc.layer()))
}

// join gathers the experts that can be computed with a piece in one call: their turns come later, on this device, and
// the same library serves them. nil: none.
func (x *Experts) join(pc *piece, p *pass, b *Batch, f *kernels.Frame) *company {
	c := &x.with
	c.batch = b
	c.kernels, c.frames, c.experts = append(c.kernels[:0], pc.chain[0].kernel), append(c.frames[:0], *f), append(c.experts[:0], pc.expert)
	for i := range b.groups {
		g := &b.groups[i]
		at, ok := x.sites[expertKey{pc.layer(), int(g.Expert)}]
		if !ok || int(g.Expert) <= pc.expert || b.computed[g.Expert] || len(c.kernels) == kernels.MostSeveral {
			continue
		}
		seg := p.program.segments[at]
		if len(seg) != 1 || seg[0].chain[0].lib != pc.chain[0].lib || !seg[0].sociable(p) {
			continue
		}
		frame := *f
		frame.Work = WorkOf(*g)
		c.kernels, c.frames, c.experts = append(c.kernels, seg[0].chain[0].kernel), append(c.frames, frame), append(c.experts, int(g.Expert))
	}
	if len(c.kernels) == 1 {
		return nil
	}
	return c
}

// done notes the launches, but for the first, and that these experts have nothing to do when their turns come.
func (c *company) done(x *pass, lib *library) {
	if c == nil {
		return
	}
	for i := 1; i < len(c.experts); i++ {
		c.batch.computed[c.experts[i]] = true
		lib.count.launch(&pass{rows: len(c.frames[i].Work.Row)}, 0)
	}
}
