package plugins

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"troupe/internal/solo"
	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/stages"
	"troupe/tensor"
)

// opened is a lent variant that remembers the library it was opened as.
func opened(t testing.TB, v kernels.Variant, libs *[]*Library) {
	t.Helper()
	open := v.Open
	v.Open = func(th kernels.Threads) (kernels.Library, error) {
		lib, err := open(th)
		if err == nil {
			*libs = append(*libs, lib.(*Library))
		}
		return lib, err
	}
	if err := kernels.Lend(v); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kernels.Return(v.Name) })
}

// inArena moves weights to memory that other processes can map.
func inArena(t *testing.T, w stages.Weights) {
	t.Helper()
	size := 0
	for _, list := range w {
		for _, k := range list {
			size += len(k.Q) + 4*len(k.F) + 4*len(k.Scales) + 3*64
		}
	}
	arena, err := tensor.NewArena("weights", size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { arena.Close() })
	for _, list := range w {
		for _, k := range list {
			k.Q, k.F, k.Scales = moved(t, arena, k.Q), moved(t, arena, k.F), moved(t, arena, k.Scales)
		}
	}
}

func moved[T int8 | float32](t *testing.T, a *tensor.Arena, s []T) []T {
	if s == nil {
		return nil
	}
	m, err := tensor.Slice[T](a, len(s))
	if err != nil {
		t.Fatal(err)
	}
	copy(m, s)
	return m
}

// A whole model gives the same logits when a plugin computes it, or the ops of one kind, whether its weights lie in
// memory that can be mapped or not; and the plugin computes nothing of it twice, nor does another library.
func TestModel(t *testing.T) {
	v := lent(t, Config{Deadline: time.Minute}, "plugin:testplugin/cpu/generic")
	c := toy.Config()
	ids := []int32{0, 5, 9, 0, 33, 2, 61, 7, 7, 7, 12, 13, 14, 15, 16, 17, 18, 19, 20}
	for _, arith := range []kernels.Arith{kernels.Int8, kernels.Exact, kernels.Reference} {
		for _, mapped := range []bool{false, true} {
			w := toy.Weights(c, toy.Int8, 1)
			if mapped {
				inArena(t, w)
			}
			want := logits(t, c2{w, arith, "ref"}, ids)
			for _, binding := range []string{v.Name, "ref,attend=" + v.Name, "ref,expert=" + v.Name, "ref,@1=" + v.Name} {
				t.Run(fmt.Sprintf("%v/%s/mapped=%v", arith, binding, mapped), func(t *testing.T) {
					var libs []*Library
					opened(t, v, &libs)
					got := logits(t, c2{w, arith, binding}, ids)
					for i := range want {
						if !slices.Equal(got[i], want[i]) {
							t.Fatalf("position %d: %v, want %v", i, got[i][:4], want[i][:4])
						}
					}
					if len(libs) != 1 || libs[0].Stats().Calls < 20 || libs[0].failed.Load().Kind != kernels.Lost {
						t.Errorf("%d libraries: %+v", len(libs), libs[0].Stats())
					}
				})
			}
		}
	}
}

type c2 struct {
	weights stages.Weights
	arith   kernels.Arith
	binding string
}

// logits are those of a prompt's positions and of a few tokens after it.
func logits(t *testing.T, m c2, ids []int32) [][]float32 {
	t.Helper()
	b, err := kernels.ParseBinding(m.binding)
	if err != nil {
		t.Fatal(err)
	}
	loop, err := solo.New(solo.Options{Config: toy.Config(), Weights: m.weights, Arith: m.arith, Binding: b, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := loop.Close(); err != nil {
			t.Error(err)
		}
	}()
	all, err := loop.Prefill(ids, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		all[i] = slices.Clone(all[i])
	}
	for i := range 20 {
		l, err := loop.Decode(int32(i+3), len(ids)+i, 1)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, slices.Clone(l))
	}
	return all
}
