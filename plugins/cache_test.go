package plugins

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"troupe/kernels"
	"troupe/tensor"
)

// attention is a frame for attention at some layers, with a cache in an arena or on the heap.
type attention struct {
	segment kernels.Segment
	frame   kernels.Frame
}

func newAttention(t testing.TB, half, arena bool, layers ...int) *attention {
	t.Helper()
	const heads, kv, size, blocks = 4, 2, 6, 23
	rng := rand.New(rand.NewPCG(3, 4))
	a := &attention{}
	var mem *tensor.Arena
	if arena {
		var err error
		if mem, err = tensor.NewArena("test", 1<<22); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { mem.Close() })
		if _, err := mem.Bytes(320); err != nil { // no array begins on a page
			t.Fatal(err)
		}
	}
	f := &a.frame
	f.Cache = &kernels.Cache{KVHeads: kv, KeySize: size, Blocks: blocks, Half: half, Layers: make([]kernels.CacheLayer, slices.Max(layers)+2)}
	for i := range f.Cache.Layers {
		l, n := &f.Cache.Layers[i], blocks*f.Cache.BlockSize()
		if half {
			l.K16, l.V16 = halfs(t, rng, mem, n), halfs(t, rng, mem, n)
		} else {
			l.K32, l.V32 = floats(t, rng, mem, n), floats(t, rng, mem, n)
		}
	}
	// Two sequences that share their first block, and one of its own; rows in the middle of blocks and over their ends.
	f.Rows.Tables = [][]int32{{5, 9, 2}, {5, 11, 7}, {20}}
	f.Rows.Skip = [][]int32{nil, nil, {1}}
	for _, r := range [][2]int32{{0, 30}, {0, 31}, {0, 32}, {1, 40}, {2, 2}, {2, 3}} {
		f.Rows.Seq, f.Rows.Pos = append(f.Rows.Seq, r[0]), append(f.Rows.Pos, r[1])
		f.Rows.First, f.Rows.Keyless = append(f.Rows.First, 0), append(f.Rows.Keyless, 0)
		f.Rows.Prompt = append(f.Rows.Prompt, r[0] == 2)
		f.Rows.N++
	}
	slot := kernels.Slot(0)
	for _, layer := range layers {
		for _, width := range []int{heads * size, kv * size, kv * size, heads * size} {
			f.Bufs = append(f.Bufs, floats(t, rng, mem, f.Rows.N*width))
		}
		a.segment.Calls = append(a.segment.Calls, kernels.Call{
			Op: kernels.Attend, Layer: layer, In: []kernels.Slot{slot, slot + 1, slot + 2}, Out: []kernels.Slot{slot + 3},
			Params: kernels.Params{Multiplier: 0.3, Cap: 30, Heads: heads, KVHeads: kv, KeySize: size},
		})
		slot += 4
	}
	return a
}

func floats(t testing.TB, rng *rand.Rand, mem *tensor.Arena, n int) []float32 {
	f := make([]float32, n)
	if mem != nil {
		var err error
		if f, err = tensor.Slice[float32](mem, n); err != nil {
			t.Fatal(err)
		}
	}
	for i := range f {
		f[i] = float32(rng.NormFloat64())
	}
	return f
}

func halfs(t testing.TB, rng *rand.Rand, mem *tensor.Arena, n int) []uint16 {
	h := make([]uint16, n)
	if mem != nil {
		var err error
		if h, err = tensor.Slice[uint16](mem, n); err != nil {
			t.Fatal(err)
		}
	}
	for i := range h {
		h[i] = tensor.ToBF16(float32(rng.NormFloat64()))
	}
	return h
}

// same compares all that a call may have written.
func same(t *testing.T, got, want *attention) {
	t.Helper()
	for i := range got.frame.Bufs {
		if !slices.Equal(got.frame.Bufs[i], want.frame.Bufs[i]) {
			t.Errorf("buffer %d differs", i)
		}
	}
	for i, l := range got.frame.Cache.Layers {
		w := want.frame.Cache.Layers[i]
		if !slices.Equal(l.K32, w.K32) || !slices.Equal(l.V32, w.V32) || !slices.Equal(l.K16, w.K16) || !slices.Equal(l.V16, w.V16) {
			t.Errorf("the cache of layer %d differs", i)
		}
	}
}

