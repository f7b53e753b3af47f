package load

import (
	"maps"
	"slices"
	"testing"

	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/surgery"
)

// oracle is a toy before an operation, its plain forward pass with the experts that the operation should leave, and
// the model after it.
func oracle(t *testing.T, storage toy.Storage, o func(s *Model) (*surgery.Overlay, error), left func(old func(e int) plainExpert, layer int) []plainExpert) (*Model, *plain) {
	t.Helper()
	dir, c := toyDir(t, 5, 2, storage, 21)
	raw := openToy(t, dir, c)
	overlay := made(t)(o(raw))
	m := openToy(t, dir, c)
	if _, err := m.Overlay(t.Context(), overlay, WorkOptions{Workers: 2}); err != nil {
		t.Fatal(err)
	}
	p := &plain{m.Config, raw.Weights, func(layer int) []plainExpert {
		return left(func(e int) plainExpert { return expertOf(raw.Weights, layer, e) }, layer)
	}}
	return m, p
}

// mixed is the average of two experts' numbers.
func mixed(a, b plainExpert, share float64) plainExpert {
	mix := func(x, y matrixOf) matrixOf {
		return func(k, o int) float64 { return share*x(k, o) + (1-share)*y(k, o) }
	}
	return plainExpert{
		column: func(d int) float64 { return share*a.column(d) + (1-share)*b.column(d) },
		gate:   mix(a.gate, b.gate), up: mix(a.up, b.up), down: mix(a.down, b.down),
	}
}

// TestSurgery holds every operation against a forward pass over the experts that it should leave: pruning is the
// softmax over the rest, an average the average of numbers.
func TestSurgery(t *testing.T) {
	keep := [][]int{{0, 2, 3}, {1, 2, 4}, {0, 1, 3}}
	tests := map[string]struct {
		overlay func(m *Model) (*surgery.Overlay, error)
		left    func(old func(int) plainExpert, layer int) []plainExpert
		rounded bool // int8 matrices are rounded anew
	}{
		"prune": {
			func(m *Model) (*surgery.Overlay, error) { return surgery.Prune(surgery.SizesOf(m.Config), keep) },
			func(old func(int) plainExpert, l int) (list []plainExpert) {
				for _, e := range keep[l] {
					list = append(list, old(e))
				}
				return list
			}, false,
		},
		"duplicate": {
			func(m *Model) (*surgery.Overlay, error) {
				return surgery.Duplicate(surgery.SizesOf(m.Config), [][]int{{4, 1}, {0, 0}, {2, 3}})
			},
			func(old func(int) plainExpert, l int) []plainExpert {
				more := [][]int{{4, 1}, {0, 0}, {2, 3}}[l]
				return []plainExpert{old(0), old(1), old(2), old(3), old(4), old(more[0]), old(more[1])}
			}, false,
		},
		"average": {
			func(m *Model) (*surgery.Overlay, error) {
				return surgery.Average(surgery.SizesOf(m.Config), slices.Repeat([][][]surgery.Term{{{{Expert: 3, Share: 0.25}, {Expert: 1, Share: 0.75}}}}, 3), false)
			},
			func(old func(int) plainExpert, l int) []plainExpert {
				return []plainExpert{old(0), old(2), mixed(old(3), old(1), 0.25), old(4)}
			}, true,
		},
		"average, router first": {
			func(m *Model) (*surgery.Overlay, error) {
				return surgery.Average(surgery.SizesOf(m.Config), slices.Repeat([][][]surgery.Term{{{{Expert: 0, Share: 0.5}, {Expert: 4, Share: 0.5}}}}, 3), true)
			},
			func(old func(int) plainExpert, l int) []plainExpert {
				e := mixed(old(0), old(4), 0.5)
				e.column = old(0).column
				return []plainExpert{e, old(1), old(2), old(3)}
			}, true,
		},
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		for storage, tolerance := range map[toy.Storage]float64{toy.Int8: 2e-5, toy.Float32: 2e-5} {
			if tests[name].rounded && storage == toy.Int8 {
				tolerance = 0.03 // half a step of 1/127 in each of three matrices; a share that is wrong by 0.1 makes it 1
			}
			t.Run(name+"/"+string(storage), func(t *testing.T) {
				m, p := oracle(t, storage, tests[name].overlay, tests[name].left)
				sameLogits(t, m, p, tolerance)
			})
		}
	}
}

// TestUpcycledIsTheSame: three times the experts without noise, three times as many chosen: the logits of the model
// that it was made of, as each of the copies has a third of the probability. With noise they differ.
func TestUpcycledIsTheSame(t *testing.T) {
	upcycle := func(noise float64) func(m *Model) (*surgery.Overlay, error) {
		return func(m *Model) (*surgery.Overlay, error) {
			return surgery.Upcycle(surgery.SizesOf(m.Config), 15, noise, 7)
		}
	}
	for _, storage := range []toy.Storage{toy.Int8, toy.Float32} {
		dir, c := toyDir(t, 5, 2, storage, 21)
		raw := openToy(t, dir, c)
		before := &plain{c, raw.Weights, func(layer int) (list []plainExpert) {
			for e := range 5 {
				list = append(list, expertOf(raw.Weights, layer, e))
			}
			return list
		}}
		m, _ := oracle(t, storage, upcycle(0), nil)
		if m.Config.Model.NumExperts != 15 || m.Config.Model.NumSelectedExperts != 6 {
			t.Fatalf("%+v", m.Config.Model)
		}
		sameLogits(t, m, before, 2e-5)
		prompt := toyPrompt(c, 4)
		old := logits(t, raw, kernels.Exact, "cpu", prompt)
		for i, row := range logits(t, m, kernels.Exact, "cpu", prompt) {
			for j, v := range row {
				if d := v - old[i][j]; max(d, -d) > 1e-5*slices.Max(old[i]) {
					t.Fatalf("position %d, token %d: %v, want %v", i, j, v, old[i][j])
				}
			}
		}
		noisy, _ := oracle(t, storage, upcycle(0.1), nil)
		if slices.Equal(logits(t, noisy, kernels.Exact, "cpu", prompt)[3], logits(t, m, kernels.Exact, "cpu", prompt)[3]) {
			t.Error("noise changes nothing")
		}
	}
}

// TestSwapped: the same model but for the order in which the softmax adds.
func TestSwapped(t *testing.T) {
	swap := func(m *Model) (*surgery.Overlay, error) {
		return surgery.Swap(surgery.SizesOf(m.Config), [][]int{{0, 4}, {1, 3}, nil})
	}
	for _, storage := range []toy.Storage{toy.Int8, toy.Float32} {
		m, _ := oracle(t, storage, swap, nil)
		dir, c := toyDir(t, 5, 2, storage, 21)
		raw := openToy(t, dir, c)
		if m.Weights["transformer/decoder_layer_0/moe/linear/w"][4].Q != nil &&
			m.Weights["transformer/decoder_layer_0/moe/linear/w"][4].Q[5] != raw.Weights["transformer/decoder_layer_0/moe/linear/w"][0].Q[5] {
			t.Error("expert 4 is not the old expert 0")
		}
		prompt := toyPrompt(c, 4)
		old := logits(t, raw, kernels.Exact, "cpu", prompt)
		for i, row := range logits(t, m, kernels.Exact, "cpu", prompt) {
			for j, v := range row {
				if d := v - old[i][j]; max(d, -d) > 1e-5*slices.Max(old[i]) {
					t.Fatalf("position %d, token %d: %v, want %v", i, j, v, old[i][j])
				}
			}
		}
	}
}
