package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"troupe/router"
)

// routingReport is what routers have counted, as JSON; its names are a promise.
type routingReport struct {
	Layers []layerRouting `json:"layers"`
}

// layerRouting is that of a layer; means are over its tokens, 0 without any.
type layerRouting struct {
	Layer           int       `json:"layer"`
	Tokens          uint64    `json:"tokens"`
	Undefined       uint64    `json:"undefined,omitempty"` // with probabilities that are not finite, counted nowhere else
	Used            []uint64  `json:"used"`                // [experts]: tokens that used it
	GateMass        []float64 `json:"gate_mass"`           // [experts]: sum of the weights of its outputs
	ExpertsPerToken float64   `json:"experts_per_token"`
	Counts          []uint64  `json:"counts"`      // [experts+1]: tokens by how many experts they used
	Entropy         float64   `json:"entropy"`     // mean, of the router's probabilities, nats
	Margin          float64   `json:"margin"`      // mean, of the last chosen probability less the best one left out
	MarginTokens    uint64    `json:"margin_rows"` // that left one out
	Ratio           []uint64  `json:"ratio"`       // second probability by the first, in 16 bins from 0 to 1
	// Together is [experts][experts]: tokens that used both; left out from 65 experts on.
	Together [][]uint64 `json:"together,omitempty"`
}

// mostTogether bounds the matrices of a report: 64 layers of 64 experts are some megabytes.
const mostTogether = 64

func routingReportOf(c *router.Counters) routingReport {
	r := routingReport{Layers: []layerRouting{}}
	for i := range c.Layers {
		l := &c.Layers[i]
		out := layerRouting{Layer: i, Tokens: l.Rows, Undefined: l.Undefined, Used: l.Used, ExpertsPerToken: l.MeanCount(), Counts: l.Counts,
			Entropy: l.MeanEntropy(), Margin: l.MeanMargin(), MarginTokens: l.MarginRows, Ratio: l.Ratio[:]}
		for _, m := range l.Mass {
			out.GateMass = append(out.GateMass, m.Float())
		}
		for a := range l.Used {
			if len(l.Used) > mostTogether {
				break
			}
			row := make([]uint64, len(l.Used))
			for b := range row {
				row[b] = l.Pair(a, b)
			}
			out.Together = append(out.Together, row)
		}
		r.Layers = append(r.Layers, out)
	}
	return r
}

// routing reports what has been counted since the last reset; reset has later reports begin here.
func (s *steering) routing(ctx context.Context, reset bool) (routingReport, error) {
	s.counting.Lock()
	defer s.counting.Unlock()
	now, err := s.engine.routing(ctx)
	if err != nil {
		return routingReport{}, err
	}
	since := now.Sub(&s.base)
	if reset {
		s.base = now
	}
	return routingReportOf(&since), nil
}

// fewExperts have a column each.
const fewExperts = 8

// printRouting writes the figures for people, a line a layer.
func (p *program) printRouting(r routingReport, w io.Writer) error {
	header := []string{"Layer", "Tokens", "Used", "Entropy", "Margin"}
	few := len(r.Layers) > 0 && len(r.Layers[0].Used) <= fewExperts
	right := []int{0, 1, 2, 3, 4}
	if few {
		for e := range r.Layers[0].Used {
			right = append(right, len(header))
			header = append(header, fmt.Sprint(e))
		}
	} else {
		header = append(header, "Most", "Least")
	}
	var rows [][]string
	for _, l := range r.Layers {
		row := []string{fmt.Sprint(l.Layer), thousands(int64(l.Tokens)), fmt.Sprintf("%.2f", l.ExpertsPerToken), fmt.Sprintf("%.3f", l.Entropy), fmt.Sprintf("%.3f", l.Margin)}
		if few {
			for e := range l.Used {
				row = append(row, fmt.Sprintf("%.0f", l.share(e)))
			}
		} else {
			row = append(row, l.extremes()...)
		}
		rows = append(rows, row)
	}
	_, err := io.WriteString(w, p.tableOf(header, rows, right...)+routingLegend)
	return err
}

const routingLegend = `Used: experts a token. By expert: per cent of the tokens that used it. Entropy:
of the router's probabilities, in nats. Margin: probability of the last expert
used less that of the best one left out.
`

// share is the per cent of the tokens that used an expert.
func (l layerRouting) share(expert int) float64 {
	return 100 * float64(l.Used[expert]) / float64(max(l.Tokens, 1))
}

// extremes are the three experts that were used most, and the three that were used least, with their shares.
func (l layerRouting) extremes() []string {
	order := make([]int, len(l.Used))
	for e := range order {
		order[e] = e
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return int(min(max(int64(l.Used[b])-int64(l.Used[a]), -1), 1))
	})
	say := func(list []int) string {
		var parts []string
		for _, e := range list {
			parts = append(parts, fmt.Sprintf("%d: %.0f %%", e, l.share(e)))
		}
		return strings.Join(parts, ", ")
	}
	last := slices.Clone(order[len(order)-3:])
	slices.Reverse(last)
	return []string{say(order[:3]), say(last)}
}
