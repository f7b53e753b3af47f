package main

import (
	"fmt"
	"io"
	"strings"

	"troupe/stages/place"
)

// planReport is a plan as JSON. All sizes are in bytes.
type planReport struct {
	Model            string         `json:"model"`
	Parameters       int64          `json:"parameters"`
	ActiveParameters int64          `json:"active_parameters"` // that a token meets
	Files            int            `json:"files"`
	CheckpointBytes  int64          `json:"checkpoint_bytes"`
	KVBytesPerToken  int64          `json:"kv_bytes_per_token"` // of all layers
	KVType           string         `json:"kv_type"`
	HopBytes         int64          `json:"hop_bytes_per_token"`  // from a stage to the next, float32
	ReadBytes        int64          `json:"read_bytes_per_token"` // weights that one token reads
	Arith            string         `json:"arith"`
	Experts          string         `json:"experts"`
	Sequences        int            `json:"sequences"`
	Context          int            `json:"context"`
	Devices          []deviceReport `json:"devices"`
	Host             memoryReport   `json:"host"` // all devices as one memory
	Fits             *bool          `json:"fits"` // null: no device states its memory
	Bound            *boundReport   `json:"bound_tokens_per_second"`
	Explain          *explainReport `json:"explain,omitempty"` // with --explain
}

type memoryReport struct {
	Weights int64 `json:"weights"`
	Cache   int64 `json:"cache"`
	Batches int64 `json:"batches"`
	Journal int64 `json:"journal"` // of what passes between stages
	Total   int64 `json:"total"`
}

type deviceReport struct {
	Name    string   `json:"name"`
	Label   string   `json:"label,omitempty"` // the name in a placement file
	Layers  [][2]int `json:"layers"`          // of its stages, first and last
	Experts int      `json:"experts"`         // that live here, of all layers
	memoryReport
	Memory int64      `json:"memory"` // 0: not stated
	Fit    *fitReport `json:"fit"`    // null: not stated
}

type fitReport struct {
	Fits   bool    `json:"fits"`
	Bits   float64 `json:"bits_that_fit"`   // a weight of the matrices may take on average, scales included
	Layers int     `json:"layers_that_fit"` // as they are stored
}

// boundReport is what reading the weights allows, with everything else free.
type boundReport struct {
	OneStream  float64 `json:"one_stream"`
	AllStreams float64 `json:"all_streams"`
}

func memoryOf(m place.Memory) memoryReport {
	return memoryReport{m.Weights, m.Cache, m.Batches, m.Journal, m.Total()}
}

// most is the most experts that a token uses in a layer.
func (pl *planned) most(layer int) int { return pl.policy.Most(layer, pl.config.Model.NumExperts) }

func (pl *planned) report() planReport {
	c, q := pl.config, pl.quantities
	r := planReport{Model: pl.name, Parameters: place.Parameters(c), ActiveParameters: place.Active(c, pl.most),
		Files: pl.files, CheckpointBytes: pl.bytes, KVBytesPerToken: place.CacheBytesPerToken(c, q.Cache.Half), KVType: "float32",
		HopBytes: place.BoundaryBytes(c, 4), ReadBytes: place.ReadBytes(c, q.Storage, q.Head, pl.most, 1), Arith: pl.arith.String(),
		Experts: pl.policy.String(), Sequences: q.Limits.Sequences, Context: pl.context}
	if q.Cache.Half {
		r.KVType = "bfloat16"
	}
	budget := pl.Budget(c, q)
	r.Host = memoryOf(budget.Host)
	for i, d := range pl.Devices {
		r.Devices = append(r.Devices, deviceReport{Name: d.Name, Label: d.Label, Layers: [][2]int{}, Memory: d.Memory, memoryReport: memoryOf(budget.Devices[i])})
	}
	for _, s := range pl.Stages {
		d := &r.Devices[s.Device]
		d.Layers = append(d.Layers, [2]int{s.Span.Lo, s.Span.Hi - 1})
	}
	for _, homes := range pl.Experts {
		for _, device := range homes {
			r.Devices[device].Experts++
		}
	}
	for _, f := range pl.Fit(c, q) {
		r.Devices[f.Device].Fit = &fitReport{f.Fits(), f.Bits, f.Layers}
		all := f.Fits() && (r.Fits == nil || *r.Fits)
		r.Fits = &all
	}
	r.Bound = pl.bound()
	return r
}

