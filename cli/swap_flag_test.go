package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"troupe/kernels"
)

func TestParseSwap(t *testing.T) {
	for spec, want := range map[string]swapSpec{
		"token=20 expert=plugin:mine shadow=4":   {token: 20, text: "expert=plugin:mine", shadow: 4},
		" shadow=0   token=0 cpu/generic ":       {token: 0, text: "cpu/generic", shadow: -1},
		"token=1 expert=ref, attend@0-3=cpu":     {token: 1, text: "expert=ref, attend@0-3=cpu"},
		"expert=ref token=9223372036854775807":   {token: 1<<63 - 1, text: "expert=ref"},
		"token=3 shadow=1000000 @4-5=plugin:a/b": {token: 3, text: "@4-5=plugin:a/b", shadow: 1000000},
	} {
		if s, err := parseSwap(spec); err != nil || s.token != want.token || s.text != want.text || s.shadow != want.shadow {
			t.Errorf("%q: %+v, %v, want %+v", spec, s, err, want)
		}
	}
	for spec, want := range map[string]string{
		"": "no token", "expert=ref": "no token", "token=1": "no binding", "token=-1 ref": `token "-1"`, "token ref": `token ""`,
		"token=1 token=2 ref": "token stands twice", "token=1 ref shadow=1 shadow=2": "shadow stands twice", "token=1 ref shadow=-1": `shadow "-1"`,
		"token=1 ref shadow=1000001": `shadow "1000001"`, "token=1 ref shadow=many": `shadow "many"`, "token=18446744073709551615 ref": "an integer from 0",
	} {
		if _, err := parseSwap(spec); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), swapGrammar) {
			t.Errorf("%q: %v, want %q", spec, err, want)
		}
	}
}

// swapNotes is an engine that notes after how many tokens it was swapped.
type swapNotes struct {
	toyEngine
	swapper *swapper
	at      []uint64
}

func (e *swapNotes) swap(context.Context, kernels.Binding, int) error {
	e.at = append(e.at, e.swapper.made())
	e.swapper.steering.publish(kernelEvent{Step: "rollback"})
	return errors.New("no")
}

// TestSwapper: swaps begin in order, each when its tokens are there; those that never do are named.
func TestSwapper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		p := newProgram(&interrupts{}, nil, nil, &log)
		e := &swapNotes{}
		s := &swapper{program: p, steering: &steering{engine: e}, list: []swapSpec{{token: 0, text: "a"}, {token: 3, text: "b"}, {token: 3, text: "c"}, {token: 9, text: "d"}}}
		e.swapper = s
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { s.run(ctx) })
		for range 5 {
			synctest.Wait()
			s.drawn()
		}
		synctest.Wait()
		cancel()
		running.Wait()
		if len(e.at) != 3 || e.at[0] != 0 || e.at[1] != 3 || e.at[2] != 3 {
			t.Errorf("swapped at %v, want 0, 3, 3", e.at)
		}
		if !strings.Contains(log.String(), "troupe: --swap: d never began: 5 tokens were made, and it waits for 9\n") || strings.Contains(log.String(), "c never") {
			t.Errorf("%s", log.String())
		}
		(*swapper)(nil).drawn()
	})
}
