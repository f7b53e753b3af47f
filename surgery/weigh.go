package surgery

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"troupe/kernels"
	"troupe/tensor"
)

// Weigh computes the matrix of an expert into dst, which has name, shape, groups and memory: float32 values, or int8 in
// panels with scales. from are the old experts' matrices in the order of e.Weights, of the same shape, groups and
// kind, in any layout. Sums are made in float64, the outputs of a panel at a time, so that they depend neither on
// layouts nor on threads.
//
// An int8 matrix is rounded as checkpoints have it: the scale of a group and output is the bfloat16 nearest to its
// largest magnitude over 127, a value the nearest multiple of it, ties to even, at most 127.
func Weigh(dst *kernels.Weight, from []*kernels.Weight, e Expert) error {
	if len(from) != len(e.Weights) {
		return fmt.Errorf("surgery: %s: %d matrices for %d old experts", dst.Name, len(from), len(e.Weights))
	}
	for _, w := range append([]*kernels.Weight{dst}, from...) {
		if err := w.Check(); err != nil {
			return err
		}
		if w.In != dst.In || w.Out != dst.Out || w.Quantised() != dst.Quantised() || w.Groups != dst.Groups || w.ByOutput {
			return fmt.Errorf("surgery: %s: matrices of other shapes, groups or kinds", dst.Name)
		}
	}
	b := newBlocks(dst, from, e)
	var size float64
	if e.Noise > 0 {
		sum := 0.0
		b.each(func(p, g int, v []float64) {
			for _, x := range v {
				sum += float64(x * x)
			}
		})
		size = e.Noise * math.Sqrt(sum/float64(dst.In*dst.Out))
	}
	rng := noiseOf(dst.Name, e.Seed)
	b.each(func(p, g int, v []float64) {
		if e.Noise > 0 {
			for i := range v {
				v[i] += float64(size * gauss(rng))
			}
		}
		b.put(p, g, v)
	})
	return nil
}

// blocks go through a matrix: a scale group of a panel's outputs at a time.
type blocks struct {
	dst    *kernels.Weight
	from   []*kernels.Weight
	mix    Mix
	groups int
	per    int       // inputs of a group
	values []float64 // [per outputs]
	ints   []int8    // [per outputs]
}

func newBlocks(dst *kernels.Weight, from []*kernels.Weight, e Expert) *blocks {
	b := &blocks{dst: dst, from: from, mix: e.Weights, groups: max(dst.Groups, 1)}
	b.per = dst.In / b.groups
	b.values = make([]float64, b.per*kernels.PanelOutputs)
	b.ints = make([]int8, b.per*kernels.PanelOutputs)
	return b
}

// cols is the number of outputs of panel p.
func (b *blocks) cols(p int) int { return min(kernels.PanelOutputs, b.dst.Out-p*kernels.PanelOutputs) }

// each calls f with the averaged values of every block, [inputs of the group, outputs of the panel]. f may change them.
func (b *blocks) each(f func(p, g int, v []float64)) {
	for p := range kernels.NumPanels(b.dst.Out) {
		for g := range b.groups {
			v := b.values[:b.per*b.cols(p)]
			clear(v)
			for i, w := range b.from {
				b.add(v, w, p, g, b.mix[i].Share)
			}
			f(p, g, v)
		}
	}
}

// add adds a share of a matrix's block.
func (b *blocks) add(v []float64, w *kernels.Weight, p, g int, share float64) {
	cols, c0 := b.cols(p), p*kernels.PanelOutputs
	if !w.Quantised() {
		for k := range b.per {
			row := w.F[(g*b.per+k)*w.Out+c0:][:cols]
			for c, x := range row {
				v[k*cols+c] += float64(share * float64(x))
			}
		}
		return
	}
	q, stride := b.ints, cols
	if w.Panels {
		lines := kernels.GroupLines(w.In, w.Groups)
		kernels.UnpackBlock(q, w.Panel(p)[g*lines*kernels.LineBytes:], cols, b.per, cols)
	} else {
		q, stride = w.Q[g*b.per*w.Out+c0:], w.Out
	}
	scales := w.Scales[g*w.Out+c0:][:cols]
	for k := range b.per {
		row := q[k*stride:][:cols]
		for c, x := range row {
			v[k*cols+c] += float64(share * float64(float64(x)*float64(scales[c])))
		}
	}
}

