package cpu

import (
	"unsafe"

	"troupe/kernels"
)

// The product of a variant with panelLoops: a tile is a few panels of columns times all rows, so that
// weights come from memory once, in the order in which they lie there, and meet all rows while they are
// in a cache.

const (
	panelCols = kernels.PanelOutputs
	groupCols = 4 * panelCols // columns of a tile, at most

	// What an item of work takes, for the pool: bytes of weights from memory, multiply-adds.
	bytesPerNano = 10
	int8PerNano  = 40
	floatPerNano = 10

	// packLines are packed at once, at most: each input's weights may be a miss of the cache.
	packLines = 256
)

// rowRun is a run of rows that a loop takes at once.
type rowRun struct {
	first int
	loop  rowsLoop
}

// cut adds the runs that cover rows r0 to r1-1.
func cut(runs []rowRun, loops []rowsLoop, r0, r1 int) []rowRun {
	for _, l := range loops {
		for ; r0+l.rows <= r1; r0 += l.rows {
			runs = append(runs, rowRun{r0, l})
		}
	}
	return runs
}

// panelNanos is roughly what a tile of the i-th weight takes.
func (p *product) panelNanos(i int) int {
	w := p.weights[i]
	macs, bytes := w.In*min(w.Out, p.cols[i])*p.n, w.In*min(w.Out, p.cols[i])
	rate := floatPerNano
	if p.arith == kernels.Int8 && w.Quantised() {
		rate = int8PerNano
	}
	if !w.Quantised() {
		bytes *= 4
	}
	return max(macs/rate, bytes/bytesPerNano, 1)
}

// reservePanels provides the scratch memory of tiles.
func (p *product) reservePanels() {
	need := sizes{
		wide:  kernels.BlockRows * panelCols,
		group: max(p.n, p.lib.loops.panels.exactPanels) * panelCols,
		block: p.n * panelCols,
		runs:  p.n,
	}
	for _, w := range p.weights {
		if w.Quantised() && !w.Panels {
			need.rows = max(need.rows, kernels.PanelSize(w.In, groupCols, w.Groups))
		}
		if w.Quantised() && p.arith == kernels.Int8 {
			need.tile = max(need.tile, kernels.PanelLines(w.In, w.Groups)*kernels.LineInputs)
		}
	}
	p.lib.reserve(need)
}

// panels computes columns c0 to c1-1 of the i-th weight's output for rows r0 to r1-1; c0 is a multiple of
// a panel's columns.
func (p *product) panels(s *scratch, i, r0, r1, c0, c1 int) {
	w, y := p.weights[i], &p.ys[i]
	clearOutput(y, r0, r1, c0, c1)
	if !w.Quantised() {
		whole := c0
		if p.dotsFit(w, r1-r0) {
			whole += (c1 - c0) / panelCols * panelCols
			for r := r0; r < r1; r++ {
				p.panelDots(s, i, r, c0, whole)
			}
		}
		p.panelFloat(s, i, nil, r0, r1, whole, c1)
		return
	}
	lines := p.linesOf(s, w, c0, c1)
	switch {
	case p.arith == kernels.Int8:
		p.panelInt8(s, i, lines, c0, c1)
	case p.arith == kernels.Exact && r1-r0 <= fewRows:
		for r := r0; r < r1; r++ {
			p.panelExact(s, i, lines, r, c0, c1)
		}
	default:
		p.panelFloat(s, i, lines, r0, r1, c0, c1)
	}
}

// linesOf is the panels of columns c0 to c1-1: in place, or packed in scratch memory.
func (p *product) linesOf(s *scratch, w *kernels.Weight, c0, c1 int) []int8 {
	size := kernels.PanelLines(w.In, w.Groups) * kernels.LineBytes
	if w.Panels {
		return w.Q[c0/panelCols*size:][:kernels.NumPanels(c1-c0)*size]
	}
	per, lines := w.In/w.Groups, kernels.GroupLines(w.In, w.Groups)
	whole := per / kernels.LineInputs
	for g := range w.Groups {
		for c := c0; c < c1; c += panelCols {
			dst, src := s.rows[(c-c0)/panelCols*size+g*lines*kernels.LineBytes:], w.Q[g*per*w.Out+c:]
			cols, done := min(panelCols, c1-c), 0
			for cols == panelCols && done < whole {
				n := min(packLines, whole-done)
				p.lib.loops.panels.pack(&dst[done*kernels.LineBytes], &src[done*kernels.LineInputs*w.Out], w.Out, n)
				done += n
			}
			if done < lines {
				kernels.PackBlock(dst[done*kernels.LineBytes:], src[done*kernels.LineInputs*w.Out:], w.Out, per-done*kernels.LineInputs, cols)
			}
		}
	}
	return s.rows[:kernels.NumPanels(c1-c0)*size]
}

