package place

import (
	"fmt"
	"strings"
	"testing"

	"troupe/stages"
)

// TestExplainAddsUp: the parts of a device are its budget.
func TestExplainAddsUp(t *testing.T) {
	c := sized(4, 5)
	q := Quantities{Cache: stages.CacheSize{Blocks: 3}, Batches: 2, Limits: stages.Limits{Rows: 4, Draws: 1, Sequences: 1, Experts: 2}}
	for _, test := range []struct {
		devices, head int
		o             Options
		why           string // of stage 0
	}{
		{1, 0, Options{}, "all layers in one stage"},
		{1, 0, Options{Stages: 3}, "the layers cut evenly into 3 stages, in runs on each device"},
		{2, 999, Options{Strategy: "spread"}, "the layers cut evenly into 2 stages"},
		{2, 0, Options{ExpertDevices: cpus(2)}, "the layers cut evenly into 2 stages"},
		{3, 0, Options{Strategy: "auto"}, "auto: 2 of 4 layers for 1 of 3 threads"},
	} {
		q.Head = int64(test.head)
		p := mustMake(t, c, cpus(test.devices), test.o)
		b := p.Budget(c, q)
		sums := make([]int64, len(p.Devices))
		why := ""
		for _, x := range p.Explain(c, q, test.o.Reasons(c, p)) {
			sums[x.Device] += x.Bytes
			if x.Why == "" || x.Where == "" {
				t.Errorf("%+v: %+v, want a place and a reason", test, x)
			}
			if x.What == "stage 0" {
				why = x.Why
			}
		}
		for i, sum := range sums {
			if want := b.Devices[i].Total(); sum != want {
				t.Errorf("%+v: device %d: parts have %d bytes, budget %d", test, i, sum, want)
			}
		}
		if why != test.why {
			t.Errorf("%+v: stage 0: %q, want %q", test, why, test.why)
		}
	}
}

func TestGroups(t *testing.T) {
	p := Plan{Experts: [][]int{{0, 0, 1}, {1, 0, 0}, {0, 0, 1}, {0, 0, 0}}}
	var got []string
	for _, g := range p.Groups(nil) {
		got = append(got, fmt.Sprintf("%s@%d in %s", strings.Join(Runs(g.Experts), ","), g.Device, strings.Join(Runs(g.Layers), ",")))
	}
	if s := strings.Join(got, "; "); s != "0-1@0 in 0,2; 2@1 in 0,2; 0@1 in 1; 1-2@0 in 1; 0-2@0 in 3" {
		t.Error(s)
	}
	if tagged := p.Groups(func(layer, expert int) int { return expert }); len(tagged) != 5 || tagged[3].Tag != 0 || tagged[3].Device != 1 {
		t.Errorf("%+v", tagged)
	}
}
