package place

import (
	"maps"
	"testing"

	"troupe/internal/toy"
	"troupe/kernels"
	_ "troupe/kernels/ref"
	"troupe/model"
	"troupe/router"
	"troupe/stages"
)

// TestBudgetOfWeights compares with weights as they are in memory.
func TestBudgetOfWeights(t *testing.T) {
	c := toy.Config()
	for storage, counts := range map[toy.Storage]Storage{toy.Int8: nil, toy.Float32: func(model.Tensor) Stored { return Stored{} }} {
		sizes, sum := map[string]int64{}, int64(0)
		for name, list := range toy.Weights(c, storage, 1) {
			for _, w := range list {
				sizes[name] += int64(len(w.Q) + 4*len(w.Scales) + 4*len(w.F))
			}
			sum += sizes[name]
		}
		q := Quantities{Storage: counts}
		one := mustMake(t, c, cpus(1), Options{}).Budget(c, q)
		if one.Host != one.Devices[0] || one.Host.Total() != sum {
			t.Errorf("%s: one device: %+v, want %d bytes", storage, one, sum)
		}
		three := mustMake(t, c, cpus(3), Options{}).Budget(c, q)
		got := three.Devices[0].Weights + three.Devices[1].Weights + three.Devices[2].Weights
		if three.Host.Weights != sum || got != sum+sizes[model.Embedding] {
			t.Errorf("%s: three devices: together %d bytes, host %d, want %d and the embedding (%d) twice", storage, got, three.Host.Weights, sum, sizes[model.Embedding])
		}
		q.Head = 1000
		own := mustMake(t, c, cpus(3), Options{}).Budget(c, q)
		if own.Host.Weights != sum+1000 || own.Devices[0] != three.Devices[0] || own.Devices[2].Weights != three.Devices[2].Weights-sizes[model.Embedding]+1000 {
			t.Errorf("%s: three devices and a head of 1000 bytes: %+v, want it in the place of the embedding: %+v", storage, own, three)
		}
		q.Head = 0
		apart := mustMake(t, c, cpus(1), Options{ExpertDevices: cpus(2)}).Budget(c, q)
		expert := int64(0)
		for _, name := range model.NewPlan(c).Expert(0).Weights {
			expert += sizes[name] / int64(c.Model.NumExperts)
		}
		if apart.Devices[1].Weights != 8*expert || apart.Devices[2].Weights != 7*expert || apart.Devices[0].Weights != sum-15*expert {
			t.Errorf("%s: experts apart: %+v, want 8 and 7 experts of %d bytes", storage, apart.Devices, expert)
		}
	}
}

// TestBytesOfJournals: every stage but the last keeps what it hands on, float32, for each position of the cache.
func TestBytesOfJournals(t *testing.T) {
	c := toy.Config()
	q := Quantities{Cache: stages.CacheSize{Blocks: 5}, Journal: true}
	want := int64(4 * c.Model.EmbSize * kernels.BlockTokens * 5)
	three := mustMake(t, c, cpus(3), Options{}).Budget(c, q)
	if d := three.Devices; d[0].Journal != want || d[1].Journal != want || d[2].Journal != 0 || three.Host.Journal != 2*want {
		t.Errorf("%+v, want %d bytes on all devices but the last", three, want)
	}
	if one := mustMake(t, c, cpus(1), Options{}).Budget(c, q); one.Host.Journal != 0 {
		t.Errorf("%d bytes for one stage, want none", one.Host.Journal)
	}
	without := q
	without.Journal = false
	if none := mustMake(t, c, cpus(3), Options{}).Budget(c, without); none.Host.Total() != three.Host.Total()-2*want {
		t.Errorf("without journals %+v, with them %+v", none.Host, three.Host)
	}
}

// TestBytesOfPanels: panels of sizes that do not fill them take what kernels say.
func TestBytesOfPanels(t *testing.T) {
	panels := Storage(func(model.Tensor) Stored { return Stored{Groups: 2, Panels: true} })
	x := model.Tensor{Shape: []int{3, 18, 33}, Int8: []int{2}}
	if got, want := panels.Bytes(x), int64(3*(kernels.PanelSize(18, 33, 2)+4*2*33)); got != want || want != 3*(3*6*64+264) {
		t.Errorf("%d bytes, want %d", got, want)
	}
}

// TestBudgetNamesWhatStagesRead: a stage opens with the tensors that the budget counts for its device, and
// with none of them less.
func TestBudgetNamesWhatStagesRead(t *testing.T) {
	c := toy.Config()
	all := toy.Weights(c, toy.Int8, 1)
	w := newWeights(c)
	for _, s := range mustMake(t, c, cpus(3), Options{}).Stages {
		names := map[string]bool{}
		w.ofStage(s.Span, false, names)
		open := func(without string) error {
			some := maps.Clone(all)
			maps.DeleteFunc(some, func(name string, _ []*kernels.Weight) bool { return !names[name] || name == without })
			libs := stages.OpenLibraries(kernels.Exact, kernels.Binding{}, kernels.SameThreads(1))
			defer libs.Close()
			st, err := stages.NewStage(c, model.NewPlan(c), s.Span, some, libs, stages.CacheSize{Blocks: 1}, nil)
			if err == nil {
				st.Close()
			}
			return err
		}
		if err := open(""); err != nil {
			t.Errorf("layers %v with %v: %v", s.Span, names, err)
		}
		for name := range names {
			if open(name) == nil {
				t.Errorf("layers %v open without %s", s.Span, name)
			}
		}
	}
}

