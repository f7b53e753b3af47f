package place

import (
	"fmt"
	"strings"

	"troupe/model"
)

// Reasons say why a plan is as it is, for people.
type Reasons struct {
	Stages  []string // of each stage
	Experts func(layer, expert int) string
	Spare   []string // of each device that was left out
}

// Reasons are those of a plan that Make has made of these wishes.
func (o Options) Reasons(c model.Config, p Plan) (why Reasons) {
	s, err := findStrategy(o.strategy())
	if err != nil {
		panic("BUG: place: reasons of a plan that was not made: " + err.Error())
	}
	devices := map[int]bool{}
	for _, st := range p.Stages {
		devices[st.Device] = true
	}
	cut := fmt.Sprintf("the layers cut evenly into %d stages", len(p.Stages))
	switch {
	case s.Cut != nil:
		for _, st := range p.Stages {
			why.Stages = append(why.Stages, s.Name+": "+share(p, st))
		}
	case len(p.Stages) == 1:
		cut = "all layers in one stage"
	case len(devices) < len(p.Stages):
		cut += ", in runs on each device"
	}
	for range len(p.Stages) - len(why.Stages) {
		why.Stages = append(why.Stages, cut)
	}
	for _, d := range p.Spare {
		text := "no set of devices with it is predicted to be faster for this load"
		if l := hostOf(o.Hosts, d.Host).Link; d.Host != "" && l.Stated() {
			text += fmt.Sprintf("; the way there and back takes %s a batch", FormatLatency(2*l.seconds(float64(BoundaryBytes(c, 4)))))
		}
		why.Spare = append(why.Spare, s.Name+": "+text)
	}
	text := s.Name + ": " + s.Why
	why.Experts = func(int, int) string { return text }
	return why
}

// share says which part of the layers and of the speed or the threads a device with one stage has.
func share(p Plan, s Stage) string {
	layers := p.Stages[len(p.Stages)-1].Span.Hi
	text := fmt.Sprintf("%d of %d layers", s.Span.Hi-s.Span.Lo, layers)
	threads, read := 0, 0.
	for _, other := range p.Stages {
		threads += p.Devices[other.Device].Threads
		read += p.Devices[other.Device].Bandwidth
	}
	d := p.Devices[s.Device]
	switch {
	case d.Bandwidth > 0:
		text += fmt.Sprintf(" for %s of %s a second that are read", FormatRate(d.Bandwidth), FormatRate(read))
		if d.Host != "" {
			text += ", with the way to " + d.Host
		}
	case threads > 0:
		text += fmt.Sprintf(" for %d of %d threads", d.Threads, threads)
	}
	if d.Memory > 0 {
		text += ", by what its memory holds"
	}
	return text
}

// Part is something that lives on a device.
type Part struct {
	Device int
	What   string // "stage 0", "experts", "cache", "batches", "journal"
	Where  string // "layers 0-2, embedding"
	Bytes  int64
	Why    string
}

// Explain lists what lives on each device and why: stages, groups of experts, cache and buffers. A device's parts are
// together, and their bytes add up to its Budget.
func (p Plan) Explain(c model.Config, q Quantities, why Reasons) (parts []Part) {
	w := newWeights(c)
	b := p.Budget(c, q)
	stageBytes := p.stageBytes(w, q)
	groups, texts := p.explained(why)
	for i := range p.Devices {
		add := func(what, where string, bytes int64, why string) {
			parts = append(parts, Part{i, what, where, bytes, why})
		}
		layers := 0
		for s, st := range p.Stages {
			if st.Device == i {
				layers += st.Span.Hi - st.Span.Lo
				add(fmt.Sprintf("stage %d", s), st.where(c), stageBytes[s], why.Stages[s])
			}
		}
		for _, g := range groups {
			if g.Device == i {
				add("experts", fmt.Sprintf("%s of layers %s", strings.Join(Runs(g.Experts), ", "), strings.Join(Runs(g.Layers), ", ")), w.groupBytes(g, q.Storage), texts[g.Tag])
			}
		}
		if b.Devices[i].Cache > 0 {
			add("cache", fmt.Sprintf("of %d layers", layers), b.Devices[i].Cache, "keys and values stay where their layers are")
		}
		if b.Devices[i].Batches > 0 {
			add("batches", fmt.Sprintf("%d in flight", q.Batches), b.Devices[i].Batches, "what stages and experts write")
		}
		if b.Devices[i].Journal > 0 {
			add("journal", "of what is handed on", b.Devices[i].Journal, "a stage behind that dies computes its cache again from it")
		}
	}
	return parts
}

// explained groups the experts by their reasons; a group's tag is the index of its text.
func (p Plan) explained(why Reasons) ([]Group, []string) {
	var texts []string
	index := map[string]int{}
	groups := p.Groups(func(layer, expert int) int {
		text := why.Experts(layer, expert)
		i, ok := index[text]
		if !ok {
			i, texts = len(texts), append(texts, text)
			index[text] = i
		}
		return i
	})
	return groups, texts
}

func (s Stage) where(c model.Config) string {
	text := "layer "
	if s.Span.Hi-s.Span.Lo > 1 {
		text = "layers "
	}
	text += Run(s.Span.Lo, s.Span.Hi-1)
	if s.Span.Lo == 0 {
		text += ", embedding"
	}
	if s.Span.Hi == c.Model.NumLayers {
		text += ", head"
	}
	return text
}

// stageBytes are the weights of each stage, experts apart. What several stages of a device read is counted with the
// first of them.
func (p Plan) stageBytes(w weights, q Quantities) []int64 {
	bytes := make([]int64, len(p.Stages))
	seen := make([]map[string]bool, len(p.Devices))
	for i, s := range p.Stages {
		if seen[s.Device] == nil {
			seen[s.Device] = map[string]bool{}
		}
		names := map[string]bool{}
		w.ofStage(s.Span, q.Head > 0, names)
		for _, t := range w.tensors {
			if names[t.Name] && !seen[s.Device][t.Name] {
				seen[s.Device][t.Name] = true
				bytes[i] += q.Storage.Bytes(t)
			}
		}
	}
	bytes[len(bytes)-1] += q.Head
	return bytes
}

// groupBytes are the weights of a group of experts.
func (w weights) groupBytes(g Group, storage Storage) (sum int64) {
	layers := map[int]bool{}
	for _, l := range g.Layers {
		layers[l] = true
	}
	for _, t := range w.tensors {
		if w.expert[t.Name] && layers[t.Layer] {
			sum += int64(len(g.Experts)) * (storage.Bytes(t) / int64(w.config.Model.NumExperts))
		}
	}
	return sum
}
