package main

import (
	"errors"
	"strings"
	"testing"

	"troupe/actors"
)

// What is said of the company, and moves that cannot be read.
func TestCtlCompany(t *testing.T) {
	e := &toyEngine{}
	address := controlled(t, e)
	ctl := func(args string) outcome {
		return troupe(t, "", append(strings.Fields("ctl "+args), "--control", address)...)
	}
	status := ctl("status").ok(t).out
	for _, want := range []string{"worker b:7000: lost: silent for 3s", "device local/0: cpu, 1 stage", "stage 0: layers 0-1 on local/0, 0 batches inside", "credits: 2 home, 0 away"} {
		if !strings.Contains(status, want) {
			t.Errorf("status %q, want %q", status, want)
		}
	}
	moved := ctl("move expert=3.5 to=b:7000/1").ok(t).out
	if !strings.Contains(moved, "expert=3.5 moved from local/0 to b:7000/1") || !strings.Contains(moved, "3 rows computed again, 1 batch sent again") {
		t.Errorf("move says %q", moved)
	}
	if last := e.asked[len(e.asked)-1]; last != "move expert=3.5 to b:7000/1" {
		t.Errorf("asked for %q", last)
	}
	for words, want := range map[string]string{"stage=2": "want a part and a device", "stage=x to=local": "not a number", "stage=1 to=b": "neither local nor a worker's",
		"chair=1 to=local": "not one of stage, router, expert"} {
		if o := ctl("move " + words); o.code != 2 || !strings.Contains(o.err, want) {
			t.Errorf("move %s: code %d, %q, want 2 and %q", words, o.code, o.err, want)
		}
	}
}

// What goes to a terminal is one write: it takes each for whole lines. The reason of a loss does not repeat what stands before it.
func TestCompanyIsPrintedAtOnce(t *testing.T) {
	why := errors.New("worker b:7000: lost: the connection ended")
	w := &writes{}
	if err := companyOf(actors.Company{Hosts: []actors.HostStatus{{Address: "b:7000", Lost: why}}, Stages: []actors.SeatStatus{{Inside: 2}}}).print(w); err != nil {
		t.Fatal(err)
	}
	if len(*w) != 1 || !strings.Contains((*w)[0], "  worker b:7000: lost: the connection ended\n") || !strings.Contains((*w)[0], "2 batches inside (for 0 ms), busy") {
		t.Errorf("printed %q", *w)
	}
}

type writes []string

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, string(p))
	return len(p), nil
}
