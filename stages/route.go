package stages

import (
	"fmt"
	"math"

	"troupe/kernels"
	"troupe/router"
)

// Route chooses experts for every row of the batch at a layer, from the probabilities in the slot probs
// [rows experts] and under the policy of the row's sequence. It fills b.Routing and what op combine
// reads (Frame.Pairs), cuts the per-pair buffers, and returns the work: one group for each expert in
// use, in order of experts, valid until the next Route. It allocates only while the batch's largest
// routing grows.
//
// A row whose probabilities are not finite goes to the first experts with gates that are NaN. So it
// stays NaN until its logits are drawn, which reports it, and its neighbours are not harmed (N3).
func (b *Batch) Route(probs kernels.Slot, layer int) ([]router.Group, error) {
	experts := b.slots[probs].Width
	rows, r, p := &b.Frame.Rows, &b.Routing, b.Frame.Bufs[probs]
	r.Reset(experts)
	b.groups = nil
	b.computed = resize(b.computed, experts)
	clear(b.computed)
	for i := range rows.N {
		rule := b.Policies[rows.Seq[i]].Rule(layer)
		k := rule.Most(experts)
		if k < 1 || k > min(experts, b.limits.Experts) {
			return nil, fmt.Errorf("router of layer %d: batch %d: row %d: %d experts, want 1 to %d: ask for fewer in the request's policy",
				layer, b.ID, i, k, min(experts, b.limits.Experts))
		}
		at := router.Place{Layer: layer, Position: int(max(rows.Pos[i]-rows.First[i], 0))}
		if err := r.Add(p[i*experts:(i+1)*experts], rule, at); err != nil {
			addUndefined(r, min(max(1, rule.Count), k))
		}
	}
	b.setPairs(len(r.Expert))
	b.Frame.Pairs = kernels.Pairs{Start: r.Start, Gate: r.Gate}
	b.groups = r.Groups()
	return b.groups, nil
}

// resize is s with n elements, the same memory where it is large enough.
func resize(s []bool, n int) []bool {
	if cap(s) < n {
		return make([]bool, n)
	}
	return s[:n]
}

// WorkOf is a group as an expert's kernel reads it.
func WorkOf(g router.Group) kernels.Work { return kernels.Work{Row: g.Row, Dst: g.Dst} }

func addUndefined(r *router.Routing, k int) {
	for e := range k {
		r.Expert = append(r.Expert, int32(e))
		r.Gate = append(r.Gate, float32(math.NaN()))
	}
	r.Start = append(r.Start, int32(len(r.Expert)))
}
