package stages

import (
	"fmt"

	"troupe/kernels"
)

// Weights finds a tensor of the checkpoint by name: one weight, or one per expert.
type Weights map[string][]*kernels.Weight

func (w Weights) one(name string) (*kernels.Weight, error) {
	list := w[name]
	if len(list) != 1 {
		return nil, fmt.Errorf("stages: %s: %d weights, want 1: the checkpoint was not loaded for this model", name, len(list))
	}
	return list[0], nil
}

func (w Weights) expert(name string, e int) (*kernels.Weight, error) {
	list := w[name]
	if e < 0 || e >= len(list) {
		return nil, fmt.Errorf("stages: %s: expert %d of %d: the checkpoint was not loaded for this model", name, e, len(list))
	}
	return list[e], nil
}
