package stages_test

import (
	"math"
	"testing"

	"troupe/kernels"
	"troupe/stages"
)

// Four batches share what is on trial: each compares some layers, all together every one, and a fault in any layer
// is found by then.
func TestBatchesShareWhatIsOnTrial(t *testing.T) {
	w := newWhole(t, "ref", kernels.Exact)
	trial := bound(t, "bent/a")
	w.install(1, stages.Bindings{Serve: bound(t, "ref"), Trial: &trial, Batches: 1})
	w.must(1, nil)
	all := w.libs.Programs().Tally(1)
	w.install(2, stages.Bindings{Serve: bound(t, "ref"), Trial: &trial, Batches: 4})
	before, most := 0, 0
	for id := range uint64(4) {
		if _, err := w.batchOf(7+id, 2); err != nil {
			t.Fatal(err)
		}
		n := w.libs.Programs().Tally(2).Comparisons
		most, before = max(most, n-before), n
	}
	if tally := w.libs.Programs().Tally(2); tally.Comparisons != all.Comparisons || tally.Compared != all.Compared || !tally.Covered() {
		t.Errorf("four batches: %+v, want what one has that compares all: %+v", tally, all)
	}
	if most > all.Comparisons/2 {
		t.Errorf("a batch makes %d of %d comparisons", most, all.Comparisons)
	}
	for layer := range 3 {
		for _, op := range []kernels.Op{kernels.Expert, kernels.Linear} {
			bend = func(name string, s kernels.Segment, f *kernels.Frame) error {
				for i := range s.Calls {
					if c := &s.Calls[i]; name == "bent/a" && c.Op == op && c.Layer == layer {
						for _, slot := range c.Out {
							for j := range f.Bufs[slot] {
								f.Bufs[slot][j] *= -1
							}
						}
					}
				}
				return nil
			}
			generation := 3 + uint64(2*layer) + uint64(op%2)
			w.reports = nil
			w.install(generation, stages.Bindings{Serve: bound(t, "ref"), Trial: &trial, Batches: 4})
			for id := range uint64(4) {
				if _, err := w.batchOf(100*generation+id, generation); err != nil {
					t.Fatal(err)
				}
			}
			if len(w.reports) != 1 || w.reports[0].Difference.Op != op || w.reports[0].Difference.Layer != layer {
				t.Errorf("%v of layer %d turned: reports %+v", op, layer, w.reports)
			}
		}
	}
}

// Batches are verified layer by layer: the share is that which was asked for, and two layers of a batch do not go
// together.
func TestVerifiedShare(t *testing.T) {
	w := newWhole(t, "bent/a", kernels.Int8)
	back := bound(t, "bent/b")
	w.install(1, stages.Bindings{Serve: bound(t, "bent/a"), Back: &back, Verify: 0.25})
	const batches = 200
	least, most, before := math.MaxInt, 0, 0
	for id := range uint64(batches) {
		if _, err := w.batchOf(id+1, 1); err != nil {
			t.Fatal(err)
		}
		n := w.libs.Programs().Tally(1).Comparisons
		least, most, before = min(least, n-before), max(most, n-before), n
	}
	w.install(2, stages.Bindings{Serve: bound(t, "bent/a"), Back: &back, Verify: 1})
	w.must(2, nil)
	all := w.libs.Programs().Tally(2).Comparisons
	if share := float64(before) / float64(batches*all); share < 0.2 || share > 0.3 {
		t.Errorf("%.3f of the pieces are verified, want about 0.25", share)
	}
	if least > 0 || most == all {
		t.Errorf("batches verify %d to %d of %d pieces: want the layers drawn each for itself", least, most, all)
	}
}
