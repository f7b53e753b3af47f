package load

import (
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"troupe/ckpt"
	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/model"
	"troupe/stages"
	"troupe/tensor"
)

// plain is a forward pass in float64, as it stands in the papers: it shares no code with kernels, router or stages. It
// is what surgery is measured with, so the experts of a layer are handed to it.
type plain struct {
	c       model.Config
	w       stages.Weights
	experts func(layer int) []plainExpert
}

// plainExpert is an expert as functions of numbers: the router's column [D], gate and up [D F], down [F D].
type plainExpert struct {
	column         func(d int) float64
	gate, up, down matrixOf
}

type matrixOf func(k, o int) float64

// numbers looks at a weight as numbers.
func numbers(w *kernels.Weight) matrixOf {
	return func(k, o int) float64 {
		switch {
		case w.ByOutput:
			return float64(w.F[o*w.In+k])
		case w.Quantised():
			return float64(w.At(k, o)) * float64(w.Scales[k*w.Groups/w.In*w.Out+o])
		}
		return float64(w.F[k*w.Out+o])
	}
}

// expertOf is an expert as the checkpoint has it.
func expertOf(w stages.Weights, layer, e int) plainExpert {
	name := "transformer/decoder_layer_" + string(rune('0'+layer)) + "/"
	router := numbers(w[name+"router/w"][0])
	return plainExpert{
		column: func(d int) float64 { return router(d, e) },
		gate:   numbers(w[name+"moe/linear/w"][e]), up: numbers(w[name+"moe/linear_v/w"][e]), down: numbers(w[name+"moe/linear_1/w"][e]),
	}
}

func apply(x []float64, m matrixOf, out int) []float64 {
	y := make([]float64, out)
	for k, v := range x {
		for o := range y {
			y[o] += v * m(k, o)
		}
	}
	return y
}

func (p *plain) norm(x []float64, name string) []float64 {
	w, sum, y := p.w[name][0].F, 0.0, make([]float64, len(x))
	for _, v := range x {
		sum += v * v
	}
	for i, v := range x {
		y[i] = v / math.Sqrt(sum/float64(len(x))+1e-5) * float64(w[i])
	}
	return y
}

func add(x, y []float64) []float64 {
	z := slices.Clone(x)
	for i := range z {
		z[i] += y[i]
	}
	return z
}

// rotate is the half-split rotary embedding of each head.
func (p *plain) rotate(x []float64, pos int) {
	n := p.c.Model.KeySize
	for at := 0; at < len(x); at += n {
		for i := range n / 2 {
			sin, cos := math.Sincos(float64(pos) * math.Pow(10000, -2*float64(i)/float64(n)))
			a, b := x[at+i], x[at+i+n/2]
			x[at+i], x[at+i+n/2] = a*cos-b*sin, b*cos+a*sin
		}
	}
}

func softmax(x []float64) {
	top, sum := slices.Max(x), 0.0
	for i := range x {
		x[i] = math.Exp(x[i] - top)
		sum += x[i]
	}
	for i := range x {
		x[i] /= sum
	}
}

// forward returns the logits of every position of a prompt without pads.
func (p *plain) forward(ids []int32) (rows [][]float64) {
	m := p.c.Model
	embedding := numbers(p.w[model.Embedding][0])
	var keys, values [][][]float64 // by layer and position
	keys, values = make([][][]float64, m.NumLayers), make([][][]float64, m.NumLayers)
	for pos, id := range ids {
		x := make([]float64, m.EmbSize)
		for d := range x {
			x[d] = embedding(d, int(id)) * p.c.EmbeddingMultiplierScale
		}
		for l := range m.NumLayers {
			name := "transformer/decoder_layer_" + string(rune('0'+l)) + "/"
			in := p.norm(x, name+"rms_norm/scale")
			project := func(what string, heads int) []float64 {
				return apply(in, numbers(p.w[name+"multi_head_attention/"+what+"/w"][0]), heads*m.KeySize)
			}
			q, k := project("query", m.NumQHeads), project("key", m.NumKVHeads)
			p.rotate(q, pos)
			p.rotate(k, pos)
			keys[l], values[l] = append(keys[l], k), append(values[l], project("value", m.NumKVHeads))
			mix := p.attend(q, keys[l], values[l])
			x = add(x, p.norm(apply(mix, numbers(p.w[name+"multi_head_attention/linear/w"][0]), m.EmbSize), name+"rms_norm_1/scale"))
			x = add(x, p.norm(p.moe(p.norm(x, name+"rms_norm_2/scale"), p.experts(l)), name+"rms_norm_3/scale"))
		}
		logits := apply(p.norm(x, "language_model/rms_norm/scale"), embedding, p.c.VocabSize)
		for i := range logits {
			logits[i] *= p.c.OutputMultiplierScale
		}
		rows = append(rows, logits)
	}
	return rows
}

