package stages

import (
	"troupe/kernels"
	"troupe/model"
	"troupe/tensor"
)

// Journal keeps the hidden state of every row that has passed the boundary between two stages, so that the
// stage behind it can compute its keys and values again when it has lost them. It has the geometry of the KV
// cache: a row lies where the block table of its sequence and its position say. So it needs no management:
// what is written belongs to whoever has the block, and is as good as gone when the block is given back.
//
// Float32 like the hidden state itself: what is computed from it again has the same bits.
type Journal struct {
	arena *tensor.Arena
	state []float32 // [blocks BlockTokens emb]
	emb   int
	slot  kernels.Slot // of the hidden state
}

// JournalBytes is the memory of one boundary's journal, for a cache of that many blocks.
func JournalBytes(c model.Config, blocks int) int64 {
	return 4 * int64(c.Model.EmbSize) * kernels.BlockTokens * int64(blocks)
}

// NewJournal makes the journal of one boundary, for a cache of that many blocks.
func NewJournal(c model.Config, plan model.Plan, blocks int) (*Journal, error) {
	j := &Journal{emb: c.Model.EmbSize, slot: plan.Hidden}
	var err error
	if j.arena, err = tensor.NewArena("journal", int(JournalBytes(c, blocks))); err != nil {
		return nil, err
	}
	if j.state, err = tensor.Slice[float32](j.arena, blocks*kernels.BlockTokens*j.emb); err != nil {
		j.arena.Close()
		return nil, err
	}
	return j, nil
}

// Close gives the memory back. No batch may pass any more.
func (j *Journal) Close() error { return j.arena.Close() }

// Keep notes the hidden state of a batch that has passed the stage before the boundary.
func (j *Journal) Keep(b *Batch) {
	for r := range b.Frame.Rows.N {
		copy(j.of(b, r), row(b.Frame.Bufs[j.slot], r, j.emb))
	}
}

// Restore gives the rows of a batch the hidden state that was kept at their positions.
func (j *Journal) Restore(b *Batch) {
	for r := range b.Frame.Rows.N {
		copy(row(b.Frame.Bufs[j.slot], r, j.emb), j.of(b, r))
	}
}

// of is the place of a row.
func (j *Journal) of(b *Batch, r int) []float32 {
	rows := &b.Frame.Rows
	pos := int(rows.Pos[r])
	block := int(rows.Tables[rows.Seq[r]][pos/kernels.BlockTokens])
	return row(j.state, block*kernels.BlockTokens+pos%kernels.BlockTokens, j.emb)
}
