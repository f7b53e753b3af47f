package place

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestAuto(t *testing.T) {
	c := sized(7, 2)
	whole := mustMake(t, c, cpus(1), Options{}).Budget(c, Quantities{}).Host.Weights
	at := func(threads int, share float64) Device {
		return Device{Name: "cpu", Threads: threads, Memory: int64(share * float64(whole))}
	}
	for _, test := range []struct {
		name    string
		devices []Device
		want    []int // layers
	}{
		{"alike", []Device{at(0, 0), at(0, 0), at(0, 0)}, []int{3, 2, 2}},
		{"by threads", []Device{at(1, 0), at(2, 0), at(4, 0)}, []int{1, 2, 4}},
		{"by memory", []Device{at(0, .4), at(0, .9)}, []int{2, 5}},
		{"memory before threads", []Device{at(6, .5), at(1, 1)}, []int{3, 4}},
		{"too small for all", []Device{at(1, .2), at(1, .1)}, []int{5, 2}},
		{"one", []Device{at(3, .5)}, []int{7}},
	} {
		p, err := Make(c, test.devices, Options{Strategy: "auto"})
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var got []int
		for _, s := range p.Stages {
			got = append(got, s.Span.Hi-s.Span.Lo)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: layers %v, want %v", test.name, got, test.want)
		}
	}
	for want, o := range map[string]Options{"1 of 2 devices state their threads": {}, "with 3 stages on 2 devices": {Stages: 3}} {
		o.Strategy = "auto"
		if _, err := Make(c, []Device{at(1, 0), at(0, 0)}, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want … %s …", err, want)
		}
	}
}

// TestAutoIsBest compares with all cuts of small models over seeded devices.
func TestAutoIsBest(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	c := sized(7, 2)
	whole := mustMake(t, c, cpus(1), Options{}).Budget(c, Quantities{}).Host.Weights
	for range 300 {
		devices := make([]Device, 1+r.IntN(4))
		for i := range devices {
			devices[i] = Device{Name: "cpu", Threads: 1 + r.IntN(5)}
			if r.IntN(3) > 0 {
				devices[i].Memory = int64(float64(whole) * (.1 + r.Float64()))
			}
		}
		k := newCutter(c, devices, Quantities{})
		// rank is what auto promises, the first that differs decides.
		rank := func(ends []int) [4]float64 {
			v := [4]float64{}
			for i, hi := range ends {
				lo := 0
				if i > 0 {
					lo = ends[i-1]
				}
				v[1] = max(v[1], k.time(i, lo, hi))
				v[2] = max(v[2], k.fill(i, lo, hi))
				v[3] += k.time(i, lo, hi) * float64(hi-lo)
			}
			if v[2] > 1 { // does not fit: how full is all that counts
				v = [4]float64{1, v[2], 0, 0}
			}
			return v
		}
		best := [4]float64{math.Inf(1)}
		var all func(ends []int)
		all = func(ends []int) {
			lo := 0
			if len(ends) > 0 {
				lo = ends[len(ends)-1]
			}
			if len(ends) == len(devices) {
				if v := rank(ends); lo == 7 && slices.Compare(v[:], best[:]) < 0 {
					best = v
				}
				return
			}
			for hi := lo + 1; hi <= 7; hi++ {
				all(append(slices.Clone(ends), hi))
			}
		}
		all(nil)
		list, err := cutByDevice(c, devices, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var ends []int
		for _, s := range list {
			ends = append(ends, s.Span.Hi)
		}
		got := rank(ends)
		for i := range got {
			if math.Abs(got[i]-best[i]) > 1e-9 {
				t.Fatalf("%v: cut at %v has %v, the best has %v", fmt.Sprint(devices), ends, got, best)
			}
		}
	}
}

// TestAutoCountsAsBudget: how full a cut makes a device is its budget.
func TestAutoCountsAsBudget(t *testing.T) {
	c := sized(4, 3)
	q := grok1Quantities(3)
	for _, head := range []int64{0, 12345} {
		q.Head = head
		for n := 1; n <= 3; n++ {
			devices := cpus(n)
			for i := range devices {
				devices[i].Memory = 1 << 40
			}
			p := mustMake(t, c, devices, Options{Strategy: "auto", Load: q})
			k := newCutter(c, devices, q)
			for i, s := range p.Stages {
				if got, want := k.fill(i, s.Span.Lo, s.Span.Hi)*(1<<40), float64(p.Budget(c, q).Devices[i].Total()); math.Abs(got-want) > 1 {
					t.Errorf("head %d, %d devices: device %d counted with %v bytes, budget %v", head, n, i, got, want)
				}
			}
		}
	}
}
