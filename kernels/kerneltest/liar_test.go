package kerneltest

import (
	"errors"
	"math"
	"strings"
	"testing"
	"unsafe"

	"troupe/kernels"
)

// liar is the truth with a fault: what harm does to the frame after each run.
type liar struct {
	kernels.Library
	info kernels.Info
	harm func(c *kernels.Call, f *kernels.Frame)
}

func (l *liar) Info() kernels.Info { return l.info }

func (l *liar) Compile(s kernels.Segment) (kernels.Kernel, error) {
	k, err := l.Library.Compile(s)
	return &liarKernel{k, l, s.Calls}, err
}

type liarKernel struct {
	kernels.Kernel
	liar  *liar
	calls []kernels.Call
}

func (k *liarKernel) Run(f *kernels.Frame) error {
	err := k.Kernel.Run(f)
	for i := range k.calls {
		k.liar.harm(&k.calls[i], f)
	}
	return err
}

// beyond is n elements behind a slice.
func beyond(s []float32, n int) *float32 {
	return (*float32)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(s)), 4*(len(s)-1+n)))
}

// Each fault is found, in a case of an op that can show it.
func TestFaultsAreFound(t *testing.T) {
	runs := 0
	out := func(c *kernels.Call, f *kernels.Frame) []float32 { return f.Bufs[c.Out[0]] }
	for _, test := range []struct {
		name string
		op   kernels.Op
		want string // part of the error
		harm func(c *kernels.Call, f *kernels.Frame)
	}{
		{"one bit", kernels.Linear, "want", func(c *kernels.Call, f *kernels.Frame) {
			y := out(c, f)
			y[len(y)-1] = math.Float32frombits(math.Float32bits(y[len(y)-1]) ^ 1)
		}},
		{"a NaN", kernels.Add, "NaN", func(c *kernels.Call, f *kernels.Frame) { out(c, f)[0] = float32(math.NaN()) }},
		{"a row not written", kernels.RMSNorm, "want", func(c *kernels.Call, f *kernels.Frame) { fillUntouched(out(c, f)[:1]) }},
		{"a pair that is not its own", kernels.Expert, "want", func(c *kernels.Call, f *kernels.Frame) {
			if len(f.Work.Row) > 1 {
				for i := range out(c, f) {
					out(c, f)[i] += 1
				}
			}
		}},
		{"an input written", kernels.RoPE, "input 0", func(c *kernels.Call, f *kernels.Frame) { f.Bufs[c.In[0]][0]++ }},
		{"a weight written", kernels.Route, "router", func(c *kernels.Call, f *kernels.Frame) { c.Weights[0].F[0]++ }},
		{"rows written", kernels.Embed, "rows", func(c *kernels.Call, f *kernels.Frame) { f.Rows.Token[0]++ }},
		{"gates written", kernels.Combine, "pairs", func(c *kernels.Call, f *kernels.Frame) {
			if len(f.Pairs.Gate) > 0 {
				f.Pairs.Gate[0]++
			}
		}},
		{"written behind an output", kernels.Add, "", func(c *kernels.Call, f *kernels.Frame) { *beyond(out(c, f), 1) = 0 }},
		{"written before an output", kernels.Add, "", func(c *kernels.Call, f *kernels.Frame) { *beyond(out(c, f), -len(out(c, f))) = 0 }},
		{"a key not stored", kernels.Attend, "keys", func(c *kernels.Call, f *kernels.Frame) {
			l := f.Cache.Layers[c.Layer]
			if !f.Cache.Half {
				l.K32[0]++
			}
		}},
		{"another layer's values", kernels.Attend, "layer 0", func(c *kernels.Call, f *kernels.Frame) {
			if f.Cache.Half {
				f.Cache.Layers[0].V16[3]++
			} else {
				f.Cache.Layers[0].V32[3]++
			}
		}},
		{"rows in company differ", kernels.Head, "", func(c *kernels.Call, f *kernels.Frame) {
			if len(f.Rows.Draw) > 1 {
				out(c, f)[0] *= 1.5
			}
		}},
		{"no two runs alike", kernels.RMSNorm, "", func(c *kernels.Call, f *kernels.Frame) {
			runs++
			out(c, f)[0] += float32(runs) * 1e-7
		}},
		{"panic", kernels.Combine, "panic", func(*kernels.Call, *kernels.Frame) { panic("BUG: a test") }},
	} {
		for _, promise := range []kernels.Promise{kernels.Identical, kernels.Close} {
			truth := openRef(t)
			lib := &liar{truth, truth.Info(), test.harm}
			lib.info.Promise = promise
			if promise == kernels.Close && test.name == "one bit" {
				continue // that is what the promise allows
			}
			found := errors.New("nothing")
			for _, c := range Cases() {
				if len(c.Ops) == 1 && c.Ops[0] == test.op {
					if err := c.Check(lib); err != nil {
						found = err
						break
					}
				}
			}
			if found.Error() == "nothing" || !strings.Contains(found.Error(), test.want) {
				t.Errorf("%s, promise %d: found %v, want an error with %q", test.name, promise, found, test.want)
			}
		}
	}
}

// A library with the promise Close may differ within the bound, and no further.
func TestClosePromise(t *testing.T) {
	for _, test := range []struct {
		factor float32
		ok     bool
	}{{1 + 1e-5, true}, {1.01, false}} {
		truth := openRef(t)
		lib := &liar{truth, truth.Info(), func(c *kernels.Call, f *kernels.Frame) {
			for i := range f.Bufs[c.Out[0]] {
				f.Bufs[c.Out[0]][i] *= test.factor
			}
		}}
		lib.info.Promise = kernels.Close
		for _, c := range Cases() {
			if c.Name == "linear/exact/K=128 N=64 groups=1 rows=2 values=0 scales=0" {
				if err := c.Check(lib); (err == nil) != test.ok {
					t.Errorf("outputs times %v: %v", test.factor, err)
				}
				return
			}
		}
		t.Fatal("the case is gone")
	}
}

// A library that lacks an op must say so by ErrNoKernel.
func TestMissingOp(t *testing.T) {
	truth := openRef(t)
	lib := &liar{truth, truth.Info(), func(*kernels.Call, *kernels.Frame) {}}
	lib.info.Ops = []kernels.Op{kernels.Add}
	for _, c := range Cases() {
		err := c.Check(lib)
		if has := c.Ops[0] == kernels.Add && len(c.Ops) == 1; has != (err == nil) {
			t.Fatalf("%s: %v", c.Name, err)
		}
	}
}

// What a library says of itself is looked at as well.
func TestCheckInfo(t *testing.T) {
	good := openRef(t).Info()
	for name, spoil := range map[string]func(*kernels.Info){
		"no name": func(i *kernels.Info) { i.Name = "" }, "a name with =": func(i *kernels.Info) { i.Name = "a=b" },
		"no version": func(i *kernels.Info) { i.Version = "" }, "no ops": func(i *kernels.Info) { i.Ops = nil },
		"an op twice": func(i *kernels.Info) { i.Ops = []kernels.Op{kernels.Add, kernels.Add} },
		"unknown op":  func(i *kernels.Info) { i.Ops = []kernels.Op{kernels.NumOps} },
		"a promise":   func(i *kernels.Info) { i.Promise = 7 },
	} {
		info := good
		spoil(&info)
		if CheckInfo(info) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
