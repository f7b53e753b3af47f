package place

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"troupe/model"
)

// Traffic is what a forecast is for.
type Traffic struct {
	Streams int                 // that decode together
	Context int                 // positions that each token looks back on
	Choices func(layer int) int // experts that a token uses; nil: what the configuration says
}

// Forecast is how fast a plan is expected to run, from what devices and links state. It is a roofline, so an upper
// bound: every device takes the longer of the time in which it reads what a batch needs and the time in which it
// calculates that; nothing is counted for turns of actors, sampling and waiting for threads.
//
//   - A batch goes head → stage → head → next stage (a star): a stage on a worker costs its rows' hidden states, float32, over
//     the link there and back; one in the head's process costs nothing.
//   - Of a layer's experts those on a device that is not their stage's get their rows and send as many back, over the links
//     of both hosts where these differ and are not the head's; devices compute their experts at the same time, and a layer
//     takes as long as the slowest. Which experts a token uses is taken to be independent and uniform.
//   - Streams are dealt over min(streams, stages, batches in flight) batches, as the scheduler does, and of a prompt as many
//     chunks are on their way as there are batches. Their rate is bounded by the busiest device, host or link, and by
//     the time that a batch takes around.
type Forecast struct {
	OneStream float64 // new tokens a second, one stream
	Streams   float64 // new tokens a second of all streams together
	Prefill   float64 // tokens of one prompt a second; 0: a device does not state its Flops
	Groups    int     // batches that the streams are dealt over
	Limit     string  // what bounds all streams
	Stages    []StageForecast
	Crossings int      // of a link, by a decode batch that uses experts everywhere
	Bytes     float64  // that one stream's token sends over links, expected
	Unknown   []string // links of which nothing is stated: they are counted as free
}

// StageForecast is what one token of one stream takes at a stage, in seconds.
type StageForecast struct {
	Compute float64 // the stage's own layers
	Experts float64 // theirs, with the way to those that live elsewhere
	Link    float64 // the stage's own way from the head and back
}

// Total is all of it.
func (s StageForecast) Total() float64 { return s.Compute + s.Experts + s.Link }

// Forecast predicts. Every device must state its Bandwidth; the error names those that do not.
func (p Plan) Forecast(c model.Config, q Quantities, t Traffic) (f Forecast, err error) {
	var silent []string
	prefill := q.Limits.Rows > 0
	for i, d := range p.Devices {
		if d.Bandwidth == 0 {
			silent = append(silent, fmt.Sprintf("%d (%s)", i, d))
		}
		prefill = prefill && d.Flops > 0
	}
	if len(silent) > 0 {
		const most = 4
		if n := len(silent); n > most {
			silent = append(silent[:most:most], fmt.Sprintf("and %d more", n-most))
		}
		return f, fmt.Errorf("place: no forecast: bandwidth of device %s not stated: state what each device reads a second", strings.Join(silent, ", "))
	}
	r := &route{plan: p, costs: newCosts(c, q, t.Choices), context: float64(t.Context)}
	one := r.turn(rows{n: 1, context: r.context})
	f.OneStream, f.Stages, f.Crossings, f.Bytes = 1/one.around, one.stages, one.crossings, one.sent
	streams := max(t.Streams, 1)
	f.Groups = min(streams, len(p.Stages), max(q.Batches, 1))
	each := float64(streams) / float64(f.Groups)
	f.Streams, f.Limit = r.turn(rows{n: each, context: r.context}).rate(p, f.Groups, each)
	if prefill {
		chunk := float64(q.Limits.Rows)
		f.Prefill, _ = r.turn(rows{n: chunk, context: r.context, prompt: true}).rate(p, max(q.Batches, 1), chunk)
	}
	for _, a := range p.addresses() {
		if !hostOf(p.Hosts, a).Link.Stated() {
			f.Unknown = append(f.Unknown, a)
		}
	}
	return f, nil
}

