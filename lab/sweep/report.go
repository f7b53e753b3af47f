package sweep

import (
	"slices"

	"troupe/bench"
	"troupe/lab"
	"troupe/router"
)

// Report is the result of a sweep; its names in JSON are a promise.
type Report struct {
	Model    string   `json:"model"` // name, by the one who asks
	Identity string   `json:"model_identity"`
	Arith    string   `json:"arith"`
	Kernels  string   `json:"kernels"`
	Devices  string   `json:"devices"`
	Texts    []string `json:"texts"`
	Layers   int      `json:"num_layers"`
	Experts  int      `json:"num_experts"`
	Default  string   `json:"default"`  // the policy that others are compared with
	Compared bool     `json:"compared"` // divergence and agreement were measured
	// Documents and Tokens are those judged, for each policy and seed.
	Documents int      `json:"documents"`
	Tokens    int      `json:"tokens"`
	Domains   []string `json:"domains"` // in the order of their first documents
	Seeds     int      `json:"seeds"`   // of policies by chance
	Streams   int      `json:"streams"` // of a trial of speed, as the next three
	Prompt    int      `json:"prompt_tokens"`
	Generate  int      `json:"generated_tokens"`
	Reps      int      `json:"repetitions"`
	Policies  []Row    `json:"policies"`
}

// Row is what was measured of a policy.
type Row struct {
	Policy    string             `json:"policy"`
	Count     int                `json:"count,omitempty"` // of a policy of that many likeliest experts in every layer and nothing else
	IsDefault bool               `json:"is_default,omitempty"`
	Seeds     int                `json:"seeds,omitempty"` // averaged; 0: the policy knows no chance
	Total     Figures            `json:"total"`
	Domains   map[string]Figures `json:"domains"`
	Documents []DocumentFigures  `json:"documents"`
	Prefill   *bench.Stat        `json:"prefill_tokens_per_second,omitempty"`
	Decode    *bench.Stat        `json:"decode_tokens_per_second,omitempty"`
	// Speedup is the median of decode over that of the default policy.
	Speedup float64 `json:"decode_speedup,omitempty"`
	// ActiveBytes is what a token alone reads of the weights: all but experts, and the experts that it used on average.
	ActiveBytes int64 `json:"active_bytes_per_token"`
}

// Figures are the quality of texts under a policy.
type Figures struct {
	Tokens     int       `json:"tokens"`
	Loss       float64   `json:"loss"` // mean of -ln p, nats a token
	Perplexity float64   `json:"perplexity"`
	Interval   *Interval `json:"perplexity_interval,omitempty"` // 95 %, by a bootstrap over documents
	// Change is that of the perplexity against the default policy, in per cent; its interval is of the same documents.
	Change         float64   `json:"change_percent"`
	ChangeInterval *Interval `json:"change_interval,omitempty"`
	KL             float64   `json:"kl"`             // mean divergence from the default policy, nats a token; 0 where not compared
	Agreement      float64   `json:"top1_agreement"` // share of tokens; 0 where not compared
	// ExpertsPerLayer is the mean number of experts that a token used in a layer.
	ExpertsPerLayer float64 `json:"experts_per_layer"`
}

// DocumentFigures are those of one document.
type DocumentFigures struct {
	Name   string `json:"name"`
	Domain string `json:"domain,omitempty"`
	Figures
}

// Report sums up a sweep of which nothing is missing, documents in their order, so that the same measurements give the
// same last digit.
func (s *Sweep) Report() Report {
	r := Report{Arith: s.Arith.String(), Layers: s.Model.Model.NumLayers, Experts: s.Model.Model.NumExperts, Default: s.Default.String(),
		Compared: s.Compare, Documents: len(s.Documents), Seeds: max(s.Seeds, 1), Streams: s.Trial.Streams, Prompt: s.Trial.Prompt,
		Generate: s.Trial.Generate, Reps: s.Trial.Repetitions, Domains: []string{}}
	for i := range s.Documents {
		r.Tokens += s.Documents[i].Judged()
		if d := s.Documents[i].Domain; d != "" && !slices.Contains(r.Domains, d) {
			r.Domains = append(r.Domains, d)
		}
	}
	base := s.pooled(s.base())
	for p := range s.Policies {
		r.Policies = append(r.Policies, s.row(p, base, r.Domains))
	}
	decode := r.Policies[s.base()].Decode
	for i := range r.Policies {
		if row := &r.Policies[i]; row.Decode != nil && decode.Median > 0 {
			row.Speedup = row.Decode.Median / decode.Median
		}
	}
	return r
}

// pooled is a policy's quality by document, mean of its seeds.
func (s *Sweep) pooled(policy int) []lab.Quality {
	list := make([]lab.Quality, len(s.Documents))
	for v := range s.variants {
		if s.variants[v].policy == policy {
			for d, q := range s.quality[v] {
				list[d].Add(*q)
			}
		}
	}
	return list
}

func (s *Sweep) row(p int, base []lab.Quality, domains []string) Row {
	policy := s.Policies[p]
	row := Row{Policy: policy.String(), IsDefault: policy.Equal(s.Default), Domains: map[string]Figures{}, Documents: []DocumentFigures{}}
	if policy.Random() {
		row.Seeds = max(s.Seeds, 1)
	}
	row.Count = s.uniform(p)
	list := s.pooled(p)
	row.Total = s.figures(list, base)
	for _, name := range domains {
		var some, other []lab.Quality
		for d := range s.Documents {
			if s.Documents[d].Domain == name {
				some, other = append(some, list[d]), append(other, base[d])
			}
		}
		row.Domains[name] = s.figures(some, other)
	}
	for d := range s.Documents {
		row.Documents = append(row.Documents, DocumentFigures{s.Documents[d].Name, s.Documents[d].Domain, s.figures(list[d:d+1], base[d:d+1])})
	}
	if s.Trial.Repetitions > 0 {
		prefill := bench.StatBy(s.speeds[p], func(v *speed) float64 { return v.prefill })
		decode := bench.StatBy(s.speeds[p], func(v *speed) float64 { return v.decode })
		row.Prefill, row.Decode = &prefill, &decode
	}
	row.ActiveBytes = bench.ActiveBytes(s.Model, s.Weights, s.Arith, row.Total.ExpertsPerLayer*float64(s.Model.Model.NumLayers))
	return row
}

// figures sums up documents, beside what the default policy makes of them.
func (s *Sweep) figures(list, base []lab.Quality) Figures {
	var q, other lab.Quality
	for i := range list {
		q.Add(list[i])
		other.Add(base[i])
	}
	f := Figures{Tokens: other.Tokens, Loss: q.MeanLoss(), Perplexity: q.Perplexity(), Change: percent(q.Perplexity(), other.Perplexity()),
		KL: q.MeanKL(), Agreement: q.Agreement(), ExpertsPerLayer: q.ExpertsPerToken() / float64(s.Model.Model.NumLayers)}
	f.Interval, f.ChangeInterval = intervals(list, base)
	return f
}

// uniform is the count of a policy that is nothing but one; 0: it is more.
func (s *Sweep) uniform(p int) int {
	if k := s.Policies[p].Most(0, s.Model.Model.NumExperts); s.Policies[p].Equal(router.Uniform(k)) {
		return k
	}
	return 0
}
