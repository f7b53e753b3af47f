package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/sim"
	"troupe/stages/place"
)

// simulateFlags have the load of a plan run under a virtual clock.
func simulateFlags(category string) []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "simulate", Usage: "run engine, scheduler and links under a virtual clock: rate, latencies, and where the time goes", Category: category},
		&cli.IntFlag{Name: "streams", Usage: "requests that are handed in at the beginning", DefaultText: "as --max-batch", Category: category},
		&cli.IntFlag{Name: "n-prompt", Value: 128, Usage: "tokens of each prompt", Category: category},
		&cli.IntFlag{Name: "n-gen", Value: 32, Usage: "new tokens of each", Category: category},
		&cli.StringFlag{Name: "trace", Usage: "`FILE` for what devices do in it, as Chrome's trace viewer reads it", TakesFile: true, Category: category},
	}
}

// mostSimulated bounds streams and their tokens: what is simulated is a model of a load, not a day.
const mostSimulated = 1 << 16

// simulatedReport is sim.Report. Times are seconds, shares are of the simulated time.
type simulatedReport struct {
	Streams         int             `json:"streams"`
	Prompt          int             `json:"prompt_tokens"`
	Tokens          int             `json:"new_tokens"`
	Seconds         float64         `json:"seconds"`
	Steady          bool            `json:"steady"` // what follows first_token is of the time when all streams have new tokens
	TokensPerSecond float64         `json:"tokens_per_second"`
	Prefill         float64         `json:"prefill_tokens_per_second"`
	First           latencyReport   `json:"first_token"`
	Between         latencyReport   `json:"between_tokens"`
	Compute         float64         `json:"compute_per_round"`
	Wire            float64         `json:"wire_per_round"`
	Latency         float64         `json:"latency_per_round"`
	Queue           float64         `json:"link_queue_per_round"`
	Messages        float64         `json:"messages_per_token"`
	Bytes           float64         `json:"link_bytes_per_token"`
	Hosts           []simulatedHost `json:"hosts"`
}

type latencyReport struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

type simulatedHost struct {
	Address  string            `json:"address"` // "": the head's
	Devices  []simulatedDevice `json:"devices"`
	Sent     int64             `json:"sent_bytes"`
	Received int64             `json:"received_bytes"`
	Link     float64           `json:"link_busy"`
}

type simulatedDevice struct {
	Number int     `json:"number"` // of the plan's devices at the head, of the worker's own on a worker
	Busy   float64 `json:"busy"`
}

// simulate runs the load of a plan.
func (p *program) simulate(c *cli.Context, pl *planned) (_ *simulatedReport, err error) {
	if !c.Bool("simulate") {
		for _, name := range []string{"streams", "n-prompt", "n-gen", "trace"} {
			if c.IsSet(name) {
				return nil, usagef("--%s: of a simulation: add --simulate", name)
			}
		}
		return nil, nil
	}
	x := sim.Case{Model: pl.config, Plan: pl.Plan, Quantities: pl.quantities, Policy: pl.policy, Streams: pl.quantities.Limits.Sequences}
	if len(pl.others) > 0 {
		return nil, badFlag("simulate", fmt.Errorf("a plan with %d replicas: want one: each is as fast by itself", len(pl.others)+1))
	}
	x.Quantities.Batches = batchesOf(pl.Plan)
	if c.IsSet("streams") {
		if x.Streams, err = intWithin(c, "streams", mostSimulated); err != nil {
			return nil, err
		}
	}
	if x.Prompt, err = intWithin(c, "n-prompt", mostSimulated); err != nil {
		return nil, err
	}
	if x.Tokens, err = intWithin(c, "n-gen", mostSimulated); err != nil {
		return nil, err
	}
	if n := pl.config.SequenceLen; x.Prompt+x.Tokens > n || x.Tokens < 2 {
		return nil, badFlag("n-gen", fmt.Errorf("%d behind %d of the prompt: want at least 2, and %d at most together, as the model has it", x.Tokens, x.Prompt, n))
	}
	if _, err := pl.Forecast(pl.config, pl.quantities, pl.traffic()); err != nil {
		return nil, badFlag("simulate", errors.New(strings.TrimPrefix(err.Error(), "place: no forecast: ")))
	}
	if path := c.String("trace"); path != "" {
		trace, err := newTraceFile(path, pl.Plan)
		if err != nil {
			return nil, err
		}
		x.Trace = trace.turn
		return p.simulated(c.Context, x, trace)
	}
	return p.simulated(c.Context, x, nil)
}

// simulated runs a case and closes its trace.
func (p *program) simulated(ctx context.Context, x sim.Case, trace *traceFile) (*simulatedReport, error) {
	r, err := sim.Predict(ctx, x)
	if err := errors.Join(err, trace.Close()); err != nil {
		return nil, err
	}
	s := &simulatedReport{Streams: x.Streams, Prompt: x.Prompt, Tokens: x.Tokens, Seconds: r.Seconds, Steady: r.Steady, TokensPerSecond: r.TokensPerSecond, Prefill: r.Prefill,
		First: latencyReport(r.First), Between: latencyReport(r.Between), Compute: r.Compute, Wire: r.Wire, Latency: r.Latency, Queue: r.Queue,
		Messages: r.Messages, Bytes: r.Bytes}
	for _, h := range r.Hosts {
		one := simulatedHost{Address: h.Address, Sent: h.Sent, Received: h.Received, Link: h.Link, Devices: []simulatedDevice{}}
		for _, d := range h.Devices {
			one.Devices = append(one.Devices, simulatedDevice(d))
		}
		s.Hosts = append(s.Hosts, one)
	}
	return s, nil
}

// text is the report for people.
func (s *simulatedReport) text(p *program) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nSimulated, %s with prompts of %d and %d new tokens each\n", plural(s.Streams, "stream"), s.Prompt, s.Tokens)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-13s%s\n", name, fmt.Sprintf(format, args...))
	}
	took := func(seconds float64) string { return place.FormatLatency(seconds) }
	line("rate", "%s tokens/s of all streams, prefill %s", tokenRate(s.TokensPerSecond), tokenRate(s.Prefill))
	line("first token", "%s at the median, %s at the 99th percentile", took(s.First.P50), took(s.First.P99))
	line("next token", "%s at the median, %s at the 99th percentile", took(s.Between.P50), took(s.Between.P99))
	line("a round", "devices %s, bytes on links %s, latencies %s, waiting for links %s", took(s.Compute), took(s.Wire), took(s.Latency), took(s.Queue))
	line("links", "%s in %.3g messages a token", humanBytes(int64(s.Bytes)), s.Messages)
	var rows [][]string
	for _, h := range s.Hosts {
		name, link := h.Address, percent(h.Link)
		if name == "" {
			name = "this host"
		}
		if h.Sent+h.Received == 0 {
			link = ""
		}
		var busy []string
		for _, d := range h.Devices {
			busy = append(busy, percent(d.Busy))
		}
		rows = append(rows, []string{name, strings.Join(busy, " "), link, humanBytes(h.Sent), humanBytes(h.Received)})
	}
	b.WriteString("\n" + p.tableOf([]string{"Host", "Devices busy", "Link busy", "Sent", "Received"}, rows, 1, 2, 3, 4) + "\n")
	when := "All but the first tokens is of the time in which every stream has new ones."
	if !s.Steady {
		when = "At no time have all streams new tokens for long: all of it is of the whole run."
	}
	b.WriteString(wrapAt("", "A round is a token of every stream, with all that devices and links do for it; what goes on at the same time counts each. "+when, 0) + "\n")
	return b.String()
}