// addresses lists the workers that have devices of the plan, in the order of these.
func (p Plan) addresses() (list []string) {
	for _, d := range p.Devices {
		if d.Host != "" && !slices.Contains(list, d.Host) {
			list = append(list, d.Host)
		}
	}
	return list
}

// route is a plan to be gone through.
type route struct {
	plan    Plan
	costs   *costs
	context float64
}

// turn is what one batch takes on its way from the head through all stages and back.
type turn struct {
	around    float64 // seconds
	stages    []StageForecast
	devices   []float64          // seconds that each is at work
	read      map[string]work    // by address, of all devices of the host
	links     map[string]float64 // seconds that each link carries bytes in one direction, by address
	crossings int
	sent      float64 // bytes over links
}

func (r *route) turn(b rows) *turn {
	p := r.plan
	t := &turn{devices: make([]float64, len(p.Devices)), read: map[string]work{}, links: map[string]float64{}}
	for _, s := range p.Stages {
		at := p.Devices[s.Device].Host
		f := StageForecast{Compute: t.work(p, s.Device, r.costs.span(s.Span.Lo, s.Span.Hi, b))}
		if at != "" {
			f.Link = t.cross(p, []string{at}, b.n*r.costs.hidden, 1)
		}
		for l := s.Span.Lo; l < s.Span.Hi; l++ {
			slowest := 0.0
			for device, count := range counted(p.Experts[l], len(p.Devices)) {
				if count == 0 {
					continue
				}
				w, got := r.costs.experts(l, count, b)
				took := t.work(p, device, w)
				if way := between(at, p.Devices[device].Host); len(way) > 0 {
					took += t.cross(p, way, got*r.costs.hidden, r.costs.anyHit(l, count, b))
				}
				slowest = max(slowest, took)
			}
			f.Experts += slowest
		}
		t.stages = append(t.stages, f)
		t.around += f.Total()
	}
	return t
}

// counted is how many of a layer's experts each device has.
func counted(homes []int, devices int) []int {
	n := make([]int, devices)
	for _, d := range homes {
		n[d]++
	}
	return n
}

// between lists the links that lie between the devices of two hosts: through the head.
func between(a, b string) (way []string) {
	if a == b {
		return nil
	}
	for _, address := range []string{a, b} {
		if address != "" {
			way = append(way, address)
		}
	}
	return way
}

// work has a device compute, and returns the seconds.
func (t *turn) work(p Plan, device int, w work) float64 {
	d := p.Devices[device]
	seconds := w.on(d.Bandwidth, d.Flops)
	t.devices[device] += seconds
	t.read[d.Host] = t.read[d.Host].plus(w)
	return seconds
}

// cross sends bytes over links and as many back, so likely at all, and returns the seconds.
func (t *turn) cross(p Plan, way []string, bytes, likely float64) (seconds float64) {
	for _, address := range way {
		l := hostOf(p.Hosts, address).Link
		seconds += 2 * (l.Latency*likely + per(bytes, l.Bandwidth))
		t.links[address] += per(bytes, l.Bandwidth)
		t.crossings += 2
		t.sent += 2 * bytes
	}
	return seconds
}

// rate is rows a second with so many such batches on their way, of so many rows each, and what bounds it.
func (t *turn) rate(p Plan, batches int, each float64) (best float64, limit string) {
	best, limit = float64(batches)*each/t.around, "the way of a batch through all stages"
	bound := func(seconds float64, what string) {
		if r := each / seconds; seconds > 0 && r < best*(1-1e-9) {
			best, limit = r, what
		}
	}
	for i, seconds := range t.devices {
		bound(seconds, fmt.Sprintf("device %d", i))
	}
	for _, address := range append([]string{""}, p.addresses()...) {
		h, name := hostOf(p.Hosts, address), address
		if name == "" {
			name = "this host"
		}
		bound(t.read[address].on(h.Bandwidth, h.Flops), "all devices of "+name+" together")
		bound(t.links[address], "the link to "+name)
	}
	if math.IsInf(best, 0) || math.IsNaN(best) {
		return 0, limit
	}
	return best, limit
}