// panelInt8 takes all rows, in the runs in which they were quantised.
func (p *product) panelInt8(s *scratch, i int, lines []int8, c0, c1 int) {
	w, y, q := p.weights[i], &p.ys[i], &p.quants[p.quantOf[i]]
	size, groupLines := kernels.PanelLines(w.In, w.Groups)*kernels.LineBytes, kernels.GroupLines(w.In, w.Groups)
	blocks := q.blocks / w.Groups // of a group
	a := &s.int8
	for c := c0; c < c1; c += panelCols {
		panel, cols := lines[(c-c0)/panelCols*size:][:size], min(panelCols, c1-c)
		for g := range w.Groups {
			a.w, a.lines = &panel[g*groupLines*kernels.LineBytes], groupLines
			a.scale = s.scaleOf(w, g, c, cols)
			for _, run := range p.runs {
				n := run.loop.rows
				a.x = &q.q[(run.first*q.lines+g*groupLines*n)*kernels.LineInputs]
				at := run.first*q.blocks + g*blocks*n
				a.xScales = &q.scales[at]
				if q.bias != nil {
					a.bias = &q.bias[at]
				}
				for r := range n {
					a.y[r] = s.outputOf(y, run.first+r, r, c, cols)
				}
				run.loop.run((*byte)(unsafe.Pointer(a)))
				s.putOutputs(y, run.first, n, c, cols)
			}
		}
	}
}

// panelExact takes one row in float32, weights as they come from memory.
func (p *product) panelExact(s *scratch, i int, lines []int8, r, c0, c1 int) {
	w, x, y := p.weights[i], p.x.row(r), p.ys[i].row(r)
	per, size, groupLines := w.In/w.Groups, kernels.PanelLines(w.In, w.Groups)*kernels.LineBytes, kernels.GroupLines(w.In, w.Groups)
	l := p.lib.loops.panels
	for c := c0; c < c1; {
		s.exact = exactArgs{n: per, t: &s.group[0]}
		a := &s.exact
		panels := 1
		if c+l.exactPanels*panelCols <= c1 {
			a.pitch, panels = size, l.exactPanels
		}
		next := min(c+panels*panelCols, c1)
		for g := range w.Groups {
			clear(s.group[:l.exactPanels*panelCols])
			a.w, a.x = &lines[(c-c0)/panelCols*size+g*groupLines*kernels.LineBytes], &x[g*per]
			l.exact((*byte)(unsafe.Pointer(a)))
			p.lib.loops.mulAdd(y[c:next], s.group, w.Scales[g*w.Out+c:])
		}
		c = next
	}
}

// dotsFit tells that panelDots serves a weight and so many rows.
func (p *product) dotsFit(w *kernels.Weight, rows int) bool {
	return w.ByOutput && w.In%8 == 0 && rows <= fewRows && p.arith != kernels.Reference
}

// panelDots takes one row and whole panels of outputs whose weights are stored output by output.
func (p *product) panelDots(s *scratch, i, r, c0, c1 int) {
	w, x, y := p.weights[i], p.x.row(r), p.ys[i].row(r)
	a := &s.dots
	for c := c0; c < c1; c += panelCols {
		*a = dotArgs{w: &w.F[c*w.In], stride: 4 * w.In, x: &x[0], n: w.In}
		p.lib.loops.panels.dots((*byte)(unsafe.Pointer(a)))
		p.lib.loops.addTo(y[c:c+panelCols], a.t[:])
	}
}

