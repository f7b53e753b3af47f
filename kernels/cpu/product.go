package cpu

import "troupe/kernels"

// vectors are rows of a buffer: row i is data[at(i)*width:][:width] with at(i) = index[i], or i without
// an index.
type vectors struct {
	data  []float32
	width int
	index []int32
}

func (v *vectors) row(i int) []float32 {
	if v.index != nil {
		i = int(v.index[i])
	}
	return v.data[i*v.width:][:v.width]
}

// product multiplies rows with one or more weights that share their input, y = x · w. The op that owns
// it sets ys, calls begin, and has the pool call compute for tiles of rows and columns.
type product struct {
	lib     *library
	arith   kernels.Arith
	weights []*kernels.Weight
	x       vectors
	n       int         // rows
	ys      []vectors   // [weights]
	cols    []int       // [weights] columns of a tile
	quants  []quantRows // [weights] x as int8
	quantOf []int       // [weights] whose quants a weight uses: the first with as many scale groups
	quant   quantiser
	unpack  bool        // some weight is in panels, and the loops want rows
	runs    []rowRun    // of all rows, for int8 loops on panels
	narrow  [][]float32 // [weights] float32 matrices of fewer columns than a panel, padded to one; nil: another
}

func newProduct(lib *library, arith kernels.Arith, weights []*kernels.Weight) *product {
	n := len(weights)
	p := &product{lib: lib, narrow: make([][]float32, n), arith: arith, weights: weights,
		ys: make([]vectors, n), cols: make([]int, n), quants: make([]quantRows, n), quantOf: make([]int, n)}
	p.quant.p = p
	for i, w := range weights {
		p.ys[i].width = w.Out
		p.unpack = p.unpack || w.Panels
		if lib.loops.panels != nil && arith != kernels.Reference {
			p.narrow[i] = padded16(w)
		}
		for p.weights[p.quantOf[i]].Groups != w.Groups {
			p.quantOf[i]++
		}
	}
	return p
}

// rowTile is the number of rows that meet a tile of weights at once, a multiple of 3 (generic_int8.go).
const rowTile = 12

// Columns of a tile. Few rows want long runs of weights, since that is how they come fast from memory;
// more rows want what they share to stay in the first cache.
const (
	wideTile   = 2048
	narrowTile = 512
	leastTile  = 128
	fewRows    = 3
)

// begin takes n rows of x, chooses the tiles, and quantises the rows where weights want it.
func (p *product) begin(x vectors, n int) {
	p.x, p.n = x, n
	panels := p.lib.loops.panels
	cols := 0
	for i := range p.weights {
		least := leastTile
		switch {
		case panels != nil:
			p.cols[i], least = groupCols, panels.exactPanels*panelCols
		case n < fewRows:
			p.cols[i] = wideTile
		default:
			p.cols[i] = narrowTile
		}
		for p.cols[i] > least && p.lib.pool.hungry(p.tiles(i), p.nanos(i)) {
			p.cols[i] /= 2
		}
		cols = max(cols, min(p.cols[i], p.weights[i].Out))
	}
	if panels != nil {
		p.runs = cut(p.runs[:0], panels.int8Rows, 0, n)
		p.reservePanels()
	} else {
		p.reserve(cols)
	}
	if p.arith == kernels.Int8 {
		p.quantise()
	}
}

// quantise makes int8 of the rows, where weights want it.
func (p *product) quantise() {
	nanos := 0 // of one row
	for i, w := range p.weights {
		if w.Quantised() && p.quantOf[i] == i {
			p.quants[i].resize(p.n, w.In, w.Groups, p.lib.loops.panels)
			nanos += w.In
		}
	}
	switch {
	case nanos == 0:
	case p.lib.loops.panels != nil:
		p.lib.pool.run(&p.quant, len(p.runs), nanos*ceilDiv(p.n, max(len(p.runs), 1))/4)
	default:
		p.lib.pool.run(&p.quant, ceilDiv(p.n, 3), 3*nanos)
	}
}

// reserve provides scratch memory for tiles of that many columns.
func (p *product) reserve(cols int) {
	all := min(p.n, rowTile) * cols
	need := sizes{block: max(all, dotOutputs), group: all, wide: max(4*cols, dotOutputs*kernels.BlockRows)}
	if p.arith == kernels.Int8 {
		need.lanes, need.tile, need.words, need.sums = cols/8, 4*cols, all/3, all
	}
	if p.unpack {
		need.rows = kernels.BlockRows * cols
	}
	p.lib.reserve(need)
}

// tiles is the number of tiles of the i-th weight.
func (p *product) tiles(i int) int {
	if p.lib.loops.panels != nil {
		return ceilDiv(p.weights[i].Out, p.cols[i])
	}
	return ceilDiv(p.weights[i].Out, p.cols[i]) * ceilDiv(p.n, rowTile)
}

// nanos is roughly what a tile of the i-th weight takes: 3 multiply-adds a nanosecond.
func (p *product) nanos(i int) int {
	if p.lib.loops.panels != nil {
		return p.panelNanos(i)
	}
	w := p.weights[i]
	return max(w.In*min(w.Out, p.cols[i])*min(p.n, rowTile)/3, 1)
}

// tile is the rows and columns of the i-th weight's t-th tile. Tiles with the same columns follow each
// other, so that their weights are still in a cache.
func (p *product) tile(i, t int) (r0, r1, c0, c1 int) {
	if p.lib.loops.panels != nil {
		return 0, p.n, t * p.cols[i], min((t+1)*p.cols[i], p.weights[i].Out)
	}
	down := ceilDiv(p.n, rowTile)
	r0, c0 = t%down*rowTile, t/down*p.cols[i]
	return r0, min(r0+rowTile, p.n), c0, min(c0+p.cols[i], p.weights[i].Out)
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// compute writes one tile of the i-th weight's output.
func (p *product) compute(s *scratch, i, r0, r1, c0, c1 int) {
	w := p.weights[i]
	switch {
	case p.lib.loops.panels != nil:
		p.panels(s, i, r0, r1, c0, c1)
	case p.arith == kernels.Int8 && w.Quantised():
		p.int8(s, i, r0, r1, c0, c1)
	case w.ByOutput && !w.Quantised():
		p.byOutput(s, i, r0, r1, c0, c1)
	default:
		p.float(s, i, r0, r1, c0, c1)
	}
}

// clearOutput sets a tile of outputs to +0.
func clearOutput(y *vectors, r0, r1, c0, c1 int) {
	for r := r0; r < r1; r++ {
		clear(y.row(r)[c0:c1])
	}
}

// endGroup adds a scale group's sums [rows cols], times scales [cols], to a tile of outputs and clears
// them. Without scales it adds the sums as they are.
func endGroup(y *vectors, sums, scales []float32, r0, r1, c0, c1 int) {
	cols := c1 - c0
	for r := r0; r < r1; r++ {
		t, out := sums[(r-r0)*cols:][:cols], y.row(r)[c0:c1]
		if scales == nil {
			for c, v := range t {
				out[c] += v
			}
			continue
		}
		scales := scales[:cols]
		for c, v := range t {
			out[c] += float32(v * scales[c])
		}
	}
	clear(sums)
}
