package place

import (
	"math"
	"strings"
	"testing"

	"troupe/kernels"
	"troupe/stages"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9*math.Abs(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestForecastOfOneDevice: what one token reads, by the counts of ReadBytes and the cache, over the bandwidth.
func TestForecastOfOneDevice(t *testing.T) {
	c := preset(t, "grok-1")
	q := Quantities{Batches: 1, Limits: stages.Limits{Rows: 128, Sequences: 4}, Cache: stages.CacheSize{Blocks: 4, Half: true}}
	device := Device{Name: "gpu", Bandwidth: 3.35e12, Flops: 2e15}
	p := mustMake(t, c, []Device{device}, Options{})
	for _, tokens := range []int{1, 4} {
		f, err := p.Forecast(c, q, Traffic{Streams: tokens, Context: 100})
		if err != nil {
			t.Fatal(err)
		}
		looked := float64(c.Model.EmbSize) * 4 * float64(tokens) // rows of the embedding, float32
		read := float64(ReadBytes(c, nil, 0, uniform(2), tokens)) + float64(tokens)*100*float64(CacheBytesPerToken(c, true)) + looked
		got := f.Streams
		if math.Abs(got/(float64(tokens)*device.Bandwidth/read)-1) > 1e-6 {
			t.Errorf("%d tokens: %v tokens/s, want %v", tokens, got, float64(tokens)*device.Bandwidth/read)
		}
		if f.Groups != 1 || f.Crossings != 0 || f.Bytes != 0 || len(f.Unknown) != 0 {
			t.Errorf("%+v", f)
		}
	}
	f, err := p.Forecast(c, q, Traffic{Streams: 1, Context: 0})
	if err != nil {
		t.Fatal(err)
	}
	flops := 2 * float64(Active(c, uniform(2))-int64(c.VocabSize*c.Model.EmbSize)) // of the prompt's tokens, without the head
	reading := float64(ReadBytes(c, nil, 0, uniform(2), 128)) / 128
	if want := 1 / max(flops/device.Flops, reading/device.Bandwidth); f.Prefill < want*.8 || f.Prefill > want*1.2 {
		t.Errorf("prefill %v, want about %v", f.Prefill, want)
	}
}

// TestForecastOfLinks adds up the ways of a batch: each is two crossings, an expert away from a worker's stage four.
func TestForecastOfLinks(t *testing.T) {
	c := sized(2, 4)
	c.Model.NumSelectedExperts = 2
	const read, latency, wire = 1e9, 1e-3, 1e6
	here, there, far := Device{Name: "cpu", Bandwidth: read}, Device{Name: "cpu", Bandwidth: read, Host: "a:1"}, Device{Name: "cpu", Bandwidth: read, Host: "b:1"}
	hosts := []Host{{Address: "a:1", Link: Link{latency, wire}}, {Address: "b:1", Link: Link{2 * latency, wire}}}
	hidden := float64(4 * c.Model.EmbSize)
	q := Quantities{Batches: 3}
	plan := func(devices []Device, stages []int, expert int) Plan {
		p := Plan{Devices: devices, Stages: Cut(2, len(stages), len(stages)), Hosts: hosts}
		for i, d := range stages {
			p.Stages[i].Device = d
		}
		p.Experts = placeLocal(c, p, nil)
		if expert >= 0 {
			p.Experts[1] = []int{expert, expert, expert, expert} // all of them: they are met for sure, by two choices
		}
		return p
	}
	local, err := plan([]Device{here}, []int{0}, -1).Forecast(c, q, Traffic{Streams: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		what      string
		plan      Plan
		want      float64 // seconds beyond those of one device
		crossings int
		bytes     float64
	}{
		{"a stage on a worker", plan([]Device{there}, []int{0}, -1), 2 * (latency + hidden/wire), 2, 2 * hidden},
		{"two stages on a worker", plan([]Device{there}, []int{0, 0}, -1), 4 * (latency + hidden/wire), 4, 4 * hidden},
		{"a stage here, one there", plan([]Device{here, there}, []int{0, 1}, -1), 2 * (latency + hidden/wire), 2, 2 * hidden},
		{"experts of a layer on a worker", plan([]Device{here, there}, []int{0}, 1), 2 * (latency + 2*hidden/wire), 2, 4 * hidden},
		{"experts away from a worker's stage, here", plan([]Device{there, here}, []int{0}, 1), 2*(latency+hidden/wire) + 2*(latency+2*hidden/wire), 4, 6 * hidden},
		{"experts away from a worker's stage", plan([]Device{there, far}, []int{0}, 1), 2*(latency+hidden/wire) + 2*(latency+2*hidden/wire) + 2*(2*latency+2*hidden/wire), 6, 10 * hidden},
		{"experts on another device of the worker", plan([]Device{there, there}, []int{0}, 1), 2 * (latency + hidden/wire), 2, 2 * hidden},
	} {
		f, err := test.plan.Forecast(c, q, Traffic{Streams: 1})
		if err != nil {
			t.Fatal(err)
		}
		near(t, test.what, 1/f.OneStream, 1/local.OneStream+test.want)
		near(t, test.what+": bytes", f.Bytes, test.bytes)
		if f.Crossings != test.crossings {
			t.Errorf("%s: %d crossings, want %d", test.what, f.Crossings, test.crossings)
		}
	}

	// Two streams over two workers with slow links: each waits for its own way around.
	p := plan([]Device{there, far}, []int{0, 1}, -1)
	f, err := p.Forecast(c, q, Traffic{Streams: 2})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "two streams, latency", f.Streams, 2*f.OneStream)
	if f.Limit != "the way of a batch through all stages" || f.Groups != 2 {
		t.Errorf("%+v", f)
	}
	// Without latency the wires of narrow links, or the devices, are what bounds many streams.
	three := sized(3, 4)
	narrow := Plan{Devices: []Device{there, far}, Stages: Cut(3, 3, 1), Hosts: []Host{{Address: "a:1", Link: Link{Bandwidth: 1e5}}}}
	narrow.Experts = placeLocal(three, narrow, nil)
	if f, err = narrow.Forecast(three, Quantities{Batches: 4}, Traffic{Streams: 3}); err != nil {
		t.Fatal(err)
	}
	near(t, "a narrow link", f.Streams, 1e5/(3*hidden))
	if f.Limit != "the link to a:1" || strings.Join(f.Unknown, " ") != "b:1" {
		t.Errorf("%+v", f)
	}
	p.Hosts = []Host{{Address: "b:1", Bandwidth: 1}}
	if f, err = p.Forecast(c, q, Traffic{Streams: 8}); err != nil || f.Limit != "all devices of b:1 together" {
		t.Errorf("%+v, %v", f, err)
	}
	p.Hosts, p.Devices[1].Bandwidth = nil, 1
	if f, err = p.Forecast(c, q, Traffic{Streams: 8}); err != nil || f.Limit != "device 1" {
		t.Errorf("%+v, %v", f, err)
	}
	p.Devices[1].Bandwidth = 0
	if _, err = p.Forecast(c, q, Traffic{}); err == nil || !strings.Contains(err.Error(), "bandwidth of device 1 (b:1=cpu) not stated") {
		t.Error(err)
	}
}

func TestParseRates(t *testing.T) {
	for text, want := range map[string]float64{"10Gbit": 1.25e9, "100Mbit/s": 1.25e7, "20GB": 2e10, "1GiB/s": 1 << 30, "8bit": 1, "5": 5, "1234567.8kbit": 1234567.8e3 / 8} {
		got, err := ParseRate(text)
		if err != nil || math.Abs(got/want-1) > 1e-12 {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
		if back, err := ParseRate(ExactRate(got)); err != nil || back != got {
			t.Errorf("%s: written as %s: %v, %v", text, ExactRate(got), back, err)
		}
	}
	for text, want := range map[string]float64{"400G": 4e11, "1.5T/s": 1.5e12, "2P": 2e15, "7": 7} {
		got, err := ParseFlops(text)
		if back, e := ParseFlops(ExactFlops(got)); err != nil || e != nil || got != want || back != got {
			t.Errorf("%s: %v, %v, %v, want %v; %s", text, got, err, e, want, ExactFlops(got))
		}
	}
	for text, want := range map[string]float64{"0.2ms": 2e-4, "50us": 5e-5, "50µs": 5e-5, "1s": 1, "300ns": 3e-7, "0.123456789ms": 1.23456789e-4} {
		got, err := ParseLatency(text)
		if back, e := ParseLatency(ExactLatency(got)); err != nil || e != nil || math.Abs(got/want-1) > 1e-12 || back != got {
			t.Errorf("%s: %v, %v, %v, want %v", text, got, err, e, want)
		}
	}
	for got, want := range map[string]string{ExactLatency(.2 * 1e-3): "0.2ms", ExactRate(1.25e9): "1.25GB", ExactFlops(4e12): "4T", FormatLatency(2e-4): "200 us", FormatRate(999.6e6): "1 GB", FormatFlops(7): "7"} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if l, err := ParseLink("0.2ms/10Gbit"); err != nil || math.Abs(l.Latency-2e-4) > 1e-15 || l.Bandwidth != 1.25e9 {
		t.Errorf("%+v, %v", l, err)
	}
	for _, bad := range []string{"", "ms", "0ms", "-1ms", "1e3ms", "NaNs", "Infs", "61s", "0x1ms", "1", "1h"} {
		if v, err := ParseLatency(bad); err == nil {
			t.Errorf("latency %q: %v", bad, v)
		}
	}
	for _, bad := range []string{"", "Gbit", "0bit", "-1Gbit", "1e400Gbit", "10Gbits", "x"} {
		if v, err := ParseRate(bad); err == nil {
			t.Errorf("rate %q: %v", bad, v)
		}
	}
	for _, bad := range []string{"", "G", "0", "-1G", "1e3", "NaN", "1GB"} {
		if v, err := ParseFlops(bad); err == nil {
			t.Errorf("operations %q: %v", bad, v)
		}
	}
	for _, bad := range []string{"1ms", "1ms/", "/1GB", "1ms/1GB/2"} {
		if v, err := ParseLink(bad); err == nil {
			t.Errorf("link %q: %v", bad, v)
		}
	}
}

func TestParseDevicesOfHosts(t *testing.T) {
	devices, err := ParseDevices("a:7000=2xcpu:8@64GB, cpu:2, [::1]:70=gpu, a:7000=gpu@80GB")
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		text   string
		number int
	}{{"a:7000=cpu:8@64000000000B", 0}, {"a:7000=cpu:8@64000000000B", 1}, {"cpu:2", 0}, {"[::1]:70=gpu", 0}, {"a:7000=gpu@80000000000B", 2}}
	for i, d := range devices {
		if d.String() != want[i].text || d.Number != want[i].number {
			t.Errorf("%d: %s, number %d, want %+v", i, d, d.Number, want[i])
		}
		if err := d.Check(); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"a=cpu", "a:0=cpu", "a:99999=cpu", ":7000=cpu", "a b:1=cpu", "=cpu", "a:1=", "a:1=b:1=cpu"} {
		if _, err := ParseDevices(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	all, err := Runnable(devices[:3], kernels.SameThreads(1))
	if err != nil || all[1].Threads != devices[1].Threads {
		t.Errorf("%v, %v: what a worker has is the worker's matter", all, err)
	}
}
