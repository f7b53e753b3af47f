package stages_test

import (
	"errors"
	"testing"

	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/stages"
)

// crowd is kernels/ref as a library that runs several kernels at once.
type crowd struct{ bent }

var (
	together  []int // kernels of each call of several
	crowdFail error // of calls of several
)

func init() {
	kernels.Register(kernels.Variant{
		Name: "bent/crowd", Doc: "ref that runs several kernels", Score: func() int { return 1 },
		Open: func(t kernels.Threads) (kernels.Library, error) {
			ref, err := kernels.Find("ref")
			if err != nil {
				return nil, err
			}
			inner, err := ref.Open(t)
			return crowd{bent{inner, "bent/crowd"}}, err
		},
	})
}

// RunSeveral runs one after the other.
func (crowd) RunSeveral(list []kernels.Kernel, frames []kernels.Frame) error {
	together = append(together, len(list))
	if crowdFail != nil {
		return crowdFail
	}
	for i := range list {
		if err := list[i].Run(&frames[i]); err != nil {
			return err
		}
	}
	return nil
}

// countExperts counts the experts that a library runs.
func countExperts(runs map[string]int) {
	bend = func(name string, s kernels.Segment, _ *kernels.Frame) error {
		if has(s, kernels.Expert) {
			runs[name]++
		}
		return nil
	}
}

// The experts of a layer go to a library that takes several in one call, each is computed once, and all count; not while
// anything is timed or compared for one of them.
func TestExpertsTogether(t *testing.T) {
	w := newWhole(t, "ref", kernels.Int8)
	want := w.must(0, nil)
	runs := map[string]int{}
	countExperts(runs)
	w.must(0, want)
	experts, each := 0, uint64(0)
	w.install(1, stages.Bindings{Serve: bound(t, "bent/crowd")})
	launches := func() uint64 {
		for _, c := range w.libs.Programs().Counters() {
			if c.Library == "bent/crowd" {
				return c.Launches
			}
		}
		return 0
	}
	for id := uint64(1); id <= 32; id++ {
		clear(runs)
		together = nil
		before := launches()
		if got, err := w.batchOf(id, 1); err != nil || !sameBits(got, want) {
			t.Fatalf("batch %d: %v, error %v, want %v", id, got, err, want)
		}
		if id == 1 {
			experts = runs["bent/crowd"]
		}
		sum := 0
		for _, n := range together {
			sum += n
		}
		timed := id%16 == 0
		if runs["bent/crowd"] != experts || timed != (len(together) == 0) || !timed && (len(together) != toy.Config().Model.NumLayers || sum != experts) {
			t.Fatalf("batch %d: %d experts ran, %v together, want each of %d once", id, runs["bent/crowd"], together, experts)
		}
		if n := launches() - before; id > 1 && n != each {
			t.Fatalf("batch %d: %d launches, %d in the batch before", id, n, each)
		} else if each = n; int(n) < experts {
			t.Fatalf("%d launches, of which %d experts", n, experts)
		}
	}
	together = nil
	back := bound(t, "ref")
	w.install(2, stages.Bindings{Serve: bound(t, "bent/crowd"), Back: &back, Verify: 1})
	w.must(2, want)
	if len(together) > 0 {
		t.Errorf("%v together while each is verified", together)
	}
}

// A call of several that fails is not the end of what it was made of: a plain error may be that of another one, so the
// expert runs by itself; a library that is gone is replaced, for each expert in its turn.
func TestExpertsTogetherFail(t *testing.T) {
	w := newWhole(t, "ref", kernels.Int8)
	want := w.must(0, nil)
	back := bound(t, "bent/b")
	w.install(1, stages.Bindings{Serve: bound(t, "bent/crowd"), Back: &back})
	runs := map[string]int{}
	countExperts(runs)
	together = nil
	defer func() { crowdFail = nil }()
	crowdFail = errors.New("one of them is odd")
	w.must(1, want)
	if len(together) == 0 || runs["bent/crowd"] == 0 || runs["bent/b"] > 0 || len(w.reports) > 0 {
		t.Errorf("%v together, ran %v, reports %+v: want that each expert ran by itself", together, runs, w.reports)
	}
	clear(runs)
	together = nil
	crowdFail = &kernels.Fault{Library: "bent/crowd", Kind: kernels.Crash, Err: errors.New("gone")}
	w.must(1, want)
	if len(together) != 1 || runs["bent/crowd"] > 0 || runs["bent/b"] == 0 || len(w.reports) != 1 || w.reports[0].Rescued != "bent/b" {
		t.Errorf("%v together, ran %v, reports %+v: want one attempt, and bent/b instead", together, runs, w.reports)
	}
}