func (p *plain) attend(q []float64, keys, values [][]float64) []float64 {
	m := p.c.Model
	n, mix := m.KeySize, make([]float64, len(q))
	for h := range m.NumQHeads {
		kv := h / (m.NumQHeads / m.NumKVHeads) * n
		scores := make([]float64, len(keys))
		for j := range keys {
			for d := range n {
				scores[j] += q[h*n+d] * keys[j][kv+d]
			}
			scores[j] = 30 * math.Tanh(scores[j]*m.AttnOutputMultiplier/30)
		}
		softmax(scores)
		for j := range keys {
			for d := range n {
				mix[h*n+d] += scores[j] * values[j][kv+d]
			}
		}
	}
	return mix
}

// moe adds the outputs of the likeliest experts by their probabilities, which are not normalised anew.
func (p *plain) moe(x []float64, experts []plainExpert) []float64 {
	probs, order := make([]float64, len(experts)), make([]int, len(experts))
	for e := range experts {
		order[e] = e
		for d, v := range x {
			probs[e] += v * experts[e].column(d)
		}
	}
	softmax(probs)
	slices.SortStableFunc(order, func(a, b int) int {
		if d := probs[b] - probs[a]; math.Abs(d) > 1e-12 { // copies are ties
			return int(math.Copysign(1, d))
		}
		return 0
	})
	y := make([]float64, len(x))
	for _, e := range order[:p.c.Model.NumSelectedExperts] {
		g, u := apply(x, experts[e].gate, p.c.Model.FFNSize()), apply(x, experts[e].up, p.c.Model.FFNSize())
		for i, v := range g {
			g[i] = 0.5 * v * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v))) * u[i]
		}
		for d, v := range apply(g, experts[e].down, len(x)) {
			y[d] += probs[e] * v
		}
	}
	return y
}

// toyDir writes a toy of that many experts as a checkpoint.
func toyDir(t *testing.T, experts, selected int, storage toy.Storage, seed uint64) (string, model.Config) {
	t.Helper()
	c := toy.Config()
	c.Model.NumExperts, c.Model.NumSelectedExperts = experts, selected
	w := toy.Weights(c, storage, seed)
	var list []ckpt.Source
	for _, x := range model.Tensors(c) {
		weights := w[x.Name]
		s := ckpt.Source{Name: x.Name, Spec: tensor.Spec{DType: tensor.F32, Shape: x.Shape}, Groups: weights[0].Groups}
		s.Payload = func(w io.Writer) error {
			for _, k := range weights {
				if err := binary.Write(w, binary.LittleEndian, any(k.F)); k.F != nil && err != nil {
					return err
				}
				if err := binary.Write(w, binary.LittleEndian, k.Q); k.Q != nil && err != nil {
					return err
				}
			}
			return nil
		}
		if s.Groups > 0 {
			s.Spec.DType = tensor.I8
			s.Scales = func(w io.Writer) error {
				for _, k := range weights {
					for _, v := range k.Scales {
						if err := binary.Write(w, binary.LittleEndian, tensor.ToBF16(v)); err != nil {
							return err
						}
					}
				}
				return nil
			}
		}
		list = append(list, s)
	}
	dir := t.TempDir()
	if err := ckpt.Write(t.Context(), dir, list, ckpt.Options{}); err != nil {
		t.Fatal(err)
	}
	return dir, c
}

// openToy opens such a directory.
func openToy(t *testing.T, dir string, c model.Config) *Model {
	t.Helper()
	m, err := Open(t.Context(), os.DirFS(dir), c, ckpt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func toyPrompt(c model.Config, seed uint64) []int32 {
	rng, ids := rand.New(rand.NewPCG(seed, 1)), make([]int32, 9)
	for i := range ids {
		ids[i] = int32(1 + rng.IntN(c.VocabSize-1))
	}
	return ids
}

// sameLogits demands that a model's logits in exact arithmetic are those of the plain forward pass.
func sameLogits(t *testing.T, m *Model, p *plain, tolerance float64) {
	t.Helper()
	prompt := toyPrompt(m.Config, 4)
	want := p.forward(prompt)
	for i, row := range logits(t, m, kernels.Exact, "cpu", prompt) {
		top := 0.0
		for _, v := range want[i] {
			top = max(top, math.Abs(v))
		}
		for j, v := range row {
			if d := math.Abs(float64(v) - want[i][j]); !(d <= tolerance*top) {
				t.Fatalf("position %d, token %d: %v, want %v: %.2g of the largest value, want at most %g", i, j, v, want[i][j], d/top, tolerance)
			}
		}
	}
}

// TestAnyNumberOfExperts: 1 to 64 experts, one and all of them chosen, int8 and float32, against the plain forward pass.
func TestAnyNumberOfExperts(t *testing.T) {
	for _, n := range []struct{ experts, selected int }{{1, 1}, {3, 2}, {4, 2}, {4, 4}, {16, 3}, {64, 1}, {64, 5}} {
		for _, storage := range []toy.Storage{toy.Int8, toy.Float32} {
			dir, c := toyDir(t, n.experts, n.selected, storage, 11)
			m := openToy(t, dir, c)
			all := func(layer int) (list []plainExpert) {
				for e := range n.experts {
					list = append(list, expertOf(m.Weights, layer, e))
				}
				return list
			}
			sameLogits(t, m, &plain{c, m.Weights, all}, 2e-5)
		}
	}
}
