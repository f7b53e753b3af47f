package main

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// kernelStatus is how the kernels of a running engine are; its names are a promise.
type kernelStatus struct {
	Generation uint64          `json:"generation"` // of new batches
	Binding    string          `json:"binding"`    // in force; "": the best library for everything
	Previous   string          `json:"previous"`   // before the last promotion: what a roll-back goes to
	CanRoll    bool            `json:"can_roll_back"`
	Swap       *swapStatus     `json:"swap"` // null: none under way
	Libraries  []libraryStatus `json:"libraries"`
	Suspects   []suspectStatus `json:"suspects"` // generations whose results a wrong library may have had a part in
}

// swapStatus is a swap, or the return of a library that failed, under way.
type swapStatus struct {
	Binding     string            `json:"binding"`
	Step        string            `json:"step"`     // shadow, restart
	Recovery    bool              `json:"recovery"` // the return of a library that failed
	Batches     int               `json:"batches"`  // that have come home
	Wanted      int               `json:"wanted"`   // batches to compare
	Comparisons int               `json:"comparisons"`
	Experts     int               `json:"experts"` // that change
	ExpertsSeen int               `json:"experts_seen"`
	Worst       *kernelDifference `json:"worst"`
	OldMicros   float64           `json:"old_micros"` // of a call, on the same inputs
	NewMicros   float64           `json:"new_micros"`
}

// libraryStatus is what a library has done since the start, on all devices.
type libraryStatus struct {
	Library     string            `json:"library"`
	PIDs        []int             `json:"pids,omitempty"` // of its processes, if it has some
	Failed      bool              `json:"failed"`         // it is left alone
	Launches    uint64            `json:"launches"`       // for outputs that went on
	Rows        uint64            `json:"rows"`
	Beside      uint64            `json:"beside"` // launches to compare
	Share       float64           `json:"share"`  // of the time of all libraries
	Comparisons uint64            `json:"comparisons"`
	Worst       *kernelDifference `json:"worst"`
	Faults      int               `json:"faults"`
	Restarts    int               `json:"restarts"`
}

// suspectStatus is a range of generations.
type suspectStatus struct {
	From    uint64 `json:"from"`
	To      uint64 `json:"to"` // the largest number: batches still run so
	Library string `json:"library"`
	Binding string `json:"binding"`
	Reason  string `json:"reason"`
}

// print writes the status as a table.
func (s kernelStatus) print(p *program, w io.Writer) error {
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s"+format+"\n", append([]any{what}, args...)...)
	}
	line("binding", "%s", orBest(s.Binding))
	if s.CanRoll {
		line("previous", "%s", orBest(s.Previous))
	}
	line("generation", "%d", s.Generation)
	if t := s.Swap; t != nil {
		what := "swap"
		if t.Recovery {
			what = "return"
		}
		line(what, "%s: %s, %d of %s, %s", t.Binding, t.Step, min(t.Batches, t.Wanted), counted(t.Wanted, "batch", "batches"), plural(t.Comparisons, "comparison"))
	}
	for _, r := range s.Suspects {
		line("suspect", "%s: %s: %s", generations(r.From, r.To), r.Library, r.Reason)
	}
	var rows [][]string
	for _, l := range s.Libraries {
		var pids []string
		for _, pid := range l.PIDs {
			pids = append(pids, fmt.Sprint(pid))
		}
		note := ""
		if l.Worst != nil {
			note = l.Worst.Text
		}
		if l.Failed {
			note = "failed, left alone"
		}
		rows = append(rows, []string{l.Library, strings.Join(pids, " "), fmt.Sprint(l.Launches), percent(l.Share), fmt.Sprint(l.Beside), fmt.Sprint(l.Comparisons),
			fmt.Sprint(l.Faults), fmt.Sprint(l.Restarts), note})
	}
	if len(rows) > 0 {
		b.WriteString("\n" + p.tableOf([]string{"Library", "PID", "Launches", "Time", "Beside", "Compared", "Faults", "Restarts", ""}, rows, 1, 2, 3, 4, 5, 6, 7))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// generations names a run of them; the last may be open.
func generations(from, to uint64) string {
	switch to {
	case from:
		return fmt.Sprintf("generation %d", from)
	case math.MaxUint64:
		return fmt.Sprintf("generation %d and later", from)
	}
	return fmt.Sprintf("generations %d to %d", from, to)
}

// orBest names the empty binding.
func orBest(binding string) string {
	if binding == "" {
		return "the best library for everything"
	}
	return binding
}
