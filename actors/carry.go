package actors

import (
	"errors"
	"fmt"
	"math"

	"troupe/actors/internal/wire"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/sample"
)

// pass has the batch go through a stage of the other side.
func (f *ferry) pass(b *credit, stage int, span stages.Span, observe, trace bool) {
	r := &b.batch.Frame.Rows
	m := &wire.Pass{Slot: uint32(b.slot), Epoch: b.epoch, Stage: uint32(stage), Batch: b.batch.ID, Observe: observe, Trace: trace,
		Token: clone(r.Token), Pos: clone(r.Pos), Seq: clone(r.Seq), First: clone(r.First), Keyless: clone(r.Keyless), Prompt: clone(r.Prompt)}
	for i, table := range r.Tables {
		m.Sequences = append(m.Sequences, &wire.Sequence{Table: clone(table), Skip: clone(r.Skip[i]), Policy: b.batch.Policies[i].String()})
	}
	if span.Hi == f.config.Model.NumLayers {
		m.Draw = clone(r.Draw)
		for _, d := range b.batch.Draws {
			p := d.Params
			m.Draws = append(m.Draws, &wire.Draw{Kind: uint32(d.Kind), Position: int64(d.Position), Step: int64(d.Step), Target: d.Target,
				Temperature: p.Temperature, TopK: int64(p.TopK), TopP: p.TopP, MinP: p.MinP, Seed: p.Seed, Sampler: uint32(p.Sampler)})
		}
	}
	if span.Lo > 0 {
		m.Rest = f.load(b, wire.Field_HIDDEN, f.all(r.N))
	}
	f.send(m)
}

// clone copies what a message is to carry: it is written to the network later, when the batch may have changed.
func clone[T any](from []T) []T { return append([]T(nil), from...) }

// mostPolicies bounds how many policies are remembered.
const mostPolicies = 1024

// policies remembers those that have been read.
type policies map[string]router.Policy

func (p policies) read(text string, sizes router.Sizes) (router.Policy, error) {
	if known, ok := p[text]; ok {
		return known, nil
	}
	policy, err := router.Parse(text, sizes)
	if err != nil {
		return policy, err
	}
	if len(p) >= mostPolicies {
		clear(p)
	}
	p[text] = policy
	return policy, nil
}

// take makes a batch what a message says, and checks it.
func (f *ferry) take(b *credit, m *wire.Pass, known policies, blocks int) error {
	batch, c := b.batch, f.config
	limits := batch.Limits()
	if len(m.Token) > limits.Rows || len(m.Draw) > limits.Draws || len(m.Sequences) > limits.Sequences {
		return fmt.Errorf("batch %d: %d rows, %d draws, %d sequences: more than the limits %+v", m.Batch, len(m.Token), len(m.Draw), len(m.Sequences), limits)
	}
	batch.Reset(m.Batch, batch.Generation)
	sizes := router.Sizes{Layers: c.Model.NumLayers, Experts: c.Model.NumExperts, Selected: c.Model.NumSelectedExperts}
	for _, s := range m.Sequences {
		policy, err := known.read(s.GetPolicy(), sizes)
		if err != nil {
			return err
		}
		batch.AddSequence(s.GetTable(), s.GetSkip(), policy)
	}
	r := &batch.Frame.Rows
	r.N = len(m.Token)
	r.Token, r.Pos, r.Seq = append(r.Token, m.Token...), append(r.Pos, m.Pos...), append(r.Seq, m.Seq...)
	r.First, r.Keyless, r.Prompt = append(r.First, m.First...), append(r.Keyless, m.Keyless...), append(r.Prompt, m.Prompt...)
	r.Draw = append(r.Draw, m.Draw...)
	for _, d := range m.Draws {
		batch.Draws = append(batch.Draws, stages.Draw{Kind: stages.Kind(min(d.GetKind(), math.MaxUint8)), Position: int(d.GetPosition()), Step: int(d.GetStep()), Target: d.GetTarget(),
			Params: sample.Params{Temperature: d.GetTemperature(), TopK: int(d.GetTopK()), TopP: d.GetTopP(), MinP: d.GetMinP(), Seed: d.GetSeed(),
				Sampler: sample.Sampler(min(d.GetSampler(), math.MaxUint8))}})
	}
	if err := batch.Check(c, blocks); err != nil {
		return err
	}
	batch.Seal()
	return f.unload(b, m.Rest)
}

