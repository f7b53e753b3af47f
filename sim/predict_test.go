package sim

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"testing"

	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/model"
	"troupe/router"
	"troupe/stages"
	"troupe/stages/place"
)

// hosts is a case of the toy on so many workers, a stage each.
func hosts(c model.Config, n, streams int) Case {
	var p place.Plan
	m := c.Model
	for i := range n {
		address := fmt.Sprintf("w%d:1", i)
		p.Devices = append(p.Devices, place.Device{Name: "cpu", Threads: 1, Host: address, Bandwidth: 1e6})
		p.Hosts = append(p.Hosts, place.Host{Address: address, Link: place.Link{Latency: 1e-3, Bandwidth: 1e6}})
		s := place.Stage{Span: stages.Span{Lo: i * m.NumLayers / n, Hi: (i + 1) * m.NumLayers / n}, Device: i}
		p.Stages = append(p.Stages, s)
		for range s.Span.Hi - s.Span.Lo {
			homes := make([]int, m.NumExperts)
			for e := range homes {
				homes[e] = i
			}
			p.Experts = append(p.Experts, homes)
		}
	}
	q := place.Quantities{Batches: n + 1, Limits: stages.Limits{Rows: 16, Draws: streams, Sequences: streams, Experts: m.NumExperts}}
	q.Cache = stages.CacheSize{Blocks: streams * 6, Half: true}
	return Case{Model: c, Plan: p, Quantities: q, Policy: router.Uniform(m.NumSelectedExperts), Streams: streams, Prompt: 20, Tokens: 24}
}

func predict(t *testing.T, c Case) Report {
	t.Helper()
	r, err := Predict(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// One stream on devices that read so many bytes a second takes the time of the bytes that it needs, and of the links.
func TestPredictOneStream(t *testing.T) {
	c := hosts(toy.Config(), 3, 1)
	var bytes float64
	costs := newCosts(c.Model, c.Quantities)
	for _, x := range model.Tensors(c.Model) {
		if n := costs.tensors[x.Name]; len(x.Shape) == 3 {
			bytes += n.bytes * float64(c.Model.Model.NumSelectedExperts)
		} else if len(x.Shape) == 2 {
			bytes += n.bytes
		}
	}
	bytes += costs.head.bytes + costs.row
	const context = 20 + 12 // the mean
	bytes += float64(c.Model.Model.NumLayers) * context * costs.position.bytes
	r := predict(t, c)
	want := bytes/1e6 + 6*1e-3
	if wire := r.Wire; wire < 6e-5 || wire > 2e-3 {
		t.Errorf("%v s of bytes on links, want a few times 24 float32 values at 1 MB/s", wire)
	} else {
		want += wire
	}
	if math.Abs(r.Between.P50/want-1) > 0.02 {
		t.Errorf("%v s a token, want %v", r.Between.P50, want)
	}
	if math.Abs(r.TokensPerSecond*want-1) > 0.02 {
		t.Errorf("%v tokens/s, want %v", r.TokensPerSecond, 1/want)
	}
}

// What follows from the laws of queues: no device works more than all the time, more streams are no slower together, the
// slowest device bounds them, and the mean number of streams is their rate times their round (Little).
func TestPredictStreams(t *testing.T) {
	before := 0.
	for _, streams := range []int{1, 2, 4, 8} {
		r := predict(t, hosts(toy.Config(), 3, streams))
		if r.TokensPerSecond < before*0.99 {
			t.Errorf("%d streams: %v tokens/s, fewer than %v with half of them", streams, r.TokensPerSecond, before)
		}
		before = r.TokensPerSecond
		for _, h := range r.Hosts {
			for _, d := range h.Devices {
				if d.Busy <= 0 || d.Busy > 1 {
					t.Errorf("%d streams: device %d of %s works %v of the time", streams, d.Number, h.Address, d.Busy)
				}
			}
			if h.Link > 1 {
				t.Errorf("%d streams: the link to %s carries %v of the time", streams, h.Address, h.Link)
			}
		}
		if little := r.TokensPerSecond * r.Between.P50 / float64(streams); little < 0.8 || little > 1.25 {
			t.Errorf("%d streams: rate times round is %v streams", streams, little*float64(streams))
		}
	}
}

// The same case has the same result, to the last bit; another seed need not.
func TestPredictRepeatsItself(t *testing.T) {
	c := hosts(toy.Config(), 2, 5)
	a, b := predict(t, c), predict(t, c)
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%+v, then %+v", a, b)
	}
}

// Cases that cannot be are refused, and one that is cancelled ends.
func TestPredictRefuses(t *testing.T) {
	c := hosts(toy.Config(), 2, 1)
	c.Tokens = 1000
	if _, err := Predict(t.Context(), c); err == nil {
		t.Error("more tokens than the model has positions are taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Predict(ctx, hosts(toy.Config(), 2, 1)); err == nil {
		t.Error("a cancelled prediction has a result")
	}
}

// The library of predictions chooses experts as independent as the formula for those that n rows hit wants them.
func TestBlankRouting(t *testing.T) {
	const experts, chosen, rows, layers = 8, 2, 16, 200
	f := kernels.Frame{Bufs: [][]float32{make([]float32, rows*experts)}}
	f.Rows.N, f.Rows.Pos, f.Rows.Seq, f.Rows.Tables = rows, make([]int32, rows), make([]int32, rows), [][]int32{{3}}
	for i := range rows {
		f.Rows.Pos[i] = int32(i)
	}
	hit := 0
	for layer := range layers {
		k := blank{&kernels.Call{Op: kernels.Route, Layer: layer, Out: []kernels.Slot{0}}}
		if err := k.Run(&f); err != nil {
			t.Fatal(err)
		}
		var used [experts]bool
		for r := range rows {
			p := f.Bufs[0][r*experts:][:experts]
			for range chosen {
				best := 0
				for e := range p {
					if p[e] > p[best] {
						best = e
					}
				}
				used[best], p[best] = true, 0
			}
		}
		for _, u := range used {
			if u {
				hit++
			}
		}
	}
	want := experts * (1 - math.Pow(1-float64(chosen)/experts, rows))
	if got := float64(hit) / layers; math.Abs(got-want) > 0.1 {
		t.Errorf("%v experts hit by %d rows, want %v", got, rows, want)
	}
}

// Batches pass a stage one by one, so that stages work at the same time: prompts that come together take the slowest
// stage's time each, and the way through the others once.
func TestPredictPromptsOverlap(t *testing.T) {
	const workers, streams = 3, 6
	c := hosts(toy.Config(), workers, 1)
	for i := range c.Plan.Devices {
		c.Plan.Devices[i].Flops = 1e6 // prompts take much longer than single tokens
	}
	for i := range c.Plan.Hosts {
		c.Plan.Hosts[i].Link = place.Link{Latency: 1e-6, Bandwidth: 1e12}
	}
	c.Prompt = 16 // a batch each
	alone := predict(t, c).First.P50
	all := hosts(toy.Config(), workers, streams)
	all.Plan, all.Prompt = c.Plan, c.Prompt
	last, want := predict(t, all).First.P99, alone*(workers+streams-1)/workers
	if last > 1.15*want { // tokens of the first ones come in between
		t.Errorf("%d prompts take %v s, one of them %v: want %v", streams, last, alone, want)
	}
}
