package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"troupe/actors"
)

// kernelEvent is a step in the life of a binding, as --kernel-events and troupe ctl have it; its names are a promise.
type kernelEvent struct {
	Time        time.Time         `json:"time"`
	Step        string            `json:"step"`       // compile, shadow, promote, verify, mismatch, fault, restart, rollback
	Generation  uint64            `json:"generation"` // of the batches that it holds for
	Binding     string            `json:"binding,omitempty"`
	Library     string            `json:"library,omitempty"` // that this is about
	Batches     int               `json:"batches,omitempty"` // that came home since the step began
	Comparisons int               `json:"comparisons,omitempty"`
	Experts     int               `json:"experts,omitempty"`      // that change
	ExpertsSeen int               `json:"experts_seen,omitempty"` // of these, compared
	Worst       *kernelDifference `json:"worst,omitempty"`
	OldMicros   float64           `json:"old_micros,omitempty"` // of a call, on the same inputs
	NewMicros   float64           `json:"new_micros,omitempty"`
	Launches    uint64            `json:"launches,omitempty"` // of the library, for outputs that went on
	Share       float64           `json:"share,omitempty"`    // of the time of all libraries
	Fault       string            `json:"fault,omitempty"`    // crash, hang, lie, lost, error
	LostMillis  float64           `json:"lost_ms,omitempty"`  // from the fault to the end of the calls' second run
	From        uint64            `json:"from,omitempty"`     // first and last generation that what is rolled back has
	To          uint64            `json:"to,omitempty"`       // served
	Reason      string            `json:"reason,omitempty"`
}

// kernelDifference is where two libraries are furthest apart.
type kernelDifference struct {
	Op       string   `json:"op"`
	Layer    int      `json:"layer"`  // -1: outside the layers
	Expert   int      `json:"expert"` // -1: none
	Row      int      `json:"row"`    // of the batch
	Element  int      `json:"element"`
	What     string   `json:"what,omitempty"` // output, keys, values
	Got      *float64 `json:"got"`            // null: not finite
	Want     *float64 `json:"want"`           //
	Relative *float64 `json:"relative"`       // to the largest magnitude of the output; null: beyond numbers
	Text     string   `json:"text"`           // all of that
}

// finite is a number that JSON can hold, or nil.
func finite(f float64) *float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return &f
}

// words is the event in a line.
func (e kernelEvent) words() string {
	subject := e.Binding
	if subject == "" {
		subject = e.Library
	}
	var say []string
	if e.Fault != "" && e.Library != "" && e.Library != subject {
		say = append(say, e.Library+" "+e.Fault)
	} else if e.Fault != "" {
		say = append(say, e.Fault)
	}
	if e.Reason != "" {
		say = append(say, e.Reason)
	}
	switch {
	case e.Step == actors.StepPromote: // what the trial has shown stands in the line before
	case e.Comparisons > 0:
		say = append(say, e.compared())
	case e.Step == actors.StepVerify && e.Batches > 0:
		say = append(say, counted(e.Batches, "batch", "batches")+", none compared")
	}
	if e.OldMicros > 0 && e.NewMicros > 0 && e.Step != actors.StepPromote {
		say = append(say, fmt.Sprintf("old %s µs, new %s µs a call", digits(e.OldMicros), digits(e.NewMicros)))
	}
	if e.LostMillis > 0 {
		say = append(say, fmt.Sprintf("%s ms lost", digits(e.LostMillis)))
	}
	if e.Launches > 0 {
		say = append(say, counted(int(e.Launches), "launch", "launches")+", "+percent(e.Share)+" of the time")
	}
	if e.To > 0 {
		say = append(say, "it served "+generations(e.From, e.To))
	}
	if e.Step == actors.StepShadow && len(say) == 0 {
		say = append(say, "begins")
	}
	line := "kernels: " + stepWords(e.Step)
	for _, part := range []string{subject, strings.Join(say, "; ")} {
		if part != "" {
			line += ": " + part
		}
	}
	return line
}

// compared says what comparing has shown.
func (e kernelEvent) compared() string {
	s := plural(e.Comparisons, "comparison")
	if e.Batches > 0 {
		s = counted(e.Batches, "batch", "batches") + ", " + s
	}
	switch w := e.Worst; {
	case w == nil:
		s += ", identical"
	case w.Relative == nil:
		s += ", beyond numbers"
	default:
		s += fmt.Sprintf(", worst difference %.2g", *w.Relative)
	}
	if e.Worst != nil && !strings.Contains(e.Reason, e.Worst.Text) {
		s += " (" + e.Worst.Text + ")"
	}
	if e.Experts > 0 {
		s += fmt.Sprintf(", %d of %d experts seen", e.ExpertsSeen, e.Experts)
	}
	return s
}

// stepWords names a step for people.
func stepWords(step string) string {
	switch step {
	case actors.StepPromote:
		return "promoted"
	case actors.StepRollback:
		return "rolled back"
	case actors.StepRestart:
		return "restarted"
	}
	return step
}

// counted is a number of things that have a plural of their own.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(int64(n)) + " " + many
}
