package stages

import (
	"fmt"

	"troupe/kernels"
	"troupe/model"
	"troupe/router"
	"troupe/stages/sample"
	"troupe/tensor"
)

// Batch is a set of rows on their way through the pipeline, with the memory they need. Batches are made
// once, one per microbatch in flight, and used again and again.
type Batch struct {
	ID         uint64
	Generation uint64 // of bindings, policies and placement (B1)
	Frame      kernels.Frame
	Policies   []router.Policy // [sequences] how many experts each row of the sequence gets
	Draws      []Draw          // [draws] what to do with the logits of Frame.Rows.Draw
	Drawn      []Drawn         // [draws] results, filled by the last stage
	Routing    router.Routing  // of the layer at hand

	groups   []router.Group // of Routing
	computed []bool         // [experts] of the layer at hand: together with one before it, so that its own turn has nothing to do

	limits Limits
	pads   []int32 // rows that stand for no token, ascending
	record record  // of the sequences that are traced
	slots  []model.SlotSpec
	full   [][]float32 // every buffer at its full length
	step   int         // next segment within the stage that holds the batch
	arena  *tensor.Arena
}

// Limits bound a batch (M2).
type Limits struct {
	Rows      int // rows of a batch: decode rows and prompt rows together
	Draws     int // rows whose logits are wanted
	Sequences int
	Experts   int // most experts a row may use
}

// Bytes is the size of one of the plan's buffers in a batch of these limits.
func (l Limits) Bytes(s model.SlotSpec) int64 { return 4 * int64(l.rowsOf(s.Per)) * int64(s.Width) }

func (l Limits) rowsOf(per model.Per) int { return rowsOf(per, l.Rows, l.Rows*l.Experts, l.Draws) }

func rowsOf(per model.Per, rows, pairs, draws int) int {
	switch per {
	case model.PerPair:
		return pairs
	case model.PerDraw:
		return draws
	}
	return rows
}

// Kind says what a draw is for.
type Kind uint8

const (
	Sample Kind = iota // the next token
	Score              // the log probability of a given token
	Logits             // the logits themselves
)

// Draw asks for one row's logits to be used.
type Draw struct {
	Kind     Kind
	Position int   // of the token to come
	Step     int   // 0 for the first generated token of its sequence
	Target   int32 // Score: the token to judge
	Params   sample.Params
}

// Drawn is the answer to a Draw.
type Drawn struct {
	Token   int32
	LogProb float32   // natural logarithm; Sample: after temperature and filters, Score: of the plain softmax
	Logits  []float32 // Logits: [V], owned by the receiver; else nil
	Err     error     // this row cannot be drawn from (NaN logits); other rows are fine
}

// NewBatch makes a batch whose buffers live in an arena of their own.
func NewBatch(plan model.Plan, lim Limits) (*Batch, error) {
	if lim.Rows < 1 || lim.Draws < 1 || lim.Sequences < 1 || lim.Experts < 1 {
		return nil, fmt.Errorf("stages: batch limits %+v: want at least 1 of each", lim)
	}
	arena, full, err := buffers("batch", plan.Slots, lim)
	if err != nil {
		return nil, err
	}
	b := newBatch(plan.Slots, lim, full)
	b.arena = arena
	return b, nil
}

// Twin is another batch in the same buffers: while one of both is on its way, the other one is what its rows
// say and nothing more. It must not be closed.
func (b *Batch) Twin() *Batch { return newBatch(b.slots, b.limits, b.full) }

func newBatch(slots []model.SlotSpec, lim Limits, full [][]float32) *Batch {
	b := &Batch{limits: lim, slots: slots, full: full}
	b.Frame.Bufs = make([][]float32, len(b.full))
	r := &b.Frame.Rows
	r.Token, r.Pos, r.Seq = make([]int32, 0, lim.Rows), make([]int32, 0, lim.Rows), make([]int32, 0, lim.Rows)
	r.First, r.Keyless, r.Prompt = make([]int32, 0, lim.Rows), make([]int32, 0, lim.Rows), make([]bool, 0, lim.Rows)
	r.Draw = make([]int32, 0, lim.Draws)
	r.Tables, r.Skip = make([][]int32, 0, lim.Sequences), make([][]int32, 0, lim.Sequences)
	b.Policies = make([]router.Policy, 0, lim.Sequences)
	b.Draws, b.Drawn = make([]Draw, 0, lim.Draws), make([]Drawn, 0, lim.Draws)
	return b
}