// put stores a block.
func (b *blocks) put(p, g int, v []float64) {
	w, cols, c0 := b.dst, b.cols(p), p*kernels.PanelOutputs
	if !w.Quantised() {
		for k := range b.per {
			row := w.F[(g*b.per+k)*w.Out+c0:][:cols]
			for c := range row {
				row[c] = float32(v[k*cols+c])
			}
		}
		return
	}
	round(b.ints, w.Scales[g*w.Out+c0:][:cols], v)
	lines := kernels.GroupLines(w.In, w.Groups)
	kernels.PackBlock(w.Panel(p)[g*lines*kernels.LineBytes:][:lines*kernels.LineBytes], b.ints, cols, b.per, cols)
}

const (
	tiny  = 0x1p-100  // the magnitude below which a group counts as zero: its scale is still a normal bfloat16
	magic = 3.0 << 51 // v + magic - magic rounds |v| < 2^51 to a whole number, ties to even
)

// round writes v [inputs, outputs] as int8 with a scale for each output.
func round(q []int8, scales []float32, v []float64) {
	cols := len(scales)
	var tops, steps [kernels.PanelOutputs]float64
	for at := 0; at < len(v); at += cols {
		for c, x := range v[at : at+cols] {
			tops[c] = max(tops[c], math.Abs(x))
		}
	}
	for c := range cols {
		scales[c], steps[c] = 0, math.Inf(1)
		if tops[c] >= tiny {
			scales[c] = tensor.RoundBF16(float32(tops[c] / 127))
			steps[c] = float64(scales[c])
		}
	}
	for at := 0; at < len(v); at += cols {
		row := q[at : at+cols]
		for c, x := range v[at : at+cols] {
			row[c] = int8(min(max(float64(float64(x/steps[c])+magic)-magic, -127), 127))
		}
	}
}

// Columns computes the router of a layer, dst [emb, new experts], from the old one [emb, old experts], both float32.
func Columns(dst, old *kernels.Weight, experts []Expert) error {
	if dst.In != old.In || dst.Out != len(experts) || dst.Quantised() || old.Quantised() {
		return fmt.Errorf("surgery: %s: [%d %d] from [%d %d] for %d experts: want float32 matrices of one height", dst.Name, dst.In, dst.Out, old.In, old.Out, len(experts))
	}
	column := make([]float64, old.In)
	for j, e := range experts {
		if e.Noise == 0 && len(e.Router) == 1 { // the same bits, also of a negative zero
			for d := range old.In {
				dst.F[d*dst.Out+j] = old.F[d*old.Out+e.Router[0].Expert]
			}
			continue
		}
		clear(column)
		sum := 0.0
		for d := range column {
			for _, t := range e.Router {
				column[d] += float64(t.Share * float64(old.F[d*old.Out+t.Expert]))
			}
			sum += float64(column[d] * column[d])
		}
		size, rng := e.Noise*math.Sqrt(sum/float64(len(column))), noiseOf(dst.Name, e.Seed)
		for d, x := range column {
			if e.Noise > 0 {
				x += float64(size * gauss(rng))
			}
			dst.F[d*dst.Out+j] = float32(x)
		}
	}
	return nil
}

// noiseOf is the stream of one matrix: it depends on the seed and the matrix's name, never on what is beside it.
func noiseOf(name string, seed uint64) *rand.PCG {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // which cannot fail
	return rand.NewPCG(seed, h.Sum64())
}

// gauss is a number of mean 0 and standard deviation 1: the sum of twelve uniform ones of 16 bits, less its mean.
// It differs from a Gaussian by less than 0.003 in distribution, is at most 6, and, as a sum of whole numbers, is the
// same on every machine.
func gauss(rng *rand.PCG) float64 {
	sum := uint64(0)
	for range 3 {
		w := rng.Uint64()
		sum += w&0xffff + w>>16&0xffff + w>>32&0xffff + w>>48
	}
	return (float64(sum) - 12*32767.5) / 65536
}