// bound divides the bandwidth by the bytes that a batch reads. One stream is on one device at a time;
// several keep min(streams, stages) of them busy, each with its share of the streams in a batch.
func (pl *planned) bound() *boundReport {
	if pl.bandwidth == 0 {
		return nil
	}
	rate := func(tokens int) float64 { // of one device, were all layers on it
		return float64(tokens) * float64(pl.bandwidth) / float64(place.ReadBytes(pl.config, pl.quantities.Storage, pl.quantities.Head, pl.most, tokens))
	}
	n := pl.quantities.Limits.Sequences
	busy := map[int]bool{}
	for _, s := range pl.Stages {
		busy[s.Device] = true
	}
	parallel := min(n, len(busy))
	return &boundReport{rate(1), float64(parallel) * rate((n+parallel-1)/parallel)}
}

// print writes the report for people.
func (r planReport) print(p *program) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-13s%s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "%s\n", r.Model)
	line("parameters", "%s", thousands(r.Parameters))
	line("active", "%s parameters a token, experts %s", thousands(r.ActiveParameters), r.Experts)
	files := "files"
	if r.Files == 1 {
		files = "file"
	}
	line("checkpoint", "%s bytes in %d %s", thousands(r.CheckpointBytes), r.Files, files)
	line("cache", "%s bytes a token, %s", thousands(r.KVBytesPerToken), r.KVType)
	line("reading", "%s bytes of weights a token", thousands(r.ReadBytes))
	line("hop", "%s bytes a token from a stage to the next", thousands(r.HopBytes))
	line("load", "%d x %s positions, arith %s", r.Sequences, thousands(int64(r.Context)), r.Arith)
	if r.Host.Journal > 0 {
		line("journal", "%s at boundaries of stages, in the column of the batches", humanBytes(r.Host.Journal))
	}
	if r.Bound != nil {
		line("bound", "%.3g tokens/s for one stream, %.3g for %d, by reading weights alone", r.Bound.OneStream, r.Bound.AllStreams, r.Sequences)
	}
	b.WriteString("\n" + p.tableOf([]string{"Device", "Layers", "Experts", "Weights", "Cache", "Batches", "Total", "Memory", ""}, r.rows(), 2, 3, 4, 5, 6, 7))
	for i, d := range r.Devices {
		if d.Fit != nil && !d.Fit.Fits {
			b.WriteString("\n" + d.advice(i))
		}
	}
	if r.Explain != nil {
		b.WriteString(r.Explain.text(r.Devices))
	}
	switch {
	case r.Fits == nil:
		b.WriteString("\nNo device states its memory (NAME@80GB): nothing to compare with.\n")
	case *r.Fits:
		b.WriteString("\nIt fits.\n")
	default:
		b.WriteString("\nIt does not fit.\n")
	}
	_, err := io.WriteString(p.out, b.String())
	return err
}

func (r planReport) rows() (rows [][]string) {
	cells := func(name, layers, experts string, m memoryReport) []string {
		return []string{name, layers, experts, humanBytes(m.Weights), humanBytes(m.Cache), humanBytes(m.Batches + m.Journal), humanBytes(m.Total)}
	}
	for i, d := range r.Devices {
		var layers []string
		for _, l := range d.Layers {
			layers = append(layers, fmt.Sprintf("%d-%d", l[0], l[1]))
		}
		memory, verdict := "", ""
		if d.Fit != nil {
			memory, verdict = humanBytes(d.Memory), map[bool]string{true: "fits", false: "too small"}[d.Fit.Fits]
		}
		rows = append(rows, append(cells(d.title(i), strings.Join(layers, " "), fmt.Sprint(d.Experts), d.memoryReport), memory, verdict))
	}
	if len(r.Devices) > 1 {
		rows = append(rows, append(cells("as one", "", "", r.Host), "", ""))
	}
	return rows
}

// title is a device's number with its name, or its kind where it has none.
func (d deviceReport) title(i int) string {
	if d.Label != "" {
		return fmt.Sprintf("%d %s", i, d.Label)
	}
	return fmt.Sprintf("%d %s", i, d.Name)
}

// advice says what would fit on a device that is too small.
func (d deviceReport) advice(i int) string {
	if d.Fit.Bits <= 0 {
		return fmt.Sprintf("Device %d: what is not a matrix alone is too large.\n", i)
	}
	return fmt.Sprintf("Device %d needs %s and has %s: it would fit at %.2f bits a weight, scales\nincluded; as the weights are stored it holds %d layers.\n",
		i, humanBytes(d.Total), humanBytes(d.Memory), d.Fit.Bits, d.Fit.Layers)
}
