package placement

import (
	"fmt"
	"slices"
	"strings"

	"troupe/stages/place"
)

// rangesPerLine keeps the lines of written files short.
const rangesPerLine = 40

// Label returns a plan whose devices and hosts all have names: devices that have none get their kind and a number, or
// their host and their number there; hosts get host0, host1 ….
func Label(p place.Plan) place.Plan { return labelAll([]place.Plan{p})[0] }

func labelAll(plans []place.Plan) []place.Plan {
	plans = slices.Clone(plans)
	taken := map[string]bool{Local: true}
	for i := range plans {
		plans[i].Hosts = slices.Clone(plans[i].Hosts)
		for _, d := range plans[i].Devices {
			taken[d.Label] = true
		}
	}
	names := nameHosts(plans)
	count := map[string]int{}
	for i, p := range plans {
		plans[i].Devices = slices.Clone(p.Devices)
		for j, d := range p.Devices {
			kind := d.Name
			if d.Host != "" {
				kind = names[d.Host] + "/"
				count[kind] = max(count[kind], d.Number)
			}
			for d.Label == "" {
				if name := fmt.Sprintf("%s%d", kind, count[kind]); !taken[name] {
					d.Label, taken[name] = name, true
				}
				count[kind]++
			}
			plans[i].Devices[j] = d
		}
	}
	return plans
}

// nameHosts gives the hosts of plans names, and every address of a device a host.
func nameHosts(plans []place.Plan) map[string]string {
	names, taken := map[string]string{}, map[string]bool{}
	for _, p := range plans {
		for _, h := range p.Hosts {
			names[h.Address], taken[h.Name] = h.Name, true
		}
	}
	next := 0
	name := func(address string) string {
		for names[address] == "" {
			if n := fmt.Sprintf("host%d", next); !taken[n] {
				names[address] = n
			}
			next++
		}
		return names[address]
	}
	for i, p := range plans {
		for j, h := range p.Hosts {
			plans[i].Hosts[j].Name = name(h.Address)
		}
		for _, d := range p.Devices {
			if d.Host != "" && !slices.ContainsFunc(plans[i].Hosts, func(h place.Host) bool { return h.Address == d.Host }) {
				plans[i].Hosts = append(plans[i].Hosts, place.Host{Address: d.Host, Name: name(d.Host)})
			}
		}
	}
	return names
}

// Write writes a plan that fits its model as a file that Parse reads: devices, hosts, stages, and a rule for all experts
// that are not with their layer. The devices of this process come first, then those of hosts. comments are put before it, a
// line each. What would be longer than a file may be is an error.
func Write(p place.Plan, comments ...string) ([]byte, error) {
	return WriteReplicas([]place.Plan{p}, comments...)
}

// WriteReplicas writes the plans of several replicas, each with devices of its own, as Write does.
func WriteReplicas(plans []place.Plan, comments ...string) ([]byte, error) {
	plans = labelAll(plans)
	w := &writer{}
	for _, c := range comments {
		w.line("# %s", strings.Map(printable, c))
	}
	w.devices(plans)
	w.hosts(plans)
	if len(plans) == 1 {
		w.pipeline(plans[0], "")
	} else {
		w.line("replicas:")
		for _, p := range plans {
			w.pipeline(p, "  - ")
		}
	}
	if w.Len() > maxBytes {
		return nil, fmt.Errorf("placement: the file would have %d bytes, want at most %d: use a strategy with fewer groups of experts", w.Len(), maxBytes)
	}
	return []byte(w.String()), nil
}

type writer struct{ strings.Builder }

func (w *writer) line(format string, args ...any) { fmt.Fprintf(&w.Builder, format+"\n", args...) }

func (w *writer) devices(plans []place.Plan) {
	title := false
	for _, p := range plans {
		for _, d := range p.Devices {
			if d.Host != "" {
				continue
			}
			if !title {
				w.line("devices:")
				title = true
			}
			w.line("  - {name: %q, %s}", d.Label, of(d))
		}
	}
}

// of is all that is said of a device but its name and its host.
func of(d place.Device) string {
	s := fmt.Sprintf("kind: %q", d.Name)
	if d.Threads > 0 {
		s += fmt.Sprintf(", threads: %d", d.Threads)
	}
	if d.Prefill > 0 {
		s += fmt.Sprintf(", threads_prefill: %d", d.Prefill)
	}
	if d.Memory > 0 {
		s += ", memory: " + place.FormatBytes(d.Memory)
	}
	return s + speeds(d.Bandwidth, d.Flops)
}

func speeds(bandwidth, flops float64) (s string) {
	if bandwidth > 0 {
		s = ", bandwidth: " + place.ExactRate(bandwidth)
	}
	if flops > 0 {
		s += ", flops: " + place.ExactFlops(flops)
	}
	return s
}

func (w *writer) hosts(plans []place.Plan) {
	done := map[string]bool{}
	for _, p := range plans {
		for _, h := range p.Hosts {
			if done[h.Address] {
				continue
			}
			if len(done) == 0 {
				w.line("hosts:")
			}
			done[h.Address] = true
			w.host(h, plans)
		}
	}
}

func (w *writer) host(h place.Host, plans []place.Plan) {
	w.line("  - name: %q", h.Name)
	for _, part := range []string{speeds(h.Bandwidth, 0), speeds(0, h.Flops)} {
		if part != "" {
			w.line("    %s", strings.TrimPrefix(part, ", "))
		}
	}
	if h.Address == "" {
		return
	}
	w.line("    address: %q", h.Address)
	var link []string
	if h.Link.Latency > 0 {
		link = append(link, "latency: "+place.ExactLatency(h.Link.Latency))
	}
	if h.Link.Bandwidth > 0 {
		link = append(link, "bandwidth: "+place.ExactRate(h.Link.Bandwidth))
	}
	if len(link) > 0 {
		w.line("    link: {%s}", strings.Join(link, ", "))
	}
	w.line("    devices:")
	position := 0
	for _, p := range plans {
		for _, d := range p.Devices {
			if d.Host != h.Address {
				continue
			}
			s := of(d)
			if d.Number != position {
				s = fmt.Sprintf("number: %d, ", d.Number) + s
			}
			if d.Label != fmt.Sprintf("%s/%d", h.Name, d.Number) {
				s = fmt.Sprintf("name: %q, ", d.Label) + s
			}
			w.line("      - {%s}", s)
			position++
		}
	}
}

// pipeline writes stages and experts, indented below what begins an entry of a list.
func (w *writer) pipeline(p place.Plan, begin string) {
	indent := strings.Repeat(" ", len(begin))
	local := map[int]int{}
	w.line("%sstages:", begin)
	for _, s := range p.Stages {
		w.line("%s  - {layers: %s, device: %q}", indent, place.Run(s.Span.Lo, s.Span.Hi-1), p.Devices[s.Device].Label)
		for l := s.Span.Lo; l < s.Span.Hi; l++ {
			local[l] = s.Device
		}
	}
	w.line("%sexperts:\n%s  default: local", indent, indent)
	rules := false
	for _, g := range p.Groups(nil) {
		layers := slices.DeleteFunc(g.Layers, func(l int) bool { return local[l] == g.Device })
		for part := range slices.Chunk(place.Runs(layers), rangesPerLine) {
			if !rules {
				w.line("%s  rules:", indent)
				rules = true
			}
			w.line("%s    - {layers: [%s], experts: [%s], device: %q}", indent, strings.Join(part, ", "), strings.Join(place.Runs(g.Experts), ", "), p.Devices[g.Device].Label)
		}
	}
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}
