package main

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"troupe/actors"
	"troupe/stages/sched"
)

// TestDoubts: a token rests on its own generation and on all since its request began.
func TestDoubts(t *testing.T) {
	var o origin
	for i, g := range []uint64{2, 2, 3, 3, 5} {
		o.add(sched.Event{Index: i, Generation: g, Since: 1})
	}
	for _, test := range []struct {
		from, to uint64
		first    int // doubtful token; -1: none
	}{
		{0, 0, -1}, {0, 1, 0}, {1, 1, 0}, {2, 2, 0}, {3, 3, 2}, {3, math.MaxUint64, 2}, {4, 4, 4}, {5, 9, 4}, {6, math.MaxUint64, -1},
	} {
		var want []doubt
		if test.first >= 0 {
			want = []doubt{{test.first, 4, "plugin:bad", "b", "r"}}
		}
		if got := o.doubts([]actors.Suspect{{From: test.from, To: test.to, Library: "plugin:bad", Binding: "b", Reason: "r"}}); !reflect.DeepEqual(got, want) {
			t.Errorf("generations %d to %d: %+v, want %+v", test.from, test.to, got, want)
		}
	}
	if got := (&origin{}).doubts([]actors.Suspect{{To: math.MaxUint64}}); got != nil {
		t.Errorf("no tokens: %+v", got)
	}
}

// TestTellLate names requests whose results were printed too early to say it.
func TestTellLate(t *testing.T) {
	var log strings.Builder
	m := &many{program: newProgram(&interrupts{}, nil, nil, &log)}
	for i, id := range []string{`"a"`, `"b"`, `"c"`} {
		m.origins = append(m.origins, told{id: id, origin: origin{since: uint64(i), runs: []tokenRun{{0, 4, uint64(i)}}}})
	}
	m.origins[1].told = 1
	m.tellLate(func(int) []actors.Suspect { return []actors.Suspect{{From: 0, To: 1}} })
	if got := log.String(); !strings.HasSuffix(got, `that they rest on: requests "a"`+"\n") {
		t.Errorf("%s", got)
	}
	log.Reset()
	m.tellLate(func(int) []actors.Suspect { return nil })
	if log.Len() > 0 {
		t.Errorf("%s", log.String())
	}
}