// run has a variant compute the attention n times.
func (a *attention) run(t *testing.T, v kernels.Variant, n int) error {
	t.Helper()
	lib, err := v.Open(kernels.SameThreads(1))
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	k, err := lib.Compile(a.segment)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if err := k.Run(&a.frame); err != nil {
			return err
		}
	}
	return nil
}

// Keys and values of the rows get to the cache, of one layer or several of one call, and nothing else does.
func TestCache(t *testing.T) {
	ref, err := kernels.Find("ref")
	if err != nil {
		t.Fatal(err)
	}
	v := reference(Config{Deadline: time.Minute})
	for _, half := range []bool{false, true} {
		for _, arena := range []bool{false, true} {
			for _, layers := range [][]int{{0}, {2}, {1, 0}, {0, 2, 4}, {3, 3}} {
				want, got := newAttention(t, half, false, layers...), newAttention(t, half, arena, layers...)
				if err := want.run(t, ref, 2); err != nil {
					t.Fatal(err)
				}
				if err := got.run(t, v, 2); err != nil {
					t.Fatal(half, arena, layers, err)
				}
				same(t, got, want)
			}
		}
	}
}

// After a fault, cache and outputs are as before: another library can run the same call.
func TestCacheAfterFault(t *testing.T) {
	for _, mode := range []string{"nan", "nan key", "panic", "lazy", "sigkill"} {
		for _, arena := range []bool{false, true} {
			want, got := newAttention(t, arena, false, 1), newAttention(t, arena, arena, 1)
			var fault *kernels.Fault
			if err := got.run(t, reference(Config{Args: []string{mode}, Deadline: time.Minute}), 1); !errors.As(err, &fault) {
				t.Errorf("%s: %v, want a fault", mode, err)
			}
			same(t, got, want)
		}
	}
}

// Kernels with other needs follow each other in one library: the cache's scratch grows, and changes its place.
func TestCacheGrows(t *testing.T) {
	ref, err := kernels.Find("ref")
	if err != nil {
		t.Fatal(err)
	}
	lib, err := reference(Config{Deadline: time.Minute}).Open(kernels.SameThreads(1))
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	for i, c := range []struct {
		half   bool
		layers []int
	}{{true, []int{0}}, {false, []int{0}}, {true, []int{0, 1}}, {false, []int{1, 3}}, {true, []int{0}}} {
		want, got := newAttention(t, c.half, false, c.layers...), newAttention(t, c.half, true, c.layers...)
		// More sequences, each with a block that it writes: more scratch than there is at first.
		for _, a := range []*attention{want, got} {
			r := &a.frame.Rows
			for s := range 4 * i {
				r.Tables, r.Skip = append(r.Tables, []int32{int32(s)}), append(r.Skip, nil)
				r.Seq, r.Pos, r.First = append(r.Seq, int32(len(r.Tables)-1)), append(r.Pos, int32(s)), append(r.First, 0)
				r.Keyless, r.Prompt = append(r.Keyless, 0), append(r.Prompt, false)
				r.N++
			}
			rng := rand.New(rand.NewPCG(9, uint64(i)))
			for b := range a.frame.Bufs {
				a.frame.Bufs[b] = floats(t, rng, nil, len(a.frame.Bufs[b])/6*r.N)
			}
		}
		if err := want.run(t, ref, 1); err != nil {
			t.Fatal(err)
		}
		k, err := lib.Compile(got.segment)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Run(&got.frame); err != nil {
			t.Fatal(i, err)
		}
		same(t, got, want)
	}
}

