package stages

import (
	"fmt"

	"troupe/kernels"
	"troupe/model"
)

// Experts computes experts on one device. Any of them may live on another device than its layer.
type Experts struct {
	plan  model.Plan
	lane  *Programs // nil without experts
	sites map[expertKey]int
	frame kernels.Frame // lent buffers of the batch at hand
	with  company       // of the call at hand
}

type expertKey struct{ layer, expert int }

// NewExperts makes a host without experts.
func NewExperts(plan model.Plan) *Experts {
	return &Experts{plan: plan, sites: map[expertKey]int{}}
}

// Add compiles one expert of one layer.
func (x *Experts) Add(layer, expert int, w Weights, libs *Libraries) error {
	calls, err := resolve([]model.Step{x.plan.Expert(layer)}, layer, func(name string) (*kernels.Weight, error) {
		return w.expert(name, expert)
	})
	if err != nil {
		return err
	}
	at, err := libs.add(site{expert: expert, calls: calls}, x.plan.Slots)
	if err != nil {
		return err
	}
	x.lane = libs.lane
	x.sites[expertKey{layer, expert}] = at
	return nil
}

// Run computes the expert for the rows of work: it reads the batch's expert input and writes the pairs
// that work names, and nothing else of the batch. Where a library computes several experts at the price of one call,
// those that have their turn here next are computed as well, and their own turn finds it done.
func (x *Experts) Run(b *Batch, layer, expert int, work kernels.Work) error {
	at, ok := x.sites[expertKey{layer, expert}]
	if !ok {
		return fmt.Errorf("expert %d of layer %d: batch %d: not on this device: the placement is wrong", expert, layer, b.ID)
	}
	if expert < len(b.computed) && b.computed[expert] {
		b.computed[expert] = false
		return nil
	}
	x.frame.Bufs = append(x.frame.Bufs[:0], b.Frame.Bufs...)
	x.frame.Work = work
	x.frame.Rows.N = b.Frame.Rows.N // of the whole batch: libraries choose their threads by it
	if err := x.lane.run(at, b, &x.frame, len(work.Row), x); err != nil {
		return fmt.Errorf("expert %d of layer %d: batch %d: %w", expert, layer, b.ID, err)
	}
	return nil
}