// buffers cuts every buffer of a plan, at its full length, from an arena.
func buffers(name string, slots []model.SlotSpec, lim Limits) (*tensor.Arena, [][]float32, error) {
	total := 0
	for _, s := range slots {
		total += int(lim.Bytes(s)) + 64 // each buffer begins on a cache line
	}
	arena, err := tensor.NewArena(name, total)
	if err != nil {
		return nil, nil, err
	}
	full := make([][]float32, len(slots))
	for i, s := range slots {
		if full[i], err = tensor.Slice[float32](arena, lim.rowsOf(s.Per)*s.Width); err != nil {
			arena.Close()
			return nil, nil, err
		}
	}
	return arena, full, nil
}

// Close gives the batch's memory back.
func (b *Batch) Close() error { return b.arena.Close() }

// Limits are those the batch was made with.
func (b *Batch) Limits() Limits { return b.limits }

// Reset empties the batch for new rows.
func (b *Batch) Reset(id, generation uint64) {
	b.ID, b.Generation, b.step = id, generation, 0
	r := &b.Frame.Rows
	r.N = 0
	r.Token, r.Pos, r.Seq, r.First, r.Keyless, r.Prompt = r.Token[:0], r.Pos[:0], r.Seq[:0], r.First[:0], r.Keyless[:0], r.Prompt[:0]
	r.Draw, r.Tables, r.Skip = r.Draw[:0], r.Tables[:0], r.Skip[:0]
	b.Policies, b.Draws, b.Drawn = b.Policies[:0], b.Draws[:0], b.Drawn[:0]
	b.pads = b.pads[:0]
	b.record.reset()
}

// Rewind readies a batch that was lost on its way to go through the pipeline again, with the same rows.
func (b *Batch) Rewind() {
	clear(b.Drawn) // they may hold logits
	b.Drawn, b.step, b.Frame.Cache = b.Drawn[:0], 0, nil
	b.Seal()
}

// Row is one token to compute; the fields are those of kernels.Rows, but for the last.
type Row struct {
	Token, Pos, First, Keyless int32
	Prompt                     bool
	Pad                        bool // behind the end of the prompt, to fill its bucket: it is computed, and neither counted nor traced
}

// AddSequence adds a sequence and returns its index for AddRow. The table and skip slices are lent
// until the batch comes back.
func (b *Batch) AddSequence(table, skip []int32, p router.Policy) int {
	r := &b.Frame.Rows
	r.Tables, r.Skip = append(r.Tables, table), append(r.Skip, skip)
	b.Policies = append(b.Policies, p)
	return len(r.Tables) - 1
}

// AddRow adds a row to the sequence of that index.
func (b *Batch) AddRow(seq int, row Row) {
	r := &b.Frame.Rows
	r.Token, r.Pos, r.Seq = append(r.Token, row.Token), append(r.Pos, row.Pos), append(r.Seq, int32(seq))
	r.First, r.Keyless, r.Prompt = append(r.First, row.First), append(r.Keyless, row.Keyless), append(r.Prompt, row.Prompt)
	if row.Pad {
		b.pads = append(b.pads, int32(r.N))
	} else if b.record.traces(seq) {
		b.record.row = append(b.record.row, int32(r.N))
	}
	r.N++
}

// AddDraw asks for the logits of the row added last.
func (b *Batch) AddDraw(d Draw) {
	r := &b.Frame.Rows
	r.Draw = append(r.Draw, int32(r.N-1))
	b.Draws = append(b.Draws, d)
}

// Room is how many rows and draws still fit.
func (b *Batch) Room() (rows, draws int) {
	return b.limits.Rows - b.Frame.Rows.N, b.limits.Draws - len(b.Draws)
}

// Seal cuts the buffers to the batch's rows; call it after the last AddRow.
func (b *Batch) Seal() {
	for i, s := range b.slots {
		b.Frame.Bufs[i] = b.full[i][:rowsOf(s.Per, b.Frame.Rows.N, 0, len(b.Draws))*s.Width]
	}
}

// setPairs cuts the per-pair buffers to the number of (row, rank) pairs of the layer at hand.
func (b *Batch) setPairs(pairs int) {
	for i, s := range b.slots {
		if s.Per == model.PerPair {
			b.Frame.Bufs[i] = b.full[i][:pairs*s.Width]
		}
	}
}
