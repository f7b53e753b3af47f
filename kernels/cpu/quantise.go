package cpu

import (
	"troupe/kernels"
	"troupe/kernels/ref"
)

// quantRows are rows of activations as int8 with one scale per block of inputs (kernels/order.go).
type quantRows struct {
	groups, in, blocks int
	q                  []int8    // [rows in]
	scales             []float32 // [rows blocks]
}

func (q *quantRows) resize(n, in, groups int) {
	q.groups, q.in, q.blocks = groups, in, kernels.NumBlocks(in, groups)
	q.q, q.scales = grow(q.q, n*in), grow(q.scales, n*q.blocks)
}

func (q *quantRows) row(r int) []int8 { return q.q[r*q.in:][:q.in] }

// scale is row r's scale of a block.
func (q *quantRows) scale(r, block int) float32 { return q.scales[r*q.blocks+block] }

// quantiser is the job of quantising the rows of a product.
type quantiser struct{ p *product }

// do quantises rows lo to hi-1, once for each different number of scale groups.
func (j *quantiser) do(_, lo, hi int) {
	p := j.p
	for i := range p.weights {
		if p.quantOf[i] != i || !p.weights[i].Quantised() {
			continue
		}
		q := &p.quants[i]
		for r := lo; r < hi; r++ {
			ref.Quantise(q.row(r), q.scales[r*q.blocks:][:q.blocks], p.x.row(r), q.groups)
		}
	}
}
