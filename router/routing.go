package router

import "fmt"

// Routing is the choice of a batch at one layer, as (row, rank) pairs. Pair p of row r is
// Start[r] + rank, rank 0 the best expert; rows may have different counts. Pair numbers are also the
// places where the experts' outputs go, so a row's outputs lie together in rank order.
//
// A Routing is used again for batch after batch: Reset, Add each row, Groups. It allocates only while it
// grows. The zero value is ready for Reset. One holder at a time.
type Routing struct {
	Start  []int32   // [rows+1]
	Expert []int32   // [pairs]
	Gate   []float32 // [pairs]

	experts int
	best    []Choice // one row's choice
	scratch scratch
	groups  []Group
	ends    []int32 // [experts]
	row     []int32 // [pairs], by expert
	dst     []int32 // [pairs], by expert
}

// Group is what one expert computes of a batch. Its slices are valid until the next Reset, Add or Groups.
type Group struct {
	Expert int32
	Row    []int32 // rows of the expert's input, ascending
	Dst    []int32 // for each the pair that takes the result
}

// Reset empties the routing for a batch of a layer with this many experts.
func (r *Routing) Reset(experts int) {
	r.experts = experts
	r.Start = append(r.Start[:0], 0)
	r.Expert, r.Gate = r.Expert[:0], r.Gate[:0]
	r.groups = r.groups[:0]
}

// Rows is the number of rows added since Reset.
func (r *Routing) Rows() int { return len(r.Start) - 1 }

// Add chooses experts for the next row from probs [experts] under a rule that fits them. After an error the routing
// is as before.
func (r *Routing) Add(probs []float32, rule *Rule, at Place) error {
	if len(probs) != r.experts {
		return fmt.Errorf("router: row %d: %d probabilities, want %d", r.Rows(), len(probs), r.experts)
	}
	var err error
	if r.best, err = rule.choose(probs, at, r.best, &r.scratch); err != nil {
		return fmt.Errorf("router: row %d: %w", r.Rows(), err)
	}
	for _, c := range r.best {
		r.Expert = append(r.Expert, c.Expert)
		r.Gate = append(r.Gate, c.Gate)
	}
	r.Start = append(r.Start, int32(len(r.Expert)))
	return nil
}

// Groups sorts the pairs by expert and returns one group per expert in use, in order of experts: a
// counting sort, so rows stay in order within a group.
func (r *Routing) Groups() []Group {
	pairs := len(r.Expert)
	r.ends = resize(r.ends, r.experts)
	r.row, r.dst = resize(r.row, pairs), resize(r.dst, pairs)
	clear(r.ends)
	for _, e := range r.Expert {
		r.ends[e]++
	}
	sum := int32(0)
	for e, n := range r.ends {
		r.ends[e] = sum // its first place; the loop below moves it to its end
		sum += n
	}
	for row := range r.Rows() {
		for p := r.Start[row]; p < r.Start[row+1]; p++ {
			at := r.ends[r.Expert[p]]
			r.ends[r.Expert[p]]++
			r.row[at], r.dst[at] = int32(row), p
		}
	}
	r.groups = r.groups[:0]
	first := int32(0)
	for e, end := range r.ends {
		if end > first {
			r.groups = append(r.groups, Group{Expert: int32(e), Row: r.row[first:end:end], Dst: r.dst[first:end:end]})
		}
		first = end
	}
	return r.groups
}

// resize is s with n elements of any content, the same memory where it is large enough.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
