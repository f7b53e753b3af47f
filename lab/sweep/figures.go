package sweep

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"troupe/lab/plot"
)

// Named is a figure and the name of its file, without an ending.
type Named struct {
	Name string
	*plot.Figure
}

const expertsAxis = "experts a token and layer (mean)"

// Figures draws the report: quality against experts, by domain, speed against experts, and quality against bytes.
func (r *Report) Figures() ([]Named, error) {
	var list []Named
	for _, f := range []struct {
		name string
		draw func() *plot.Chart
	}{{"quality", r.byExperts}, {"change", r.changes}, {"domains", r.domains}, {"speed", r.speed}, {"bytes", r.bytes}} {
		chart := f.draw()
		if chart == nil {
			continue
		}
		figure, err := chart.Figure()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		list = append(list, Named{f.name, figure})
	}
	return list, nil
}

// note says what was measured.
func (r *Report) note(more string) string {
	n := fmt.Sprintf("%s, %s, %s of %s", r.Model, r.Arith, several(r.Tokens, "token"), several(r.Documents, "document"))
	return n + more
}

// several is a number with thousands apart, and what is counted.
func several(n int, what string) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if n != 1 {
		what += "s"
	}
	return s + " " + what
}

// offScale is how many times the perplexity of the worst count, or without counts of the best policy, one has that is
// left out of figures of quality: in one that shows it, all others lie on a line.
const offScale = 1.5

// shown is the policies that figures of quality show; left names the others, with their perplexity.
func (r *Report) shown() (rows []*Row, left string) {
	worst := 0.0
	for _, row := range r.Policies {
		if row.Count > 0 {
			worst = max(worst, row.Total.Perplexity)
		}
	}
	if worst == 0 {
		worst = slices.MinFunc(r.Policies, func(a, b Row) int { return cmp.Compare(a.Total.Perplexity, b.Total.Perplexity) }).Total.Perplexity
	}
	var names []string
	for i := range r.Policies {
		if row := &r.Policies[i]; row.Total.Perplexity <= offScale*worst {
			rows = append(rows, row)
		} else {
			names = append(names, fmt.Sprintf("%s (%.4g)", row.Policy, row.Total.Perplexity))
		}
	}
	if len(names) > 0 {
		left = "; off the scale: " + strings.Join(names, ", ")
	}
	return rows, left
}

// split parts policies that are nothing but a count from others, each by their mean number of experts.
func split(rows []*Row) (counts, others []*Row) {
	for _, row := range rows {
		if row.Count > 0 {
			counts = append(counts, row)
		} else {
			others = append(others, row)
		}
	}
	order := func(a, b *Row) int { return cmp.Compare(a.Total.ExpertsPerLayer, b.Total.ExpertsPerLayer) }
	slices.SortStableFunc(counts, order)
	slices.SortStableFunc(others, order)
	return counts, others
}

// series are policies as points: y and the ends of its bar by row.
func series(name string, rows []*Row, x func(*Row) float64, y func(*Row) (y, low, high float64)) plot.Series {
	s := plot.Series{Name: name}
	for _, row := range rows {
		v, low, high := y(row)
		s.X, s.Y, s.Low, s.High = append(s.X, x(row)), append(s.Y, v), append(s.Low, low), append(s.High, high)
	}
	return s
}

func experts(r *Row) float64 { return r.Total.ExpertsPerLayer }

func perplexity(r *Row) (y, low, high float64) {
	y = r.Total.Perplexity
	if i := r.Total.Interval; i != nil {
		return y, i.Low, i.High
	}
	return y, y, y
}

// pair is counts as a line and other policies as points with their names.
func pair(rows []*Row, x func(*Row) float64, y func(*Row) (y, low, high float64)) (list []plot.Series) {
	counts, others := split(rows)
	if len(counts) > 0 {
		s := series("", counts, x, y)
		s.Line = true
		if len(others) > 0 {
			s.Name = "counts"
		}
		list = append(list, s)
	}
	if len(others) > 0 {
		s := series("other policies", others, x, y)
		for _, row := range others {
			s.Labels = append(s.Labels, row.Policy)
		}
		list = append(list, s)
	}
	return list
}

func (r *Report) byExperts() *plot.Chart {
	rows, left := r.shown()
	note := ""
	if r.Documents > 1 {
		note = "; bars: 95 %, bootstrap over documents"
	}
	return &plot.Chart{Title: "Perplexity by experts", Note: r.note(note + left), X: expertsAxis, Y: "perplexity", WholeX: true, Series: pair(rows, experts, perplexity)}
}

