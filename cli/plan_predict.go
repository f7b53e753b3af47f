package main

import (
	"fmt"
	"strings"

	"troupe/stages/place"
)

// hostReport is what is known of a machine. 0: not stated.
type hostReport struct {
	Name      string  `json:"name,omitempty"`
	Address   string  `json:"address"` // "": this one
	Latency   float64 `json:"link_latency,omitempty"`
	Link      float64 `json:"link_bandwidth,omitempty"`
	Bandwidth float64 `json:"bandwidth,omitempty"` // of all its devices together
	Flops     float64 `json:"flops,omitempty"`
}

// spareReport is a device that a strategy has left out.
type spareReport struct {
	Device string `json:"device"`
	Why    string `json:"why"`
}

// predictedReport is place.Forecast. Rates are tokens a second, times are seconds.
type predictedReport struct {
	OneStream float64           `json:"one_stream"`
	Streams   float64           `json:"all_streams"`
	Groups    int               `json:"batches"` // that the streams are dealt over
	Prefill   float64           `json:"prefill,omitempty"`
	Limit     string            `json:"limit"` // what bounds all streams
	Stages    []predictedStage  `json:"stages"`
	Crossings int               `json:"link_crossings"`
	Bytes     float64           `json:"link_bytes_per_token"`
	Unknown   []string          `json:"links_not_stated,omitempty"`
	Context   int               `json:"context"`
	All       *predictedReplica `json:"replicas,omitempty"` // all together
}

// predictedStage is what one token of one stream takes.
type predictedStage struct {
	Layers  float64 `json:"layers"`
	Experts float64 `json:"experts"`
	Link    float64 `json:"link"`
}

type predictedReplica struct {
	Replicas int     `json:"count"`
	Streams  float64 `json:"all_streams"`
	Prefill  float64 `json:"prefill,omitempty"`
}

// traffic is what a prediction is for.
func (pl *planned) traffic() place.Traffic {
	return place.Traffic{Streams: pl.quantities.Limits.Sequences, Context: pl.context / 2, Choices: pl.most}
}

// predict adds the prediction, where every device states or is known to read so fast.
func (r *planReport) predict(pl *planned) {
	if !pl.forecasts {
		return
	}
	t := pl.traffic()
	f, err := pl.Forecast(pl.config, pl.quantities, t)
	if err != nil {
		r.silent = strings.TrimPrefix(err.Error(), "place: ")
		return
	}
	p := &predictedReport{OneStream: f.OneStream, Streams: f.Streams, Groups: f.Groups, Prefill: f.Prefill, Limit: f.Limit,
		Crossings: f.Crossings, Bytes: f.Bytes, Unknown: f.Unknown, Context: t.Context}
	for _, s := range f.Stages {
		p.Stages = append(p.Stages, predictedStage{s.Compute, s.Experts, s.Link})
	}
	r.Predicted = p
}

// together sums the predictions of replicas up.
func (r *planReport) together() {
	all := &predictedReplica{Replicas: len(r.Replicas) + 1}
	for _, one := range append([]planReport{*r}, r.Replicas...) {
		if one.Predicted == nil {
			return
		}
		all.Streams += one.Predicted.Streams
		all.Prefill += one.Predicted.Prefill
	}
	r.Predicted.All = all
}

// line is the prediction in short.
func (p *predictedReport) line(streams int) string {
	s := tokenRate(p.OneStream) + " tokens/s for one stream"
	if streams > 1 {
		s += fmt.Sprintf(", %s for %d in %s", tokenRate(p.Streams), streams, pluralOf(p.Groups, "batch", "batches"))
	}
	if p.Prefill > 0 {
		s += ", prefill " + tokenRate(p.Prefill)
	}
	return s
}

// text explains the prediction.
func (p *predictedReport) text(r *planReport) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nPredicted, %s\n", p.line(r.Sequences))
	for i, s := range p.Stages {
		fmt.Fprintf(&b, "  stage %-4d%8s  layers %s, experts %s", i, place.FormatLatency(s.Layers+s.Experts+s.Link), place.FormatLatency(s.Layers), place.FormatLatency(s.Experts))
		if s.Link > 0 {
			fmt.Fprintf(&b, ", the way there and back %s", place.FormatLatency(s.Link))
		}
		b.WriteString("\n")
	}
	if p.Crossings > 0 {
		fmt.Fprintf(&b, "  links     %8s  a token, in %d crossings\n", humanBytes(int64(p.Bytes)), p.Crossings)
	}
	for _, h := range r.Hosts {
		if h.Latency > 0 || h.Link > 0 {
			way := place.FormatLatency(h.Latency)
			if h.Link > 0 {
				way += " and " + place.FormatRate(h.Link) + "/s"
			}
			fmt.Fprintf(&b, "  to %s: %s each way\n", h.Address, way)
		}
	}
	if len(p.Unknown) > 0 {
		b.WriteString(wrapAt("  ", fmt.Sprintf("the way to %s is not stated, and counted as if it cost nothing: --link", strings.Join(p.Unknown, ", ")), 2) + "\n")
	}
	b.WriteString(wrapAt("  ", fmt.Sprintf("bounded by %s; for tokens that look back on %s positions, with reading, calculating and links alone: turns of actors and sampling come on top",
		p.Limit, thousands(int64(p.Context))), 2) + "\n")
	return b.String()
}

// tokenRate writes tokens a second to three digits, or whole.
func tokenRate(v float64) string {
	if v < 1000 {
		return fmt.Sprintf("%.3g", v)
	}
	return thousands(int64(v))
}

func pluralOf(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
