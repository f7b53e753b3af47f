package sched

import (
	"errors"
	"fmt"
	"math"

	"troupe/model"
	"troupe/stages"
)

// Config holds the limits of a scheduler.
type Config struct {
	Model     model.Config
	Stages    int   // of the pipeline: decode rows are dealt over as many batches
	Batches   int   // in flight at once: credits
	Rows      int   // of a batch
	Draws     int   // of a batch: rows whose logits are wanted
	Sequences int   // running at once
	Queue     int   // requests that wait; 0: what cannot run at once is refused
	Blocks    int   // of the KV cache, kernels.BlockTokens positions each
	PadSizes  []int // prompt buckets that the user gave, ascending: longer prompts are refused; nil: none
}

func (c Config) validate() error {
	if err := c.Model.Validate(); err != nil {
		return err
	}
	var errs []error
	for _, l := range []struct {
		name       string
		value, low int
	}{
		{"stages", c.Stages, 1}, {"batches in flight", c.Batches, 1}, {"rows of a batch", c.Rows, 1}, {"draws of a batch", c.Draws, 1},
		{"running sequences", c.Sequences, 1}, {"waiting requests", c.Queue, 0}, {"cache blocks", c.Blocks, 1},
	} {
		if l.value < l.low || l.value > math.MaxInt32 {
			errs = append(errs, fmt.Errorf("sched: limit of %s is %d, want %d or more", l.name, l.value, l.low))
		}
	}
	for i, n := range c.PadSizes {
		if n < 1 || n > c.Model.SequenceLen || i > 0 && n <= c.PadSizes[i-1] {
			errs = append(errs, fmt.Errorf("sched: pad sizes %v, want ascending sizes from 1 to sequence_len %d", c.PadSizes, c.Model.SequenceLen))
			break
		}
	}
	return errors.Join(errs...)
}

// Limits are those that batches must have at least.
func (c Config) Limits() stages.Limits {
	return stages.Limits{Rows: c.Rows, Draws: c.Draws, Sequences: min(c.Sequences, c.Rows), Experts: c.Model.Model.NumExperts}
}

// Positions is how many positions of the cache a request needs, for whoever decides on Blocks: each block
// has kernels.BlockTokens of them, and a request has blocks of its own.
func (c Config) Positions(r Request) int { return c.layoutOf(r).positions }

// bucket is the length that the reference pads a prompt of n tokens to: the smallest size that holds it,
// of the user's sizes if there are any, else of the model's; n itself where none does.
func (c Config) bucket(n int) int {
	sizes := c.PadSizes
	if len(sizes) == 0 {
		sizes = c.Model.PadSizes
	}
	for _, size := range sizes {
		if size >= n {
			return size
		}
	}
	return n
}
