package sim

import (
	"math"
	"time"

	"troupe/kernels"
	"troupe/model"
	"troupe/stages"
	"troupe/stages/place"
)

// Speed is what a device does in a second, and what it loses before it begins.
type Speed struct {
	Bandwidth float64 // bytes a second that it reads; 0: any number
	Flops     float64 // operations a second; 0: any number
	// Adds tells that operations take their time besides the bytes, as on one core; else the longer of both counts.
	Adds bool
	Call time.Duration
	// Position is what attention takes for each position that a row looks back on, beside the bytes and operations of it.
	Position time.Duration
}

// costs are what the ops of a model take, as it is stored.
//
// A call takes a + max(bytes/bandwidth, operations/flops) + c·positions, or the sum of both instead of their maximum. bytes are those of its weights, each once whatever
// the rows, and of keys and values; positions are what its rows look back on.
type costs struct {
	tensors  map[string]need // by name; of one expert where they are experts'
	head     need            // of the head
	row      float64         // bytes of a row of the embedding
	position need            // of keys and values of a layer
}

// need is bytes to be read and operations to be done: for one row.
type need struct{ bytes, flops float64 }

func newCosts(c model.Config, q place.Quantities) *costs {
	k := &costs{tensors: map[string]need{}}
	for _, t := range model.Tensors(c) {
		n := 1.
		for _, d := range t.Shape {
			n *= float64(d)
		}
		one := need{bytes: float64(q.Storage.Bytes(t)), flops: 2 * n}
		switch {
		case len(t.Shape) == 3:
			one.bytes, one.flops = one.bytes/float64(c.Model.NumExperts), one.flops/float64(c.Model.NumExperts)
		case t.Name == model.Embedding:
			k.row, k.head = one.bytes/float64(c.VocabSize), one
			if q.Head > 0 {
				k.head.bytes = float64(q.Head)
			}
			continue
		}
		k.tensors[t.Name] = one
	}
	k.position = need{
		bytes: float64(stages.CacheBytes(c, 1, stages.CacheSize{Blocks: 1, Half: q.Cache.Half})) / kernels.BlockTokens,
		flops: 4 * float64(c.Model.NumQHeads) * float64(c.Model.KeySize), // scores, and the sum over values
	}
	return k
}

// of is what a run takes on a device.
func (k *costs) of(x Kernel, s Speed) time.Duration {
	var n need
	rows, positions := float64(x.Frame.Rows.N), 0.
	switch x.Op {
	case kernels.Embed:
		n.bytes = rows * k.row
	case kernels.Linear, kernels.Route:
		n = k.weights(x.Call, rows)
	case kernels.Expert:
		n = k.weights(x.Call, float64(len(x.Frame.Work.Row)))
	case kernels.Head:
		draws := float64(len(x.Frame.Rows.Draw))
		if draws == 0 {
			return 0
		}
		n = need{k.head.bytes, k.head.flops * draws}
	case kernels.Attend:
		n, positions = k.attention(&x.Frame.Rows)
	default:
		return 0 // norms, rotations and sums: what they take is in Call
	}
	reading, calculating := over(n.bytes, s.Bandwidth), over(n.flops, s.Flops)
	seconds := math.Max(reading, calculating)
	if s.Adds {
		seconds = reading + calculating
	}
	return s.Call + time.Duration(seconds*float64(time.Second)) + time.Duration(positions*float64(s.Position))
}

func (k *costs) weights(c *kernels.Call, rows float64) (n need) {
	for _, w := range c.Weights {
		t := k.tensors[w.Name]
		n.bytes += t.bytes
		n.flops += t.flops * rows
	}
	return n
}

// attention reads keys and values of each sequence once for all of its rows in the batch.
func (k *costs) attention(r *kernels.Rows) (n need, positions float64) {
	last := int32(-1)
	most := int32(0)
	for i := range r.N {
		back := r.Pos[i] - r.First[i] + 1
		n.flops += k.position.flops * float64(back)
		positions += float64(back)
		if r.Seq[i] != last {
			n.bytes += k.position.bytes * float64(most)
			last, most = r.Seq[i], 0
		}
		most = max(most, back)
	}
	n.bytes += k.position.bytes * float64(most)
	return n, positions
}

func over(n, rate float64) float64 {
	if rate == 0 {
		return 0
	}
	return n / rate
}
