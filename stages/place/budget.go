package place

import (
	"troupe/model"
	"troupe/stages"
)

// Memory is what a device has to hold, in bytes.
type Memory struct {
	Weights int64
	Cache   int64 // keys and values of the device's layers
	Batches int64 // buffers of the batches in flight
	Journal int64 // of what the device's stages hand on, for stages that die
}

// Total is everything together.
func (m Memory) Total() int64 { return m.Weights + m.Cache + m.Batches + m.Journal }

// Quantities are what a budget depends on besides model and plan.
type Quantities struct {
	Cache   stages.CacheSize
	Batches int           // in flight
	Limits  stages.Limits // of a batch
	Storage Storage       // nil: int8 where the configuration allows it
	Journal bool          // of what passes from stage to stage (stages.Journal)
	Head    int64         // bytes of a head of its own (stages.HeadBytes); 0: the embedding is the head
}

// Budget is what a plan needs.
type Budget struct {
	// Devices counts each device as a memory of its own. What several of them use is there several
	// times: the embedding, which the first and the last stage read, and the buffers of the batches.
	Devices []Memory
	// Host counts all devices as one memory, as that of the CPU devices of one process: everything is
	// there once.
	Host Memory
	// Head is what the head's process keeps besides its devices: the journals of what stages on workers hand on.
	Head int64
}

// Budget counts the memory of a plan that Check accepts.
func (p Plan) Budget(c model.Config, q Quantities) Budget {
	w := newWeights(c)
	b := Budget{Devices: make([]Memory, len(p.Devices))}
	p.parts(w, q.Head > 0, func(device int, t model.Tensor, of int64) {
		b.Devices[device].Weights += q.Storage.Bytes(t) / of
	})
	b.Devices[p.Stages[len(p.Stages)-1].Device].Weights += q.Head
	layers := make([]int, len(p.Devices))
	for _, s := range p.Stages {
		layers[s.Device] += s.Span.Hi - s.Span.Lo
	}
	for i := range b.Devices {
		b.Devices[i].Cache = stages.CacheBytes(c, layers[i], q.Cache)
		b.Devices[i].Batches = int64(q.Batches) * w.batchBytes(q.Limits, layers[i] > 0)
	}
	for _, t := range w.tensors {
		b.Host.Weights += q.Storage.Bytes(t)
	}
	b.Host.Weights += q.Head
	b.Host.Cache = stages.CacheBytes(c, c.Model.NumLayers, q.Cache)
	b.Host.Batches = int64(q.Batches) * w.batchBytes(q.Limits, true)
	if q.Journal {
		for _, s := range p.Stages[:len(p.Stages)-1] { // the last one hands nothing on
			n := stages.JournalBytes(c, q.Cache.Blocks)
			if p.Devices[s.Device].Host == "" {
				b.Devices[s.Device].Journal += n
			} else {
				b.Head += n
			}
			b.Host.Journal += n
		}
	}
	return b
}

// parts calls f for everything that a device needs: whole tensors (of = 1), or one of the equal parts of
// a tensor for an expert that lives there. ownHead: the embedding is not the head.
func (p Plan) parts(w weights, ownHead bool, f func(device int, t model.Tensor, of int64)) {
	names := make([]map[string]bool, len(p.Devices)) // of tensors that the device's stages read
	for i := range names {
		names[i] = map[string]bool{}
	}
	for _, s := range p.Stages {
		w.ofStage(s.Span, ownHead, names[s.Device])
	}
	for _, t := range w.tensors {
		if w.expert[t.Name] {
			for _, device := range p.Experts[t.Layer] {
				f(device, t, int64(w.config.Model.NumExperts))
			}
			continue
		}
		for device := range names {
			if names[device][t.Name] {
				f(device, t, 1)
			}
		}
	}
}

// batchBytes is what the buffers of one batch take: all of them where there is a stage, those that
// experts read and write where there are experts alone.
func (w weights) batchBytes(lim stages.Limits, stage bool) (sum int64) {
	for i, s := range w.plan.Slots {
		if !stage && i != int(w.plan.ExpertInput) && i != int(w.plan.Parts) {
			continue
		}
		sum += lim.Bytes(s)
	}
	return sum
}
