package placement

import (
	"fmt"
	"slices"
	"strings"

	"troupe/stages/place"
)

// rangesPerLine keeps the lines of written files short.
const rangesPerLine = 40

// Label returns a plan whose devices all have names: those that have none get their kind and a number.
func Label(p place.Plan) place.Plan {
	devices := make([]place.Device, len(p.Devices))
	taken := map[string]bool{Local: true}
	for _, d := range p.Devices {
		taken[d.Label] = true
	}
	count := map[string]int{}
	for i, d := range p.Devices {
		for d.Label == "" {
			if name := fmt.Sprintf("%s%d", d.Name, count[d.Name]); !taken[name] {
				d.Label = name
			}
			count[d.Name]++
		}
		devices[i] = d
	}
	p.Devices = devices
	return p
}

// Write writes a plan that fits its model as a file that Parse reads: devices, stages, and a rule for all experts that
// are not with their layer. comments are put before it, a line each. What would be longer than a file may be is an error.
func Write(p place.Plan, comments ...string) ([]byte, error) {
	p = Label(p)
	var b strings.Builder
	for _, c := range comments {
		fmt.Fprintf(&b, "# %s\n", strings.Map(printable, c))
	}
	b.WriteString("devices:\n")
	for _, d := range p.Devices {
		fmt.Fprintf(&b, "  - {name: %q, kind: %q", d.Label, d.Name)
		if d.Threads > 0 {
			fmt.Fprintf(&b, ", threads: %d", d.Threads)
		}
		if d.Prefill > 0 {
			fmt.Fprintf(&b, ", threads_prefill: %d", d.Prefill)
		}
		if d.Memory > 0 {
			fmt.Fprintf(&b, ", memory: %s", place.FormatBytes(d.Memory))
		}
		b.WriteString("}\n")
	}
	local := map[int]int{}
	b.WriteString("stages:\n")
	for _, s := range p.Stages {
		fmt.Fprintf(&b, "  - {layers: %s, device: %q}\n", place.Run(s.Span.Lo, s.Span.Hi-1), p.Devices[s.Device].Label)
		for l := s.Span.Lo; l < s.Span.Hi; l++ {
			local[l] = s.Device
		}
	}
	b.WriteString("experts:\n  default: local\n")
	rules := ""
	for _, g := range p.Groups(nil) {
		layers := slices.DeleteFunc(g.Layers, func(l int) bool { return local[l] == g.Device })
		for part := range slices.Chunk(place.Runs(layers), rangesPerLine) {
			rules += fmt.Sprintf("    - {layers: [%s], experts: [%s], device: %q}\n", strings.Join(part, ", "), strings.Join(place.Runs(g.Experts), ", "), p.Devices[g.Device].Label)
		}
	}
	if rules != "" {
		b.WriteString("  rules:\n" + rules)
	}
	if b.Len() > maxBytes {
		return nil, fmt.Errorf("placement: the file would have %d bytes, want at most %d: use a strategy with fewer groups of experts", b.Len(), maxBytes)
	}
	return []byte(b.String()), nil
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}
