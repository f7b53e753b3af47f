package place

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"troupe/model"
	"troupe/stages"
)

func TestAutoBySpeed(t *testing.T) {
	c := sized(8, 8)
	c.Model.NumSelectedExperts = 2
	whole := mustMake(t, c, cpus(1), Options{}).Budget(c, Quantities{}).Host.Weights
	at := func(host string, bandwidth, share float64) Device {
		return Device{Name: "cpu", Host: host, Bandwidth: bandwidth, Memory: int64(share * float64(whole))}
	}
	for _, test := range []struct {
		name    string
		devices []Device
		link    Link
		streams int
		want    string
	}{
		{"as fast, many streams", []Device{at("", 1e6, 0), at("", 1e6, 0)}, Link{}, 8, "0-3@ 4-7@"},
		{"half as fast again", []Device{at("", 1.5e6, 0), at("", 1e6, 0)}, Link{}, 2, "0-4@ 5-7@"},
		{"so much faster that more rows there are worth more", []Device{at("", 3e6, 0), at("", 1e6, 0)}, Link{}, 8, "0-7@"},
		{"one stream needs one device", []Device{at("", 1e6, 0), at("", 3e6, 0)}, Link{}, 1, "0-7@"},
		{"a link that costs little", []Device{at("", 1e6, 0), at("a:1", 1e6, 0)}, Link{1e-6, 1e9}, 8, "0-3@ 4-7@a:1"},
		{"a link that costs more than it brings", []Device{at("", 1e6, 0), at("a:1", 1e6, 0)}, Link{10, 1e9}, 8, "0-7@"},
		{"the same, but memory needs it", []Device{at("", 1e6, .7), at("a:1", 1e6, 1)}, Link{10, 1e9}, 8, "0-4@ 5-7@a:1"},
		{"nothing fits", []Device{at("", 1e6, .3), at("", 1e6, .3)}, Link{}, 8, "0-3@ 4-7@"},
	} {
		hosts := []Host{{Address: "a:1", Link: test.link}}
		o := Options{Strategy: "auto", Hosts: hosts, Traffic: Traffic{Streams: test.streams}}
		p := mustMake(t, c, test.devices, o)
		var got []string
		for _, s := range p.Stages {
			got = append(got, Run(s.Span.Lo, s.Span.Hi-1)+"@"+p.Devices[s.Device].Host)
		}
		if text := strings.Join(got, " "); text != test.want {
			t.Errorf("%s: %s, want %s", test.name, text, test.want)
		}
		if len(p.Devices)+len(p.Spare) != len(test.devices) {
			t.Errorf("%s: %v and %v left out of %v", test.name, p.Devices, p.Spare, test.devices)
		}
		if why := o.Reasons(c, p); len(why.Spare) != len(p.Spare) || len(why.Stages) != len(p.Stages) {
			t.Errorf("%s: %+v", test.name, why)
		}
	}
	o := Options{Strategy: "auto"}
	if _, err := Make(c, []Device{at("", 1, 0), at("", 0, 0)}, o); err == nil || !strings.Contains(err.Error(), "1 of 2 devices state their bandwidth") {
		t.Error(err)
	}
}

// TestAutoBySpeedIsGood compares with all cuts over all sets of devices, seeded: what is chosen is predicted to be never
// slower than all devices, and on average almost as fast as the best there is.
func TestAutoBySpeedIsGood(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	c := sized(6, 4)
	w := mustMake(t, c, cpus(1), Options{}).Budget(c, Quantities{}).Host.Weights
	sum, worst, n := 0.0, 1.0, 0
	for range 300 {
		var devices []Device
		var hosts []Host
		for i := range 2 + r.IntN(3) {
			d := Device{Name: "cpu", Bandwidth: 1e6 * float64(1+r.IntN(4))}
			if r.IntN(2) > 0 {
				d.Memory = int64(float64(w) * (.3 + r.Float64()))
			}
			if r.IntN(3) > 0 {
				d.Host = fmt.Sprintf("h%d:1", i)
				hosts = append(hosts, Host{Address: d.Host, Link: Link{Latency: float64(w) / 1e6 * r.Float64() / 4, Bandwidth: 1e6}})
			}
			devices = append(devices, d)
		}
		o := Options{Strategy: "auto", Hosts: hosts, Traffic: Traffic{Streams: 1 + r.IntN(8), Context: 5}, Load: Quantities{Limits: stages.Limits{Rows: 4, Draws: 4, Sequences: 4, Experts: 4}}}
		p := mustMake(t, c, devices, o)
		best := bestOf(t, c, devices, o)
		if best == 0 {
			continue // nothing fits: what is best then is TestAuto's matter
		}
		for i, f := range p.Fit(c, Quantities{}) {
			if !f.Fits() {
				t.Fatalf("%+v: device %d is too full, and it could fit", devices, i)
			}
		}
		got := rateOf(t, c, p, o)
		sum, worst, n = sum+got/best, min(worst, got/best), n+1
	}
	if n < 100 || sum/float64(n) < .98 || worst < .8 {
		t.Errorf("%d sets: on average %.4f of the best, at worst %.3f", n, sum/float64(n), worst)
	}
	t.Logf("%d sets: on average %.4f of the best, at worst %.3f", n, sum/float64(n), worst)
}

func rateOf(t *testing.T, c model.Config, p Plan, o Options) float64 {
	t.Helper()
	q := o.Load
	q.Batches = len(p.Stages) + 1
	f, err := p.Forecast(c, q, o.Traffic)
	if err != nil {
		t.Fatal(err)
	}
	return f.Streams
}

// bestOf tries everything; 0: nothing fits.
func bestOf(t *testing.T, c model.Config, devices []Device, o Options) (best float64) {
	t.Helper()
	k := newCutter(c, devices, o.Load)
	var try func(i, lo int, list []Stage)
	try = func(i, lo int, list []Stage) {
		if lo == c.Model.NumLayers {
			p := Plan{Devices: slices.Clone(devices), Stages: slices.Clone(list), Hosts: o.Hosts}
			p.leaveOut(len(devices))
			p.Experts = placeLocal(c, p, nil)
			best = max(best, rateOf(t, c, p, o))
			return
		}
		if i == len(devices) {
			return
		}
		try(i+1, lo, list)
		for hi := lo + 1; hi <= c.Model.NumLayers; hi++ {
			if k.fill(i, lo, hi) <= 1 {
				try(i+1, hi, append(slices.Clone(list), Stage{Span: stages.Span{Lo: lo, Hi: hi}, Device: i}))
			}
		}
	}
	try(0, 0, nil)
	return best
}
