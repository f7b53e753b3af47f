package sim

import (
	"sync"

	"troupe/kernels"
)

// Blank is the name of a library that computes nothing, but routing as chance has it: what is left is what is charged
// for. It is there once RegisterBlank has been called.
const Blank = "blank"

// RegisterBlank makes the library known.
var RegisterBlank = sync.OnceFunc(func() {
	kernels.Register(kernels.Variant{
		Name: Blank, Doc: "computes nothing, for simulations", Score: func() int { return 1 },
		Open: func(kernels.Threads) (kernels.Library, error) { return blankLibrary{}, nil },
	})
})

type blankLibrary struct{}

func (blankLibrary) Info() kernels.Info { return kernels.Info{Name: Blank} }

func (blankLibrary) Close() error { return nil }

// Compile takes single calls, as they are compiled where they are wrapped.
func (blankLibrary) Compile(s kernels.Segment) (kernels.Kernel, error) {
	return blank{&s.Calls[0]}, nil
}

type blank struct{ call *kernels.Call }

// Run fills in what a router reads: experts are independent of each other and equally likely.
func (k blank) Run(f *kernels.Frame) error {
	if k.call.Op != kernels.Route {
		return nil
	}
	probs := f.Bufs[k.call.Out[0]]
	experts := len(probs) / f.Rows.N
	for r := range f.Rows.N {
		at := mix(mix(uint64(f.Rows.Pos[r])<<20+uint64(k.call.Layer)) + uint64(f.Rows.Tables[f.Rows.Seq[r]][0]))
		sum := float32(0)
		row := probs[r*experts : (r+1)*experts]
		for e := range row {
			row[e] = 1 + float32(mix(at+uint64(e))>>40)
			sum += row[e]
		}
		for e := range row {
			row[e] /= sum
		}
	}
	return nil
}
