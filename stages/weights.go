package stages

import (
	"fmt"

	"troupe/kernels"
)

// Weights finds a tensor of the checkpoint by name: one weight, or one per expert. One that is nil was left out when
// the checkpoint was opened, as another process computes with it.
type Weights map[string][]*kernels.Weight

func (w Weights) one(name string) (*kernels.Weight, error) {
	list := w[name]
	if len(list) != 1 {
		return nil, fmt.Errorf("stages: %s: %d weights, want 1: the checkpoint was not loaded for this model", name, len(list))
	}
	if list[0] == nil {
		return nil, fmt.Errorf("stages: %s: not among the weights that were loaded here: load those of this stage", name)
	}
	return list[0], nil
}

func (w Weights) expert(name string, e int) (*kernels.Weight, error) {
	list := w[name]
	if e < 0 || e >= len(list) {
		return nil, fmt.Errorf("stages: %s: expert %d of %d: the checkpoint was not loaded for this model", name, e, len(list))
	}
	if list[e] == nil {
		return nil, fmt.Errorf("stages: %s: expert %d is not among those that were loaded here: load it", name, e)
	}
	return list[e], nil
}