// back sends a batch back that has passed a stage.
func (f *ferry) back(b *credit, stage int, span stages.Span, m *wire.Back) {
	m.Slot, m.Epoch, m.Stage = uint32(b.slot), b.epoch, uint32(stage)
	if b.err != nil {
		m.Error = words(b.err.Error())
		f.send(m)
		return
	}
	if span.Hi < f.config.Model.NumLayers {
		m.Rest = f.load(b, wire.Field_HIDDEN, f.all(b.batch.Frame.Rows.N))
		f.send(m)
		return
	}
	var logits []int32
	for i := range b.batch.Drawn {
		d := &b.batch.Drawn[i]
		out := &wire.Drawn{Token: d.Token, LogProb: d.LogProb, Logits: d.Logits != nil}
		if d.Err != nil {
			out.Error = words(d.Err.Error())
		}
		if d.Logits != nil {
			logits = append(logits, int32(i)) // they lie in the batch as well
		}
		m.Drawn = append(m.Drawn, out)
	}
	if logits != nil {
		m.Rest = f.load(b, wire.Field_LOGITS, logits)
	}
	f.send(m)
}

// came makes of a batch that has passed a stage of the other side what it would be here.
func (f *ferry) came(b *credit, span stages.Span, m *wire.Back) error {
	if m.Error != "" {
		b.err = errors.New(said(m.Error))
		return nil
	}
	if err := f.unload(b, m.Rest); err != nil {
		return err
	}
	if span.Hi < f.config.Model.NumLayers {
		return nil
	}
	if len(m.Drawn) != len(b.batch.Draws) {
		return fmt.Errorf("%d draws, want %d", len(m.Drawn), len(b.batch.Draws))
	}
	for i, d := range m.Drawn {
		if t := d.GetToken(); t < 0 || int(t) >= f.config.VocabSize {
			return fmt.Errorf("token %d, want 0 to %d", t, f.config.VocabSize-1)
		}
		out := stages.Drawn{Token: d.GetToken(), LogProb: d.GetLogProb()}
		if d.GetError() != "" {
			out.Err = errors.New(said(d.GetError()))
		}
		if d.GetLogits() {
			out.Logits = clone(b.batch.Row(f.plan.Logits, i))
		}
		b.batch.Drawn = append(b.batch.Drawn, out)
	}
	return nil
}

// routed tells the other side what the router of a layer has chosen.
func (f *ferry) routed(b *credit, stage, layer int) {
	r, experts := &b.batch.Routing, f.config.Model.NumExperts
	probs := b.batch.Frame.Bufs[f.plan.Probs]
	each := max(1, wire.Piece/(16*experts))
	for first, rows := 0, r.Rows(); first < rows; first += each {
		end := min(first+each, rows)
		m := &wire.Routed{Slot: uint32(b.slot), Epoch: b.epoch, Stage: uint32(stage), Layer: uint32(layer), First: uint32(first),
			Probs: wire.Append(nil, probs[first*experts:end*experts]), Count: make([]int32, 0, end-first)}
		for i := first; i < end; i++ {
			m.Count = append(m.Count, r.Start[i+1]-r.Start[i])
		}
		lo, hi := r.Start[first], r.Start[end]
		m.Expert, m.Gate = clone(r.Expert[lo:hi]), wire.Append(nil, r.Gate[lo:hi])
		f.send(m)
	}
}

// choices puts what a router of the other side has chosen where one of this side would have put it. It reports whether
// that was the last piece of the layer.
func (f *ferry) choices(b *credit, span stages.Span, m *wire.Routed) (whole bool, err error) {
	rows, experts, most := b.batch.Frame.Rows.N, f.config.Model.NumExperts, b.batch.Limits().Experts
	first, r := int(m.First), &b.batch.Routing
	if first == 0 {
		r.Reset(experts)
	}
	switch l := int(m.Layer); {
	case l < span.Lo || l >= span.Hi:
		return false, fmt.Errorf("routing of layer %d, want %d to %d", l, span.Lo, span.Hi-1)
	case first != r.Rows() || len(m.Count) == 0 || len(m.Count) > rows-first:
		return false, fmt.Errorf("routing of %d rows from %d on: the batch has %d, and %d are known", len(m.Count), first, rows, r.Rows())
	case len(m.Expert) > most*len(m.Count):
		return false, fmt.Errorf("routing of %d rows with %d pairs, want at most %d for each", len(m.Count), len(m.Expert), most)
	}
	pairs := len(r.Expert)
	for i, n := range m.Count {
		if n < 1 || int(n) > most {
			return false, fmt.Errorf("routing: row %d has %d experts, want 1 to %d", first+i, n, most)
		}
		pairs += int(n)
		r.Start = append(r.Start, int32(pairs))
	}
	for _, e := range m.Expert {
		if e < 0 || int(e) >= experts {
			return false, fmt.Errorf("routing: expert %d, want 0 to %d", e, experts-1)
		}
	}
	r.Expert = append(r.Expert, m.Expert...)
	if len(r.Expert) != pairs {
		return false, fmt.Errorf("routing: %d experts for %d pairs", len(r.Expert), pairs)
	}
	known := len(r.Gate)
	r.Gate = append(r.Gate, make([]float32, pairs-known)...)
	if err := wire.Take(r.Gate[known:], m.Gate); err != nil {
		return false, err
	}
	end := first + len(m.Count)
	return end == rows, wire.Take(b.batch.Frame.Bufs[f.plan.Probs][first*experts:end*experts], m.Probs)
}