// TestBudgetOfBatches compares with the buffers of a full batch whose rows use as many experts as may be.
func TestBudgetOfBatches(t *testing.T) {
	c := toy.Config()
	plan := model.NewPlan(c)
	lim := stages.Limits{Rows: 7, Draws: 3, Sequences: 1, Experts: 4}
	b, err := stages.NewBatch(plan, lim)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	b.Reset(1, 0)
	b.AddSequence(nil, nil, router.Uniform(lim.Experts))
	for i := range lim.Rows {
		b.AddRow(0, stages.Row{Pos: int32(i)})
		if i < lim.Draws {
			b.AddDraw(stages.Draw{})
		}
	}
	b.Seal()
	if _, err := b.Route(plan.Probs, 0); err != nil {
		t.Fatal(err)
	}
	want := int64(0)
	for _, buf := range b.Frame.Bufs {
		want += 4 * int64(len(buf))
	}
	q := Quantities{Batches: 5, Limits: lim}
	got := mustMake(t, c, cpus(1), Options{ExpertDevices: cpus(1)}).Budget(c, q)
	if got.Host.Batches != 5*want || got.Devices[0].Batches != 5*want {
		t.Errorf("batches take %+v, want %d", got, 5*want)
	}
	if want := int64(5 * 4 * c.Model.EmbSize * (7 + 7*4)); got.Devices[1].Batches != want {
		t.Errorf("batches where there are experts alone take %d, want %d", got.Devices[1].Batches, want)
	}
}

func TestBudgetOfCache(t *testing.T) {
	c := toy.Config()
	q := Quantities{Cache: stages.CacheSize{Blocks: 10, Half: true}}
	got := mustMake(t, c, cpus(2), Options{ExpertDevices: cpus(1)}).Budget(c, q)
	layer := int64(2 * 2 * 3 * 6 * kernels.BlockTokens * 10) // keys and values, bf16, 3 heads of 6
	if got.Devices[0].Cache != 2*layer || got.Devices[1].Cache != layer || got.Devices[2].Cache != 0 || got.Host.Cache != 3*layer {
		t.Errorf("caches %+v, want %d a layer", got, layer)
	}
}

func mustMake(t *testing.T, c model.Config, devices []Device, o Options) Plan {
	t.Helper()
	p, err := Make(c, devices, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// grok1Quantities are those for one stream with the full context.
func grok1Quantities(batches int) Quantities {
	return Quantities{Cache: stages.CacheSize{Blocks: 8192 / kernels.BlockTokens, Half: true}, Batches: batches,
		Limits: stages.Limits{Rows: 64, Draws: 8, Sequences: 8, Experts: 8}}
}

func TestGrok1Budget(t *testing.T) {
	c := preset(t, "grok-1")
	b := mustMake(t, c, cpus(1), Options{}).Budget(c, grok1Quantities(1))
	// int8 values, float32 arrays, and scales, which are bfloat16 in the files and float32 in memory.
	if want := int64(314_874_789_888 + 3_240_124_416 + 2*124_780_544); b.Host.Weights != want {
		t.Errorf("weights take %d bytes, want %d", b.Host.Weights, want)
	}
	if b.Host.Cache != 2<<30 {
		t.Errorf("the cache takes %d bytes, want 2 GiB", b.Host.Cache)
	}
	eight := mustMake(t, c, cpus(8), Options{}).Budget(c, grok1Quantities(9))
	for i, m := range eight.Devices {
		embedding := int64(0)
		if i == 0 || i == 7 {
			embedding = 4 * 131072 * 6144
		}
		if m.Weights < 39_300_000_000+embedding || m.Weights > 39_500_000_000+embedding || m.Cache != 256<<20 {
			t.Errorf("device %d of 8: %+v, want about 39.4 GB of weights, %d of embedding, 256 MiB of cache", i, m, embedding)
		}
	}
}

// TestBudgetOfHosts: what stages on workers hand on is kept by the head.
func TestBudgetOfHosts(t *testing.T) {
	c := sized(4, 2)
	q := Quantities{Cache: stages.CacheSize{Blocks: 2}, Batches: 3, Journal: true}
	local := mustMake(t, c, cpus(3), Options{})
	there := mustMake(t, c, []Device{{Name: "cpu"}, {Name: "cpu", Host: "a:1"}, {Name: "cpu", Host: "a:1", Number: 1}}, Options{})
	a, b := local.Budget(c, q), there.Budget(c, q)
	n := stages.JournalBytes(c, 2)
	if b.Head != n || a.Head != 0 || b.Devices[0].Journal != n || b.Devices[1].Journal != 0 || a.Devices[1].Journal != n || a.Host != b.Host {
		t.Errorf("%+v, want the journals of %+v with that of device 1 at the head", b, a)
	}
}