// A frame that cannot be right is an error and costs nothing: the library goes on.
func TestBadFrames(t *testing.T) {
	lib, err := reference(Config{Deadline: time.Minute}).Open(kernels.SameThreads(1))
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	for name, spoil := range map[string]func(*kernels.Frame){
		"no cache":        func(f *kernels.Frame) { f.Cache = nil },
		"few buffers":     func(f *kernels.Frame) { f.Bufs = f.Bufs[:2] },
		"a block too far": func(f *kernels.Frame) { f.Rows.Tables[0][1] = 23 },
		"negative block":  func(f *kernels.Frame) { f.Rows.Tables[0][0] = -1 },
		"no block":        func(f *kernels.Frame) { f.Rows.Pos[0] = 48 },
		"no sequence":     func(f *kernels.Frame) { f.Rows.Seq[0] = 3 },
		"few positions":   func(f *kernels.Frame) { f.Rows.Pos = f.Rows.Pos[:3] },
		"no layer":        func(f *kernels.Frame) { f.Cache.Layers = f.Cache.Layers[:1] },
		"small layer":     func(f *kernels.Frame) { f.Cache.Layers[1].K32 = f.Cache.Layers[1].K32[:9] },
		"no blocks":       func(f *kernels.Frame) { f.Cache.Blocks = 0 },
	} {
		a := newAttention(t, false, true, 1)
		k, err := lib.Compile(a.segment)
		if err != nil {
			t.Fatal(err)
		}
		spoil(&a.frame)
		var fault *kernels.Fault
		if err := k.Run(&a.frame); err == nil || errors.As(err, &fault) {
			t.Errorf("%s: %v, want an error that is no fault", name, err)
		}
		good := newAttention(t, false, true, 1)
		if err := k.Run(&good.frame); err != nil {
			t.Fatalf("%s: afterwards: %v", name, err)
		}
	}
}

// Nothing is allocated for a call, once its like has run.
func TestAllocs(t *testing.T) {
	for _, half := range []bool{false, true} {
		lib, err := reference(Config{Deadline: time.Minute}).Open(kernels.SameThreads(1))
		if err != nil {
			t.Fatal(err)
		}
		defer lib.Close()
		a := newAttention(t, half, true, 0, 1)
		k, err := lib.Compile(a.segment)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(50, func() {
			if err := k.Run(&a.frame); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("%v allocations a call", n)
		}
	}
}

// Numbers that are not finite are no fault where they may be right: a row that sees no key, keys that are not finite,
// inputs so large that a sum overflows.
func TestNotFiniteAndRight(t *testing.T) {
	ref, err := kernels.Find("ref")
	if err != nil {
		t.Fatal(err)
	}
	v := reference(Config{Deadline: time.Minute})
	for name, change := range map[string]func(*kernels.Frame){
		"no key":            func(f *kernels.Frame) { f.Rows.First[3] = 41 },
		"all keys skipped":  func(f *kernels.Frame) { f.Rows.First[4], f.Rows.Skip[2] = 2, []int32{2} },
		"a key of the past": func(f *kernels.Frame) { nan(f.Cache.Layers[1].K32[9*f.Cache.BlockSize():]) },
		"a value":           func(f *kernels.Frame) { nan(f.Cache.Layers[1].V32[9*f.Cache.BlockSize():]) },
		"a query":           func(f *kernels.Frame) { nan(f.Bufs[0]) },
		"large values":      func(f *kernels.Frame) { f.Bufs[2][0], f.Bufs[2][12] = 3e38, 3e38 },
	} {
		want, got := newAttention(t, false, false, 1), newAttention(t, false, true, 1)
		change(&want.frame)
		change(&got.frame)
		if err := want.run(t, ref, 1); err != nil {
			t.Fatal(err)
		}
		if err := got.run(t, v, 1); err != nil {
			t.Fatal(name, err)
		}
		if d, ok := kernels.Compare(got.frame.Bufs[3], want.frame.Bufs[3], 0); !ok {
			t.Errorf("%s: %+v", name, d)
		}
		if finite(want.frame.Bufs[3]) && name != "large values" {
			t.Errorf("%s: all outputs are finite: the case tests nothing", name)
		}
	}
}

func nan(f []float32) { f[0] = float32(math.NaN()) }
