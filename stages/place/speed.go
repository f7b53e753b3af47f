package place

import (
	"fmt"
	"math"
	"slices"

	"troupe/model"
)

// speed is how long devices take for spans of layers with their experts, in seconds, for batches of so many rows.
type speed struct {
	costs *costs
	layer []work // of the layers before, [layers+1]
	rows  rows
	hosts []Host
}

func newSpeed(k *costs, hosts []Host, r rows) *speed {
	s := &speed{costs: k, rows: r, hosts: hosts, layer: make([]work, len(k.dense)+1)}
	for l := range k.dense {
		experts, _ := k.experts(l, k.config.Model.NumExperts, r)
		cache := k.cache.times(r.n * r.context)
		s.layer[l+1] = s.layer[l].plus(work{k.dense[l].bytes, r.n * k.dense[l].flops}).plus(cache).plus(experts)
	}
	return s
}

// seconds is what layers lo to hi take on a device, with the way there and back.
func (s *speed) seconds(d Device, lo, hi int) float64 {
	w := work{s.layer[hi].bytes - s.layer[lo].bytes, s.layer[hi].flops - s.layer[lo].flops}
	if lo == 0 {
		w = w.plus(s.costs.first.times(s.rows.n))
	}
	if hi == len(s.layer)-1 {
		w = w.plus(work{s.costs.last.bytes, s.rows.n * s.costs.last.flops})
	}
	link := Link{}
	if d.Host != "" {
		link = hostOf(s.hosts, d.Host).Link
	}
	return w.on(d.Bandwidth, d.Flops) + 2*link.seconds(s.rows.n*s.costs.hidden)
}

// cutBySpeed gives devices that state their bandwidth a stage each, or leaves them out. It looks at several cuts and takes
// that with most predicted tokens a second for the streams of the load; where predictions differ by less than one in a
// hundred, that with the faster prefill, then that with the faster single stream, then the first. The cuts are: the layers
// over all devices, with the slowest stage as fast as possible; for the rows that a batch has when streams are dealt over
// some number of stages, the layers over the devices without which the slowest stage would take longer, in as little time
// together as that allows, and evenly over the same devices; those of the least time together, which is one stream's; and the best of all these with
// devices left out. A cut for which everything fits into the memory that devices state comes before others.
func cutBySpeed(c model.Config, devices []Device, o Options) ([]Stage, error) {
	f := finder{c: c, devices: devices, o: o, costs: newCosts(c, o.Load, o.Traffic.Choices), seen: map[string]bool{}}
	if f.o.Traffic.Streams == 0 {
		f.o.Traffic.Streams = len(devices)
	}
	all := make([]int, len(devices))
	for i := range all {
		all[i] = i
	}
	f.whole = f.cutter(all, len(all))
	f.evenly(all)
	most := min(len(devices), f.o.Traffic.Streams)
	for stages := 1; ; stages = min(most, max(stages+1, stages*5/4)) {
		f.try(f.needed(stages, true))
		if stages == most {
			break
		}
	}
	f.try(f.needed(1, false))
	f.thin()
	return f.best, nil
}

// finder looks for the best set of devices.
type finder struct {
	c       model.Config
	devices []Device
	o       Options
	costs   *costs
	seen    map[string]bool
	whole   *cutter // of all devices

	best []Stage
	rate [3]float64 // of all streams, of prefill, of one stream
	fits bool
}

// cutter is one for some of the devices, each in its place, when streams are dealt over so many stages.
func (f *finder) cutter(set []int, stages int) *cutter {
	var devices []Device
	for _, i := range set {
		devices = append(devices, f.devices[i])
	}
	k := newCutter(f.c, devices, f.o.Load)
	k.speed = newSpeed(f.costs, f.o.Hosts, rows{n: float64(f.o.Traffic.Streams) / float64(min(stages, f.o.Traffic.Streams)), context: float64(f.o.Traffic.Context)})
	return k
}

// needed is the cut over any of the devices whose stages take least time in all; pipelined, of those cuts alone whose
// slowest stage is the fastest. nil: not everything fits.
func (f *finder) needed(stages int, pipelined bool) []Stage {
	all := make([]int, len(f.devices))
	for i := range all {
		all[i] = i
	}
	k := f.cutter(all, stages)
	k.skip = true
	bound := math.Inf(1)
	time := func(i, lo, hi int) float64 { return k.unlessFull(i, lo, hi, k.time(i, lo, hi)) }
	if pipelined {
		bound = k.least(math.Max, time).cost
	}
	found := k.least(func(a, b float64) float64 { return a + b }, func(i, lo, hi int) float64 {
		if t := time(i, lo, hi); t <= bound {
			return t
		}
		return math.Inf(1)
	})
	if math.IsInf(found.cost, 1) {
		return nil
	}
	return found.stages()
}

// try looks at a cut and at the even one over the same devices.
func (f *finder) try(list []Stage) {
	if list == nil {
		return
	}
	set := make([]int, len(list))
	for i, s := range list {
		set[i] = s.Device
	}
	f.consider(list)
	f.evenly(set)
}

// thin leaves devices of the best cut out, one after another, as long as that is better.
func (f *finder) thin() {
	const most = 32 // with more devices than that it takes long, and one less matters little
	for before := []Stage(nil); len(f.best) > 1 && len(f.best) <= most && !slices.Equal(before, f.best); {
		before = f.best
		for i := range before {
			var set []int
			for j, s := range before {
				if j != i {
					set = append(set, s.Device)
				}
			}
			f.evenly(set)
		}
	}
}

// evenly looks at the cut over devices whose slowest stage is the fastest.
func (f *finder) evenly(set []int) {
	key := fmt.Sprint(set)
	if len(set) > f.c.Model.NumLayers || f.seen[key] {
		return
	}
	f.seen[key] = true
	list := f.cutter(set, len(set)).evenly()
	for i, s := range list {
		list[i].Device = set[s.Device]
	}
	f.consider(list)
}

// consider keeps a cut if it is better than the best so far.
func (f *finder) consider(list []Stage) {
	p := Plan{Devices: f.devices, Stages: list, Hosts: f.o.Hosts}
	p.Experts = placeLocal(f.c, p, nil)
	q := f.o.Load
	q.Batches = len(list) + 1 // as actors.Start does
	forecast, err := p.Forecast(f.c, q, f.o.Traffic)
	if err != nil {
		panic("BUG: " + err.Error()) // cutByDevice has looked: all state their bandwidth
	}
	fits := true
	for _, s := range list {
		fits = fits && f.whole.fill(s.Device, s.Span.Lo, s.Span.Hi) <= 1
	}
	rate := [3]float64{forecast.Streams, forecast.Prefill, forecast.OneStream}
	if f.best == nil || fits && !f.fits || fits == f.fits && f.beats(rate) {
		f.best, f.rate, f.fits = list, rate, fits
	}
}

// beats reports whether rates are better than the best ones by what a forecast can tell.
func (f *finder) beats(rate [3]float64) bool {
	const alike = .01
	for i := range rate {
		if math.Abs(rate[i]-f.rate[i]) > alike*f.rate[i] {
			return rate[i] > f.rate[i]
		}
	}
	return false
}
