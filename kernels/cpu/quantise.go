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
	triples            []uint64  // [rows/3 in] three rows' values in one word (int8.go)
}

func (q *quantRows) resize(n, in, groups int) {
	q.groups, q.in, q.blocks = groups, in, kernels.NumBlocks(in, groups)
	q.q, q.scales = grow(q.q, n*in), grow(q.scales, n*q.blocks)
	q.triples = grow(q.triples, n/3*in)
}

func (q *quantRows) triple(i int) []uint64 { return q.triples[i*q.in:][:q.in] }

func (q *quantRows) row(r int) []int8 { return q.q[r*q.in:][:q.in] }

// scale is row r's scale of a block.
func (q *quantRows) scale(r, block int) float32 { return q.scales[r*q.blocks+block] }

// quantiser is the job of quantising the rows of a product. An item is three rows.
type quantiser struct{ p *product }

func (j *quantiser) do(_, lo, hi int) {
	p := j.p
	for i := range p.weights {
		if p.quantOf[i] != i || !p.weights[i].Quantised() {
			continue
		}
		q := &p.quants[i]
		for t := lo; t < hi; t++ {
			r0, r1 := 3*t, min(3*t+3, p.n)
			for r := r0; r < r1; r++ {
				ref.Quantise(q.row(r), q.scales[r*q.blocks:][:q.blocks], p.x.row(r), q.groups)
			}
			if r1-r0 == 3 {
				q.pack(t)
			}
		}
	}
}

// pack fills a triple from its rows.
func (q *quantRows) pack(t int) {
	words := q.triple(t)
	a, b, c := q.row(3 * t)[:len(words)], q.row(3*t + 1)[:len(words)], q.row(3*t + 2)[:len(words)]
	for k := range words {
		words[k] = uint64(int64(a[k]) + int64(b[k])<<laneBits + int64(c[k])<<(2*laneBits))
	}
}
