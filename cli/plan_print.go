package main

import (
	"fmt"
	"io"
	"slices"
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

	Hosts       []hostReport     `json:"hosts,omitempty"`
	HeadJournal int64            `json:"head_journal,omitempty"` // of what stages on workers hand on, at the head
	LeftOut     []spareReport    `json:"left_out,omitempty"`     // devices that the strategy does without
	Predicted   *predictedReport `json:"predicted_tokens_per_second,omitempty"`
	Replicas    []planReport     `json:"replicas,omitempty"` // besides the first
	Simulated   *simulatedReport `json:"simulated,omitempty"`

	silent string // why nothing is predicted
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
	Host    string   `json:"host,omitempty"`   // address of the worker that has it
	Number  int      `json:"number,omitempty"` // of the worker's devices
	Label   string   `json:"label,omitempty"`  // the name in a placement file
	Layers  [][2]int `json:"layers"`           // of its stages, first and last
	Experts int      `json:"experts"`          // that live here, of all layers
	memoryReport
	Bandwidth float64    `json:"bandwidth,omitempty"` // bytes a second
	Flops     float64    `json:"flops,omitempty"`
	Memory    int64      `json:"memory"` // 0: not stated
	Fit       *fitReport `json:"fit"`    // null: not stated
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
		r.Devices = append(r.Devices, deviceReport{Name: d.Name, Host: d.Host, Number: d.Number, Label: d.Label, Bandwidth: d.Bandwidth, Flops: d.Flops, Layers: [][2]int{}, Memory: d.Memory, memoryReport: memoryOf(budget.Devices[i])})
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
	for _, h := range pl.Hosts {
		r.Hosts = append(r.Hosts, hostReport{h.Name, h.Address, h.Link.Latency, h.Link.Bandwidth, h.Bandwidth, h.Flops})
	}
	r.HeadJournal = budget.Head
	for i, d := range pl.Spare {
		r.LeftOut = append(r.LeftOut, spareReport{d.String(), pl.why.Spare[i]})
	}
	r.Bound = pl.bound()
	r.predict(pl)
	return r
}

// reports is the report of all replicas.
func (pl *planned) reports(explain bool) planReport {
	var all []planReport
	for _, one := range append([]placed{pl.placed}, pl.others...) {
		x := *pl
		x.placed = one
		x.quantities.Batches = batchesOf(x.Plan)
		r := x.report()
		if explain {
			r.explain(&x)
			if len(all) > 0 {
				r.Explain.Notes = []string{} // they are of all replicas
			}
		}
		all = append(all, r)
	}
	r := all[0]
	r.Replicas = all[1:]
	if len(r.Replicas) > 0 {
		r.together()
	}
	return r
}

// batchesOf is how many batches are in flight, as actors.Start has it.
func batchesOf(p place.Plan) int {
	if n := len(p.Stages); n > 1 || len(p.Devices) > 1 {
		return n + 1
	}
	return 1
}

// setDevices gives the devices of all replicas.
func (pl *planned) setDevices(all []place.Device) {
	n := len(pl.Devices)
	pl.Devices, all = all[:n:n], all[n:]
	for i := range pl.others {
		n := len(pl.others[i].Devices)
		pl.others[i].Devices, all = all[:n:n], all[n:]
	}
}

// bound divides the bandwidth by the bytes that a batch reads. One stream is on one device at a time;
// several keep min(streams, stages) of them busy, each with its share of the streams in a batch.
func (pl *planned) bound() *boundReport {
	if len(pl.rates.bandwidth) != 1 {
		return nil
	}
	rate := func(tokens int) float64 { // of one device, were all layers on it
		return float64(tokens) * pl.rates.bandwidth[0] / float64(place.ReadBytes(pl.config, pl.quantities.Storage, pl.quantities.Head, pl.most, tokens))
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
	if r.Host.Journal > r.HeadJournal {
		line("journal", "%s at boundaries of stages, in the column of the batches", humanBytes(r.Host.Journal-r.HeadJournal))
	}
	if r.Bound != nil {
		line("bound", "%.3g tokens/s for one stream, %.3g for %d, by reading weights alone", r.Bound.OneStream, r.Bound.AllStreams, r.Sequences)
	}
	if r.HeadJournal > 0 {
		line("journal", "%s at the head, of what stages on workers hand on", humanBytes(r.HeadJournal))
	}
	if r.Predicted != nil {
		line("predicted", "%s", r.Predicted.line(r.Sequences))
		if all := r.Predicted.All; all != nil {
			line("", "%s tokens/s for %d in %d replicas together", tokenRate(all.Streams), all.Replicas*r.Sequences, all.Replicas)
		}
	}
	for i, one := range append([]planReport{r}, r.Replicas...) {
		if len(r.Replicas) > 0 {
			fmt.Fprintf(&b, "\nReplica %d\n", i)
		}
		one.tables(p, &b)
	}
	b.WriteString(r.verdict())
	if r.Simulated != nil {
		b.WriteString(r.Simulated.text(p))
	}
	_, err := io.WriteString(p.out, b.String())
	return err
}

// tables writes what is on the devices.
func (r planReport) tables(p *program, b *strings.Builder) {
	b.WriteString("\n" + p.tableOf([]string{"Device", "Layers", "Experts", "Weights", "Cache", "Batches", "Total", "Memory", ""}, r.rows(), 2, 3, 4, 5, 6, 7))
	for i, d := range r.Devices {
		if d.Fit != nil && !d.Fit.Fits {
			b.WriteString("\n" + d.advice(i))
		}
	}
	for _, spare := range r.LeftOut {
		b.WriteString("\n" + wrapAt("", fmt.Sprintf("Left out: %s. %s.", spare.Device, spare.Why), 0) + "\n")
	}
	if r.Explain == nil {
		return
	}
	b.WriteString(r.Explain.text(r.Devices))
	switch {
	case r.Predicted != nil:
		b.WriteString(r.Predicted.text(&r))
	case r.silent != "":
		b.WriteString("\n" + wrapAt("", "Nothing is predicted: "+r.silent+" (--bandwidth, --measure).", 0) + "\n")
	}
}

// verdict says whether everything fits, on the devices of all replicas.
func (r planReport) verdict() string {
	stated, fits := false, true
	for _, one := range append([]planReport{r}, r.Replicas...) {
		if one.Fits != nil {
			stated, fits = true, fits && *one.Fits
		}
	}
	switch {
	case !stated:
		return "\nNo device states its memory (NAME@80GB): nothing to compare with.\n"
	case fits:
		return "\nIt fits.\n"
	}
	return "\nIt does not fit.\n"
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
	if len(r.Devices) > 1 && !slices.ContainsFunc(r.Devices, func(d deviceReport) bool { return d.Host != "" }) {
		rows = append(rows, append(cells("as one", "", "", r.Host), "", ""))
	}
	return rows
}

// title is a device's number with its name, or its kind where it has none.
func (d deviceReport) title(i int) string {
	if d.Label != "" {
		return fmt.Sprintf("%d %s", i, d.Label)
	}
	if d.Host != "" {
		return fmt.Sprintf("%d %s/%d", i, d.Host, d.Number)
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