// panelFloat takes rows in float32: a block of weights becomes float32 [inputs][16] and meets all rows.
func (p *product) panelFloat(s *scratch, i int, lines []int8, r0, r1, c0, c1 int) {
	w, y, n := p.weights[i], &p.ys[i], r1-r0
	runs := cut(s.runs[:0], p.lib.loops.panels.floatRows, r0, r1)
	groups := max(w.Groups, 1)
	per := w.In / groups
	t := s.group[:n*panelCols] // group sums
	for c := c0; c < c1; c += panelCols {
		cols := min(panelCols, c1-c)
		for g := range groups {
			clear(t)
			for lo := g * per; lo < (g+1)*per; lo += kernels.BlockRows {
				hi := min(lo+kernels.BlockRows, (g+1)*per)
				s.float = floatArgs{sumStep: 4 * panelCols, k: hi - lo, tiles: 1, block: 1}
				a := &s.float
				a.w, a.wStep = p.wideBlock(s, i, lines, c0, c, cols, g, lo, hi, n)
				for _, run := range runs {
					a.sums = &t[(run.first-r0)*panelCols]
					for r := range run.loop.rows {
						a.x[r] = &p.x.row(run.first + r)[lo]
					}
					run.loop.run((*byte)(unsafe.Pointer(a)))
				}
			}
			for r := range n {
				out, sum := y.row(r0 + r)[c:c+cols], t[r*panelCols:]
				if w.Quantised() && p.arith != kernels.Reference {
					p.lib.loops.mulAdd(out, sum, w.Scales[g*w.Out+c:])
				} else {
					p.lib.loops.addTo(out, sum)
				}
			}
		}
	}
}

// wideBlock is inputs lo to hi-1 of group g, columns c to c+cols-1, as float32 that are step bytes apart:
// in place, or in scratch memory with zeros beyond cols.
func (p *product) wideBlock(s *scratch, i int, lines []int8, c0, c, cols, g, lo, hi, rows int) (first *float32, step int) {
	w, l, n, wide := p.weights[i], p.lib.loops.panels, hi-lo, s.wide
	switch {
	case p.narrow[i] != nil:
		return &p.narrow[i][lo*panelCols], 4 * panelCols
	case w.Quantised():
		per := w.In / w.Groups
		line := ((c-c0)/panelCols*w.Groups+g)*kernels.GroupLines(w.In, w.Groups) + lo%per/kernels.LineInputs
		l.widen(&wide[0], &lines[line*kernels.LineBytes], ceilDiv(n, kernels.LineInputs))
		if p.arith == kernels.Reference {
			l.scaleRound(&wide[0], s.scaleOf(w, g, c, cols), n)
		}
		return &wide[0], 4 * panelCols
	case w.ByOutput:
		k := 0
		if cols == panelCols && n >= 8 {
			k = n / 8 * 8
			l.transpose(&wide[0], &w.F[c*w.In+lo], 4*w.In, k)
		}
		clear(wide[k*panelCols : n*panelCols])
		for ; k < n; k++ {
			for j := range cols {
				wide[k*panelCols+j] = w.F[(c+j)*w.In+lo+k]
			}
		}
	case cols == panelCols && rows <= maxRows && p.arith != kernels.Reference:
		return &w.F[lo*w.Out+c], 4 * w.Out
	default:
		clear(wide[:n*panelCols])
		for k := range n {
			copy(wide[k*panelCols:], w.F[(lo+k)*w.Out+c:][:cols])
		}
	}
	if p.arith == kernels.Reference {
		p.lib.loops.roundBF16(wide[:n*panelCols])
	}
	return &wide[0], 4 * panelCols
}

// padded16 is a float32 matrix of fewer columns than a panel, as a router's, with zeros to a whole one; nil
// for any other.
func padded16(w *kernels.Weight) []float32 {
	if w.Quantised() || w.ByOutput || w.Out >= panelCols {
		return nil
	}
	padded := make([]float32, w.In*panelCols)
	for k := range w.In {
		copy(padded[k*panelCols:], w.F[k*w.Out:][:w.Out])
	}
	return padded
}

// scaleOf is the scales of group g for columns c to c+cols-1: in place, or with zeros to a whole panel.
func (s *scratch) scaleOf(w *kernels.Weight, g, c, cols int) *float32 {
	scales := w.Scales[g*w.Out+c:][:cols]
	if cols < panelCols {
		clear(s.scale[copy(s.scale[:], scales):])
		scales = s.scale[:]
	}
	return &scales[0]
}

// outputOf is columns c to c+cols-1 of a row: in place, or the r-th of the whole panels in scratch memory.
func (s *scratch) outputOf(y *vectors, row, r, c, cols int) *float32 {
	if cols == panelCols {
		return &y.row(row)[c]
	}
	copy(s.ends[r][:], y.row(row)[c:c+cols])
	return &s.ends[r][0]
}

// putOutputs moves rows that outputOf gave scratch memory to where they belong.
func (s *scratch) putOutputs(y *vectors, first, n, c, cols int) {
	if cols == panelCols {
		return
	}
	for r := range n {
		copy(y.row(first + r)[c:c+cols], s.ends[r][:])
	}
}
