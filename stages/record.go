package stages

import (
	"slices"

	"troupe/kernels"
	"troupe/router"
)

// record is the routing of the rows of traced sequences, layer by layer. It has no memory before the first
// sequence that is traced, and keeps what it has for later batches.
type record struct {
	traced []bool        // [sequences], as far as one is traced
	row    []int32       // [recorded] rows of the batch, ascending
	layers []layerRecord // that the batch has passed
}

// layerRecord is what the recorded rows chose at a layer.
type layerRecord struct {
	start  []int32 // [recorded+1]
	expert []int32 // [pairs]
	gate   []float32
}

func (r *record) reset() { r.traced, r.row, r.layers = r.traced[:0], r.row[:0], r.layers[:0] }

// traces tells whether the rows of a sequence are recorded.
func (r *record) traces(seq int) bool { return seq < len(r.traced) && r.traced[seq] }

// Trace has the routing of a sequence's rows recorded, of those that are added from now on.
func (b *Batch) Trace(seq int) {
	r := &b.record
	for len(r.traced) <= seq {
		r.traced = append(r.traced, false)
	}
	r.traced[seq] = true
}

// Traced tells whether any of the batch's rows are recorded.
func (b *Batch) Traced() bool { return len(b.record.row) > 0 }

// Observe takes note of what Route has chosen at a layer from the probabilities in the slot probs: in the counters,
// unless they are nil, and in the record of the sequences that are traced. It changes nothing that experts read, so
// that they may be at work meanwhile.
func (b *Batch) Observe(probs kernels.Slot, layer int, c *router.Counters) {
	if c != nil {
		c.Count(layer, b.Frame.Bufs[probs], &b.Routing, b.pads)
	}
	if len(b.record.row) > 0 {
		b.record.take(layer, &b.Routing)
	}
}

// take copies the recorded rows of a layer's routing.
func (r *record) take(layer int, from *router.Routing) {
	for len(r.layers) <= layer {
		if len(r.layers) < cap(r.layers) {
			r.layers = r.layers[:len(r.layers)+1] // with the memory of an earlier batch
		} else {
			r.layers = append(r.layers, layerRecord{})
		}
	}
	l := &r.layers[layer]
	l.start, l.expert, l.gate = append(l.start[:0], 0), l.expert[:0], l.gate[:0]
	for _, row := range r.row {
		first, end := from.Start[row], from.Start[row+1]
		l.expert = append(l.expert, from.Expert[first:end]...)
		l.gate = append(l.gate, from.Gate[first:end]...)
		l.start = append(l.start, int32(len(l.expert)))
	}
}

// AppendRouting appends the routing of a traced sequence's rows of this batch, in their order, once the batch has
// passed all layers. What it appends does not share memory with the batch.
func (b *Batch) AppendRouting(to []router.RowRouting, seq int) []router.RowRouting {
	r, rows := &b.record, &b.Frame.Rows
	from := 0
	for from < len(r.row) && rows.Seq[r.row[from]] != int32(seq) {
		from++
	}
	end := from
	for end < len(r.row) && rows.Seq[r.row[end]] == int32(seq) {
		end++
	}
	pairs := 0
	for i := range r.layers {
		pairs += int(r.layers[i].start[end] - r.layers[i].start[from])
	}
	all := router.Path{Start: make([]int32, 0, (end-from)*(len(r.layers)+1)), Expert: make([]int32, 0, pairs), Gate: make([]float32, 0, pairs)}
	to = slices.Grow(to, end-from)
	for i := from; i < end; i++ {
		row := r.row[i]
		to = append(to, router.RowRouting{Position: int(rows.Pos[row]), Token: rows.Token[row], Path: r.path(&all, i)})
	}
	return to
}

// path appends a recorded row's choices to what holds all of them, and returns it as a path of its own.
func (r *record) path(all *router.Path, i int) router.Path {
	starts, pairs := len(all.Start), len(all.Expert)
	all.Start = append(all.Start, 0)
	for l := range r.layers {
		c := &r.layers[l]
		all.Expert = append(all.Expert, c.expert[c.start[i]:c.start[i+1]]...)
		all.Gate = append(all.Gate, c.gate[c.start[i]:c.start[i+1]]...)
		all.Start = append(all.Start, int32(len(all.Expert)-pairs))
	}
	return router.Path{Start: all.Start[starts:len(all.Start):len(all.Start)],
		Expert: all.Expert[pairs:len(all.Expert):len(all.Expert)], Gate: all.Gate[pairs:len(all.Gate):len(all.Gate)]}
}
