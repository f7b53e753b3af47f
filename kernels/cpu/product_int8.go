package cpu

import "troupe/kernels"

// int8 computes a tile: block sums in int32, times the activations' scale into the group sum, times the
// weights' scale into the output.
func (p *product) int8(s *scratch, i, r0, r1, c0, c1 int) {
	w, y, q := p.weights[i], &p.ys[i], &p.quants[p.quantOf[i]]
	cols, n := c1-c0, r1-r0
	sums, group := s.sums[:n*cols], s.group[:n*cols]
	clear(group)
	clearOutput(y, r0, r1, c0, c1)
	per, block := w.In/w.Groups, 0
	for g := range w.Groups {
		for lo := g * per; lo < (g+1)*per; lo += kernels.BlockRows {
			hi := min(lo+kernels.BlockRows, (g+1)*per)
			rows, stride := rowsOf(s, w, lo, hi, c0, c1)
			int8Block(s, sums, q, r0, r1, lo, hi, rows, stride, cols)
			for r := range n {
				addScaled(group[r*cols:][:cols], sums[r*cols:][:cols], q.scale(r0+r, block))
			}
			block++
		}
		endGroup(y, group, w.Scales[g*w.Out+c0:], r0, r1, c0, c1)
	}
}

// rowsOf is inputs lo to hi-1, which lie in one scale group, of columns c0 to c1-1, c0 a multiple of a
// panel's: row k begins at (k-lo)*stride. In place, or copied from panels to scratch memory.
func rowsOf(s *scratch, w *kernels.Weight, lo, hi, c0, c1 int) (rows []int8, stride int) {
	if !w.Panels {
		return w.Q[lo*w.Out+c0:], w.Out
	}
	per, stride := w.In/w.Groups, c1-c0
	line := lo/per*kernels.GroupLines(w.In, w.Groups) + lo%per/kernels.LineInputs
	for c := c0; c < c1; c += kernels.PanelOutputs {
		lines := w.Panel(c / kernels.PanelOutputs)[line*kernels.LineBytes:]
		kernels.UnpackBlock(s.rows[c-c0:], lines, stride, hi-lo, min(kernels.PanelOutputs, c1-c))
	}
	return s.rows, stride
}

// addScaled: t = t + float32(sum) * scale.
func addScaled(t []float32, sums []int32, scale float32) {
	sums = sums[:len(t)]
	for c, v := range sums {
		t[c] += float32(float32(v) * scale)
	}
}

// quantRows are rows of activations as int8 with one scale per block of inputs (kernels/order.go).
type quantRows struct {
	groups, in, blocks int
	q                  []int8    // [rows in]
	scales             []float32 // [rows blocks]
	triples            []uint64  // [rows/3 in] three rows' values in one word (generic_int8.go)

	// For panels, runs of rows lie as int8Args wants them: q [lines][rows][4], scales and bias [blocks][rows].
	lines int     // of all groups
	bias  []int32 // nil: not wanted
}

func (q *quantRows) resize(n, in, groups int, panels *panelLoops) {
	q.groups, q.in, q.blocks = groups, in, kernels.NumBlocks(in, groups)
	q.scales = atLeast(q.scales, n*q.blocks)
	if panels == nil {
		q.q, q.triples = atLeast(q.q, n*in), atLeast(q.triples, n/3*in)
		return
	}
	q.lines = kernels.PanelLines(in, groups)
	q.q = atLeast(q.q, n*q.lines*kernels.LineInputs)
	if panels.bias {
		q.bias = atLeast(q.bias, n*q.blocks)
	}
}

func (q *quantRows) row(r int) []int8 { return q.q[r*q.in:][:q.in] }

func (q *quantRows) triple(i int) []uint64 { return q.triples[i*q.in:][:q.in] }

// scale is row r's scale of a block.
func (q *quantRows) scale(r, block int) float32 { return q.scales[r*q.blocks+block] }

// quantise fills row r from x.
func (q *quantRows) quantise(l *loops, r int, x []float32) {
	per, block := q.in/q.groups, r*q.blocks
	for lo := 0; lo < q.in; lo += per {
		for at := lo; at < lo+per; at += kernels.BlockRows {
			hi := min(at+kernels.BlockRows, lo+per)
			q.scales[block] = l.quantise(q.row(r)[at:hi], x[at:hi])
			block++
		}
	}
}

// quantisePanels fills run, whose rows are x's, for panels.
func (q *quantRows) quantisePanels(s *scratch, l *loops, run rowRun, x *vectors) {
	n, per := run.loop.rows, q.in/q.groups
	out := q.q[run.first*q.lines*kernels.LineInputs:][:n*q.lines*kernels.LineInputs]
	row := s.tile[:q.lines*kernels.LineInputs]
	for r := range n {
		in, to, block := x.row(run.first+r), 0, run.first*q.blocks+r
		for lo := 0; lo < q.in; lo += per {
			for at := lo; at < lo+per; at += kernels.BlockRows {
				size := min(kernels.BlockRows, lo+per-at)
				q.scales[block] = l.quantise(row[to:to+size], in[at:at+size])
				if q.bias != nil {
					q.bias[block] = biasOf(row[to : to+size])
				}
				to, block = to+size, block+n
			}
			for ; to%kernels.LineInputs != 0; to++ {
				row[to] = 0
			}
		}
		spread(out, row, r, n)
	}
}

// spread puts the r-th of n rows in place, four values at a time.
func spread(out, row []int8, r, n int) {
	dst := chunks[[4]int8](out)
	src := chunks[[4]int8](row)
	for i := range src {
		dst[i*n+r] = src[i]
	}
}

// biasOf is what the sum over a block begins with where 128 has been added to the weights.
func biasOf(q []int8) int32 {
	sum := int32(0)
	for _, v := range q {
		sum += int32(v)
	}
	return -128 * sum
}

// quantiser is the job of quantising the rows of a product. An item is three rows, or a run for panels.
type quantiser struct{ p *product }

func (j *quantiser) do(worker, lo, hi int) {
	p := j.p
	for i, w := range p.weights {
		if p.quantOf[i] != i || !w.Quantised() {
			continue
		}
		q := &p.quants[i]
		if p.lib.loops.panels != nil {
			for _, run := range p.runs[lo:hi] {
				q.quantisePanels(&p.lib.scratch[worker], p.lib.loops, run, &p.x)
			}
			continue
		}
		for t := lo; t < hi; t++ {
			for r := 3 * t; r < min(3*t+3, p.n); r++ {
				q.quantise(p.lib.loops, r, p.x.row(r))
			}
			if 3*t+3 <= p.n {
				pack(q.triple(t), q.row(3*t), q.row(3*t+1), q.row(3*t+2))
			}
		}
	}
}