// changes is where policies differ: bars of levels hold what documents have in common, these do not.
func (r *Report) changes() *plot.Chart {
	rows, left := r.shown()
	note := "; against experts " + r.Default
	if r.Documents > 1 {
		note += "; bars: 95 %, bootstrap over documents in pairs"
	}
	return &plot.Chart{Title: "Change of perplexity by experts", Note: r.note(note + left), X: expertsAxis, Y: "change of perplexity (%)", WholeX: true,
		Series: pair(rows, experts, func(r *Row) (y, low, high float64) {
			y = r.Total.Change
			if i := r.Total.ChangeInterval; i != nil {
				return y, i.Low, i.High
			}
			return y, y, y
		})}
}

// maxLines is how many names fit beside a figure.
const maxLines = 20

// domains compares each domain with itself under the default policy: levels lie too far apart.
func (r *Report) domains() *plot.Chart {
	rows, _ := r.shown()
	counts, _ := split(rows)
	if len(counts) < 2 || len(r.Domains) == 0 {
		return nil
	}
	note := "; against experts " + r.Default
	if n := len(r.Domains); n > maxLines {
		note += fmt.Sprintf("; the first %d of %d domains", maxLines, n)
	}
	c := &plot.Chart{Title: "Perplexity by domain and experts", Note: r.note(note),
		X: expertsAxis, Y: "change of perplexity (%)", WholeX: true}
	for _, name := range r.Domains[:min(len(r.Domains), maxLines)] {
		s := plot.Series{Name: name, Line: true}
		for _, row := range counts {
			s.X, s.Y = append(s.X, experts(row)), append(s.Y, row.Domains[name].Change)
		}
		c.Series = append(c.Series, s)
	}
	return c
}

// speed has decode beside what the bytes would have it be, measured from the default policy.
func (r *Report) speed() *plot.Chart {
	var base *Row
	all := make([]*Row, len(r.Policies))
	for i := range all {
		if all[i] = &r.Policies[i]; all[i].IsDefault {
			base = all[i]
		}
	}
	if base == nil || base.Decode == nil {
		return nil
	}
	c := &plot.Chart{Title: "Decode speed by experts", X: expertsAxis, Y: "new tokens a second", WholeX: true, FromZeroY: true,
		Note:   fmt.Sprintf("%s, %s, %s, %s; bars: slowest and fastest of %d", r.Model, r.Arith, r.Devices, several(r.Streams, "stream"), r.Reps),
		Series: pair(all, experts, func(r *Row) (float64, float64, float64) { return r.Decode.Median, r.Decode.Min, r.Decode.Max })}
	if len(c.Series) > 0 && c.Series[0].Line {
		c.Series[0].Name = "measured"
	}
	promise := plot.Series{Name: "by bytes", Line: true, Dashed: true, NoMarks: true}
	slices.SortStableFunc(all, func(a, b *Row) int { return cmp.Compare(experts(a), experts(b)) })
	for _, row := range all {
		promise.X = append(promise.X, experts(row))
		promise.Y = append(promise.Y, base.Decode.Median*float64(base.ActiveBytes)/float64(row.ActiveBytes))
	}
	c.Series = append(c.Series, promise)
	return c
}

func megabytes(r *Row) float64 { return float64(r.ActiveBytes) / 1e6 }

// bytes has quality against cost, and joins the policies that no other one beats in both.
func (r *Report) bytes() *plot.Chart {
	rows, left := r.shown()
	c := &plot.Chart{Title: "Perplexity by bytes that a token reads", Note: r.note("; joined: no other is better in both" + left),
		X: "active weights a token (MB)", Y: "perplexity"}
	front := series("front", r.front(), megabytes, perplexity)
	front.Low, front.High, front.Line, front.NoMarks = nil, nil, true, true
	counts, others := split(rows)
	for _, kind := range []struct {
		name string
		rows []*Row
	}{{"counts", counts}, {"other policies", others}} {
		if len(kind.rows) == 0 {
			continue
		}
		s := series(kind.name, kind.rows, megabytes, perplexity)
		s.Low, s.High = nil, nil
		for _, row := range kind.rows {
			s.Labels = append(s.Labels, strings.ReplaceAll(row.Policy, "+", " + "))
		}
		c.Series = append(c.Series, s)
	}
	c.Series = append(c.Series, front)
	return c
}

// front is the policies that no other one beats in perplexity without reading more, by bytes.
func (r *Report) front() (list []*Row) {
	rows := make([]*Row, len(r.Policies))
	for i := range rows {
		rows[i] = &r.Policies[i]
	}
	slices.SortStableFunc(rows, func(a, b *Row) int {
		return cmp.Or(cmp.Compare(a.ActiveBytes, b.ActiveBytes), cmp.Compare(a.Total.Perplexity, b.Total.Perplexity))
	})
	for _, row := range rows {
		if len(list) == 0 || row.Total.Perplexity < list[len(list)-1].Total.Perplexity {
			list = append(list, row)
		}
	}
	return list
}
