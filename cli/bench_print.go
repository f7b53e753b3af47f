package main

import (
	"fmt"
	"io"
	"strings"

	"troupe/bench"
)

// printBench prints a measurement, as JSON or as tables.
func (p *program) printBench(r *bench.Report, name string, asJSON bool) error {
	noisy, rounds := r.Noisy, len(r.Rounds)
	for _, c := range r.Compared {
		noisy, rounds = noisy+c.Noisy, rounds+len(c.Rounds)
	}
	if noisy > 0 {
		p.notice("%d of %d rounds are noisy: other programs used the processors", noisy, rounds)
	}
	if r.Incomplete {
		p.notice("stopped before all rounds were done")
	}
	if asJSON {
		return writeJSON(p.out, r)
	}
	var b strings.Builder
	streams := ""
	if r.Streams > 1 {
		streams = fmt.Sprintf(", %d streams", r.Streams)
	}
	fmt.Fprintf(&b, "%s: %d tokens of prompt, %d new ones%s\n", name, r.PromptTokens, r.GeneratedTokens, streams)
	m := r.Machine
	machine := fmt.Sprintf("%s, %d cores", strings.TrimPrefix(m.Processor+", "+m.Platform, ", "), m.Cores)
	if len(m.Features) > 0 {
		machine += ": " + strings.Join(m.Features, " ")
	}
	b.WriteString(wrapAt("", machine, 2))
	b.WriteString("\n")
	p.benchResult(&b, &r.Result)
	for i := range r.Compared {
		c := &r.Compared[i]
		p.benchResult(&b, &c.Result)
		fmt.Fprintf(&b, "\nSpeed over that of %s, %s:\n  prefill  %s\n  decode   %s\n", r.Kernels, r.Arith, times(c.PrefillSpeedup), times(c.DecodeSpeedup))
	}
	if r.Resident > 0 {
		fmt.Fprintf(&b, "\n%s of memory in use\n", humanBytes(r.Resident))
	}
	_, err := io.WriteString(p.out, b.String())
	return err
}

func times(s bench.Stat) string { return fmt.Sprintf("%.2f (%.2f to %.2f)", s.Median, s.Min, s.Max) }

// benchResult writes the tables of one subject.
func (p *program) benchResult(b *strings.Builder, r *bench.Result) {
	threads := plural(r.Threads, "thread")
	if r.ThreadsPrefill != r.Threads {
		threads = fmt.Sprintf("%s (%d for prefill)", threads, r.ThreadsPrefill)
	}
	fmt.Fprintf(b, "\n%s, %s, %s\n\n", r.Kernels, r.Arith, threads)
	row := func(name string, s bench.Stat, unit float64) []string {
		return []string{name, digits(s.Median / unit), digits(s.Min / unit), digits(s.Max / unit)}
	}
	rows := [][]string{row("Prefill, tokens/s", r.Prefill, 1), row("Decode, tokens/s", r.Decode, 1)}
	if !r.Away {
		rows = append(rows, row("Memory, GB/s read", r.ReadBandwidth, 1e9), row("Peak, 10⁹ multiply-adds/s", r.MultiplyPeak, 1e9))
	}
	b.WriteString(p.tableOf([]string{"", "Median", "Min", "Max"}, rows, 1, 2, 3))
	if r.Away {
		fmt.Fprintf(b, "\n%s read and %s multiply-adds for a token, on workers: no probes\n", humanBytes(r.ActiveBytes), thousands(r.MACs))
		return
	}
	fmt.Fprintf(b, "\nDecode / memory  %.2f   %s read for a token\n", r.DecodeRatio, humanBytes(r.ActiveBytes))
	fmt.Fprintf(b, "Prefill / peak   %.2f   %s multiply-adds for a token\n", r.PrefillRatio, thousands(r.MACs))
	if r.MatmulRatio > 0 {
		fmt.Fprintf(b, "  matrices only  %.2f\n", r.MatmulRatio)
	}
	fmt.Fprintf(b, "The peak is that of %s.\n", r.MultiplyUnit)
	if len(r.Ops) == 0 {
		return
	}
	rows = nil
	for _, op := range r.Ops {
		rows = append(rows, []string{op.Op, fmt.Sprintf("%.1f", op.DecodeMicros), percent(op.DecodeShare), fmt.Sprintf("%.2f", op.PrefillMicros), percent(op.PrefillShare)})
	}
	b.WriteString("\n" + p.tableOf([]string{"Op", "Decode µs/token", "Share", "Prefill µs/token", "Share"}, rows, 1, 2, 3, 4))
}

// digits shows three digits, and more where they stand before the point.
func digits(f float64) string {
	if f >= 1000 {
		return thousands(int64(f + 0.5))
	}
	return fmt.Sprintf("%.3g", f)
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return thousands(int64(n)) + " " + what + "s"
}
