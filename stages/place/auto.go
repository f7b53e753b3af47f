package place

import (
	"fmt"
	"math"

	"troupe/model"
	"troupe/stages"
)

// auto gives each device the layers that it is good for, its experts with them.
var _ = register(Strategy{
	Name:  "auto",
	Doc:   "layers by memory, and by speed and links or threads, experts with them",
	Why:   "on the device of their layer",
	Cut:   cutByDevice,
	Place: placeLocal,
})

// cutByDevice gives every device one stage, in the order of the devices. The slowest stage, by layers for each decode
// thread, is as fast as possible where everything fits into the memory that devices state; among such cuts the fullest
// device is as empty as possible; among those the load is the most even (least sum of layers²/threads), and devices
// that come first take more. Where nothing fits, the fullest device is as empty as possible. Devices that all state no
// threads count alike. Devices that all state their bandwidth are another matter: cutBySpeed.
func cutByDevice(c model.Config, devices []Device, o Options) ([]Stage, error) {
	if o.Stages != 0 && o.Stages != len(devices) {
		return nil, fmt.Errorf("place: strategy auto with %d stages on %d devices: it makes one for each device: leave the number of stages out", o.Stages, len(devices))
	}
	stated, fast := 0, 0
	for _, d := range devices {
		if d.Threads > 0 {
			stated++
		}
		if d.Bandwidth > 0 {
			fast++
		}
	}
	if fast > 0 && fast < len(devices) {
		return nil, fmt.Errorf("place: strategy auto: %d of %d devices state their bandwidth: want all or none", fast, len(devices))
	}
	if fast > 0 {
		return cutBySpeed(c, devices, o)
	}
	if stated > 0 && stated < len(devices) {
		return nil, fmt.Errorf("place: strategy auto: %d of %d devices state their threads: want all or none", stated, len(devices))
	}
	return newCutter(c, devices, o.Load).evenly(), nil
}

// evenly is the cut that gives every device a stage.
func (k *cutter) evenly() []Stage {
	slowest := k.least(math.Max, func(i, lo, hi int) float64 { return k.unlessFull(i, lo, hi, k.time(i, lo, hi)) })
	if math.IsInf(slowest.cost, 1) {
		return k.least(math.Max, k.fill).stages()
	}
	bounded := func(i, lo, hi int, cost float64) float64 {
		if k.time(i, lo, hi) > slowest.cost {
			return math.Inf(1)
		}
		return k.unlessFull(i, lo, hi, cost)
	}
	fullest := k.least(math.Max, func(i, lo, hi int) float64 { return bounded(i, lo, hi, k.fill(i, lo, hi)) })
	return k.least(func(a, b float64) float64 { return a + b }, func(i, lo, hi int) float64 {
		if k.fill(i, lo, hi) > fullest.cost {
			return math.Inf(1)
		}
		return bounded(i, lo, hi, k.time(i, lo, hi)*float64(hi-lo))
	}).stages()
}

// cutter counts what a span of layers costs on a device.
type cutter struct {
	devices []Device
	layer   []float64  // bytes of the layers before, [layers+1]
	ends    [2]float64 // bytes beside the layers where they begin and where they end
	shared  float64    // of what the ends count both
	fixed   float64    // bytes on every device with layers
	speed   *speed     // nil: devices are as fast as they have threads
	skip    bool       // a device may have no layers
}

func newCutter(c model.Config, devices []Device, q Quantities) *cutter {
	w := newWeights(c)
	k := &cutter{devices: devices, layer: make([]float64, c.Model.NumLayers+1), fixed: float64(int64(q.Batches) * w.batchBytes(q.Limits, true))}
	cache := float64(stages.CacheBytes(c, 1, q.Cache))
	for _, t := range w.tensors {
		if t.Layer >= 0 {
			k.layer[t.Layer+1] += float64(q.Storage.Bytes(t))
		}
	}
	for l := range c.Model.NumLayers {
		k.layer[l+1] += k.layer[l] + cache
	}
	first, last := map[string]bool{}, map[string]bool{}
	w.ofStage(stages.Span{Lo: 0, Hi: 0}, true, first)
	w.ofStage(stages.Span{Lo: c.Model.NumLayers, Hi: c.Model.NumLayers}, q.Head > 0, last)
	for _, t := range w.tensors {
		if first[t.Name] {
			k.ends[0] += float64(q.Storage.Bytes(t))
		}
		if last[t.Name] {
			k.ends[1] += float64(q.Storage.Bytes(t))
		}
	}
	k.ends[1] += float64(q.Head)
	for _, t := range w.tensors {
		if first[t.Name] && last[t.Name] {
			k.shared += float64(q.Storage.Bytes(t))
		}
	}
	return k
}

// fill is the share of a device's memory that a span takes; 0 where the memory is not stated.
func (k *cutter) fill(i, lo, hi int) float64 {
	if k.devices[i].Memory == 0 {
		return 0
	}
	bytes := k.layer[hi] - k.layer[lo] + k.fixed
	if lo == 0 {
		bytes += k.ends[0]
	}
	if hi == len(k.layer)-1 {
		bytes += k.ends[1]
		if lo == 0 {
			bytes -= k.shared
		}
	}
	return bytes / float64(k.devices[i].Memory)
}

// time is what a span takes: seconds, or where speeds are not stated layers for each thread.
func (k *cutter) time(i, lo, hi int) float64 {
	if k.speed != nil {
		return k.speed.seconds(k.devices[i], lo, hi)
	}
	return float64(hi-lo) / float64(max(k.devices[i].Threads, 1))
}

func (k *cutter) unlessFull(i, lo, hi int, cost float64) float64 {
	if k.fill(i, lo, hi) > 1 {
		return math.Inf(1)
	}
	return cost
}

// cuts say where each device's layers end.
type cuts struct {
	cost float64
	ends []int
}

func (c cuts) stages() (list []Stage) {
	lo := 0
	for i, hi := range c.ends {
		if hi > lo { // else the device is left out
			list = append(list, Stage{Span: stages.Span{Lo: lo, Hi: hi}, Device: i})
		}
		lo = hi
	}
	return list
}

// least finds the cut into one stage for each device, or with skip at most one, that costs least, by dynamic programming
// from the last device to the first: together joins the cost of a stage with that of those behind it. Of equals the first
// device has most layers.
func (k *cutter) least(together func(a, b float64) float64, cost func(i, lo, hi int) float64) cuts {
	n, layers := len(k.devices), len(k.layer)-1
	behind := make([]float64, layers+1) // least cost of layers lo… on the devices behind
	for lo := range layers {
		behind[lo] = math.Inf(1)
	}
	ends := make([][]int32, n)
	for i := n - 1; i >= 0; i-- {
		here := make([]float64, layers+1)
		ends[i] = make([]int32, layers+1)
		here[layers] = math.Inf(1) // every device has a layer
		if k.skip {
			here[layers], ends[i][layers] = 0, int32(layers)
		}
		for lo := range layers {
			here[lo] = math.Inf(1)
			if k.skip {
				here[lo], ends[i][lo] = behind[lo], int32(lo)
			}
			for hi := lo + 1; hi <= layers; hi++ {
				own := cost(i, lo, hi)
				if own > here[lo] || math.IsInf(own, 1) {
					break // more layers cost more
				}
				if c := together(own, behind[hi]); c <= here[lo] {
					here[lo], ends[i][lo] = c, int32(hi)
				}
			}
		}
		behind = here
	}
	found := cuts{cost: behind[0]}
	for i, lo := 0, 0; i < n; i++ {
		lo = int(ends[i][lo])
		found.ends = append(found.ends, lo)
	}
	return found
}
