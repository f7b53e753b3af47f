package stages

import (
	"errors"
	"fmt"

	"troupe/kernels"
	"troupe/model"
	"troupe/router"
)

// What follows is for whoever carries a batch from one process to another: there a batch of the same limits takes in
// the rows, and the values of slots one row after the other.

// Width is the number of values in a row of a slot.
func (b *Batch) Width(s kernels.Slot) int { return b.slots[s].Width }

// Row is row r of a slot, a pair or a draw where the slot has these, be it within the batch's rows or not; nil beyond
// the limits.
func (b *Batch) Row(s kernels.Slot, r int) []float32 {
	w := b.slots[s].Width
	if r < 0 || r >= len(b.full[s])/w {
		return nil
	}
	return row(b.full[s], r, w)
}

// Lend readies a batch for single experts: of its rows no more is known than how many there are.
func (b *Batch) Lend(id uint64, rows int) error {
	if rows < 1 || rows > b.limits.Rows {
		return fmt.Errorf("stages: batch %d: %d rows, want 1 to %d", id, rows, b.limits.Rows)
	}
	b.Reset(id, b.Generation)
	b.Frame.Rows.N = rows
	b.Seal()
	b.setPairs(rows * b.limits.Experts)
	return nil
}

// CheckWork reports work of an expert that is not within the batch.
func (b *Batch) CheckWork(w kernels.Work) error {
	rows, pairs := b.Frame.Rows.N, b.Frame.Rows.N*b.limits.Experts
	if len(w.Row) == 0 || len(w.Row) > rows || len(w.Row) != len(w.Dst) {
		return fmt.Errorf("stages: batch %d: work of %d rows for %d pairs, want as many of both, 1 to %d", b.ID, len(w.Row), len(w.Dst), rows)
	}
	for i := range w.Row {
		if r, d := w.Row[i], w.Dst[i]; r < 0 || int(r) >= rows || d < 0 || int(d) >= pairs || i > 0 && (r <= w.Row[i-1] || d <= w.Dst[i-1]) {
			return fmt.Errorf("stages: batch %d: work: row %d, pair %d: want them ascending below %d and %d", b.ID, r, d, rows, pairs)
		}
	}
	return nil
}

// Open makes room for all pairs that rows may have, for experts whose routing is not known here.
func (b *Batch) Open() { b.setPairs(b.Frame.Rows.N * b.limits.Experts) }

// Check reports rows that a stage could not compute without harm: they have come from elsewhere. The cache has so many
// blocks.
func (b *Batch) Check(c model.Config, blocks int) error {
	if err := b.check(c, blocks); err != nil {
		return fmt.Errorf("stages: batch %d: %w", b.ID, err)
	}
	return nil
}

func (b *Batch) check(c model.Config, blocks int) error {
	r := &b.Frame.Rows
	if n := len(r.Token); r.N < 1 || r.N > b.limits.Rows || n != r.N || len(r.Pos) != n || len(r.Seq) != n || len(r.First) != n || len(r.Keyless) != n || len(r.Prompt) != n {
		return fmt.Errorf("%d rows, want 1 to %d, and as many of each field", r.N, b.limits.Rows)
	}
	if n := len(r.Tables); n < 1 || n > b.limits.Sequences || len(r.Skip) != n || len(b.Policies) != n {
		return fmt.Errorf("%d sequences, want 1 to %d", n, b.limits.Sequences)
	}
	for s := range r.Tables {
		if err := b.checkSequence(s, c, blocks); err != nil {
			return fmt.Errorf("sequence %d: %w", s, err)
		}
	}
	for i := range r.N {
		if s := r.Seq[i]; s < 0 || int(s) >= len(r.Tables) {
			return fmt.Errorf("row %d: sequence %d, want 0 to %d", i, s, len(r.Tables)-1)
		}
		most := int32(len(r.Tables[r.Seq[i]]) * kernels.BlockTokens)
		if t := r.Token[i]; t < 0 || int(t) >= c.VocabSize {
			return fmt.Errorf("row %d: token %d, want 0 to %d", i, t, c.VocabSize-1)
		}
		if p := r.Pos[i]; p < 0 || p >= most || r.First[i] < 0 || r.First[i] > most || r.Keyless[i] < 0 || r.Keyless[i] > most {
			return fmt.Errorf("row %d: position %d, first key %d, %d without keys: want them within the %d positions of its blocks", i, p, r.First[i], r.Keyless[i], most)
		}
	}
	return b.checkDraws(c)
}

func (b *Batch) checkSequence(s int, c model.Config, blocks int) error {
	m, table, skip := c.Model, b.Frame.Rows.Tables[s], b.Frame.Rows.Skip[s]
	if len(table) > blocks || len(skip) > len(table)*kernels.BlockTokens {
		return fmt.Errorf("%d blocks, %d pads: want at most %d blocks of %d positions", len(table), len(skip), blocks, kernels.BlockTokens)
	}
	for _, block := range table {
		if block < 0 || int(block) >= blocks {
			return fmt.Errorf("cache block %d, want 0 to %d", block, blocks-1)
		}
	}
	for i, at := range skip {
		if at < 0 || i > 0 && at <= skip[i-1] {
			return errors.New("positions of pads are not ascending")
		}
	}
	return b.Policies[s].Fits(router.Sizes{Layers: m.NumLayers, Experts: m.NumExperts, Selected: m.NumSelectedExperts})
}

func (b *Batch) checkDraws(c model.Config) error {
	r := &b.Frame.Rows
	if len(r.Draw) > b.limits.Draws || len(b.Draws) != len(r.Draw) {
		return fmt.Errorf("%d draws from %d rows, want as many of both, at most %d", len(b.Draws), len(r.Draw), b.limits.Draws)
	}
	for i, at := range r.Draw {
		d := b.Draws[i]
		switch {
		case at < 0 || int(at) >= r.N || i > 0 && at <= r.Draw[i-1]:
			return fmt.Errorf("draw %d: row %d, want them ascending below %d", i, at, r.N)
		case d.Kind > Logits:
			return fmt.Errorf("draw %d: kind %d, want at most %d", i, d.Kind, Logits)
		case d.Kind == Score && (d.Target < 0 || int(d.Target) >= c.VocabSize):
			return fmt.Errorf("draw %d: token %d, want 0 to %d", i, d.Target, c.VocabSize-1)
		case d.Kind == Sample:
			if err := d.Params.Validate(); err != nil {
				return fmt.Errorf("draw %d: %w", i, err)
			}
		}
	}
	return nil
}
