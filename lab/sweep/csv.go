package sweep

import (
	"encoding/csv"
	"io"
	"strconv"

	"troupe/bench"
)

// columns of the CSV; a promise.
var columns = []string{
	"policy", "default", "seeds", "domain", "tokens", "loss", "perplexity", "perplexity_low", "perplexity_high",
	"change_percent", "change_low", "change_high", "kl", "top1_agreement", "experts_per_layer",
	"active_bytes_per_token", "prefill_tokens_per_second", "prefill_min", "prefill_max",
	"decode_tokens_per_second", "decode_min", "decode_max", "decode_speedup",
}

// WriteCSV writes a line for each policy, with no domain, and one for each of its domains. What was not measured, or
// is of the whole alone, is empty.
func (r *Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return err
	}
	for i := range r.Policies {
		row := &r.Policies[i]
		line := append(r.quality(row, "", row.Total), strconv.FormatInt(row.ActiveBytes, 10))
		for _, s := range []*bench.Stat{row.Prefill, row.Decode} {
			if s == nil {
				line = append(line, "", "", "")
				continue
			}
			line = append(line, exact(s.Median), exact(s.Min), exact(s.Max))
		}
		speedup := ""
		if row.Speedup > 0 {
			speedup = exact(row.Speedup)
		}
		if err := out.Write(append(line, speedup)); err != nil {
			return err
		}
		for _, domain := range r.Domains {
			line := r.quality(row, domain, row.Domains[domain])
			if err := out.Write(append(line, make([]string, len(columns)-len(line))...)); err != nil {
				return err
			}
		}
	}
	out.Flush()
	return out.Error()
}

func (r *Report) quality(row *Row, domain string, f Figures) []string {
	line := []string{row.Policy, strconv.FormatBool(row.IsDefault), strconv.Itoa(max(row.Seeds, 1)), domain, strconv.Itoa(f.Tokens), exact(f.Loss), exact(f.Perplexity)}
	line = append(append(line, ends(f.Interval)...), exact(f.Change))
	line = append(line, ends(f.ChangeInterval)...)
	if !r.Compared {
		return append(line, "", "", exact(f.ExpertsPerLayer))
	}
	return append(line, exact(f.KL), exact(f.Agreement), exact(f.ExpertsPerLayer))
}

func exact(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func ends(i *Interval) []string {
	if i == nil {
		return []string{"", ""}
	}
	return []string{exact(i.Low), exact(i.High)}
}
