package main

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"troupe/router"
)

// troupe ctl experts shows what has been counted since the last reset.
func TestCtlExperts(t *testing.T) {
	address := controlled(t, &toyEngine{})
	ctl := func(args ...string) string {
		return troupe(t, "", append([]string{"ctl", "experts", "--control", address}, args...)...).ok(t).out
	}
	const want = `Layer  Tokens  Used  Entropy  Margin    0    1  2
───────────────────────────────────────────────────
    0       1  2.00    1.040   0.000  100  100  0
    1       1  2.00    1.040   0.000  100  100  0
`
	if out := ctl(); out != want+routingLegend {
		t.Errorf("%s, want %s", out, want)
	}
	if n := widthOf(routingLegend); n > 80 {
		t.Errorf("%d columns: %s", n, routingLegend)
	}
	var r routingReport
	if err := json.Unmarshal([]byte(ctl("--json", "--reset")), &r); err != nil {
		t.Fatal(err)
	}
	l := r.Layers[1]
	if l.Layer != 1 || l.Tokens != 2 || l.Used[0] != 2 || l.Used[2] != 0 || l.GateMass[1] != .5 || l.Counts[2] != 2 || l.MarginTokens != 2 || l.Ratio[8] != 2 || l.Together[1][0] != 2 || l.Together[0][2] != 0 {
		t.Errorf("%+v", l)
	}
	if err := json.Unmarshal([]byte(ctl("--json")), &r); err != nil || r.Layers[0].Tokens != 1 {
		t.Errorf("%d tokens since the reset, want 1: %v", r.Layers[0].Tokens, err)
	}
	if o := troupe(t, "", "ctl", "stats", "--reset", "--control", address); o.code != exitUsage {
		t.Errorf("stats --reset: exit %d", o.code)
	}
}

// Of many experts the table shows those at the ends, and the report has no matrix.
func TestRoutingOfManyExperts(t *testing.T) {
	c := router.NewCounters(1, 70, 0, 1)
	probs := make([]float32, 70)
	probs[3], probs[7], probs[69] = .5, .3, .2
	for k := 1; k <= 3; k++ {
		var r router.Routing
		r.Reset(70)
		if err := r.Add(probs, &router.Rule{Count: k}, router.Place{}); err != nil {
			t.Fatal(err)
		}
		c.Count(0, probs, &r, nil)
	}
	report := routingReportOf(c)
	if report.Layers[0].Together != nil {
		t.Error("a matrix of 70 experts")
	}
	var b strings.Builder
	if err := newProgram(&interrupts{}, nil, nil, &b).printRouting(report, &b); err != nil {
		t.Fatal(err)
	}
	if want := "3: 100 %, 7: 67 %, 69: 33 %  68: 0 %, 67: 0 %, 66: 0 %"; !strings.Contains(b.String(), want) {
		t.Errorf("%s, want %s", b.String(), want)
	}
}

// late gives its first report behind the second, if that is asked for meanwhile.
type late struct {
	toyEngine
	order  sync.Mutex
	calls  int
	second chan struct{}
}

func (e *late) routing(ctx context.Context) (router.Counters, error) {
	e.order.Lock()
	e.calls++
	first := e.calls == 1
	c, err := e.toyEngine.routing(ctx)
	e.order.Unlock()
	if first {
		select {
		case <-e.second:
			time.Sleep(20 * time.Millisecond) // until it has been reported
		case <-time.After(100 * time.Millisecond):
		}
	} else {
		close(e.second)
	}
	return c, err
}

// Two that reset at once divide what was counted between them.
func TestResetsAtOnce(t *testing.T) {
	s := &steering{engine: &late{second: make(chan struct{})}}
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			r, err := s.routing(t.Context(), true)
			if err != nil {
				t.Error(err)
				return
			}
			if n := r.Layers[0].Tokens; n != 1 {
				t.Errorf("%d tokens, want 1 in each", n)
			}
		})
	}
	both.Wait()
}
