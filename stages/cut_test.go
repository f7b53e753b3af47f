package stages

import (
	"slices"
	"testing"

	"troupe/kernels"
)

// A piece ends where a slot would be written that it has touched: it can be run twice from the same inputs, and
// all its outputs can be looked at afterwards.
func TestPiecesNeverWriteWhatTheyTouch(t *testing.T) {
	s := func(slots ...kernels.Slot) []kernels.Slot { return slots }
	calls := []kernels.Call{
		{Op: kernels.Add, In: s(0, 1), Out: s(2)},
		{Op: kernels.Add, In: s(2, 1), Out: s(3)},
		{Op: kernels.Add, In: s(3, 1), Out: s(0)}, // read before
		{Op: kernels.Add, In: s(1, 3), Out: s(2)},
		{Op: kernels.Add, In: s(4, 5), Out: s(2)}, // written before
	}
	l := OpenLibraries(kernels.Exact, kernels.Binding{}, kernels.SameThreads(1))
	defer l.Close()
	b := &chooser{variants: map[string]string{"": "any"}}
	var ends []int
	for lo := 0; lo < len(calls); {
		hi, _, err := l.cut(&site{expert: -1, calls: calls}, lo, b)
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, hi)
		lo = hi
	}
	if want := []int{2, 4, 5}; !slices.Equal(ends, want) {
		t.Errorf("pieces end at %v, want %v", ends, want)
	}
}
