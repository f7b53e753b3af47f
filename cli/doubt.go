package main

import (
	"fmt"
	"strings"

	"troupe/actors"
	"troupe/stages/sched"
)

// origin says which generations of kernels the tokens of a request rest on.
type origin struct {
	since uint64     // of the first batch with rows of the request
	runs  []tokenRun // of tokens, in order
}

// tokenRun are tokens of one generation, from one index to before another.
type tokenRun struct {
	from, to   int
	generation uint64
}

// add notes a new token.
func (o *origin) add(e sched.Event) {
	o.since = e.Since
	if n := len(o.runs); n > 0 && o.runs[n-1].generation == e.Generation {
		o.runs[n-1].to = e.Index + 1
		return
	}
	o.runs = append(o.runs, tokenRun{e.Index, e.Index + 1, e.Generation})
}

// doubt is a run of a request's tokens that a library had a part in which was found wrong.
type doubt struct {
	From    int    `json:"from"` // index of the first token
	To      int    `json:"to"`   // of the last one: all later ones, too, rest on what was computed meanwhile
	Library string `json:"library"`
	Binding string `json:"binding"`
	Reason  string `json:"reason"`
}

// doubts are those of a request. A token rests on everything that was computed since the request began: on its own
// generation and all before it.
func (o *origin) doubts(suspects []actors.Suspect) (list []doubt) {
	for _, s := range suspects {
		for i, r := range o.runs {
			if o.since <= s.To && r.generation >= s.From {
				list = append(list, doubt{o.runs[i].from, o.runs[len(o.runs)-1].to - 1, s.Library, s.Binding, s.Reason})
				break
			}
		}
	}
	return list
}

// tellDoubts says which tokens of a result are doubtful; id is empty where there is one request.
func (p *program) tellDoubts(id string, r result) {
	for _, d := range r.Kernels {
		of := ""
		if id != "" {
			of = " of request " + id
		}
		p.notice("tokens %d to %d%s rest on kernels that were found wrong: %s: %s", d.From, d.To, of, d.Library, strings.TrimSpace(d.Reason))
	}
}

// late are requests whose results were printed before their kernels were found wrong.
func (m *many) tellLate(suspects func(replica int) []actors.Suspect) {
	var ids []string
	for _, o := range m.origins {
		if len(o.origin.doubts(suspects(o.replica))) > o.told {
			ids = append(ids, o.id)
		}
	}
	const shown = 20
	more := ""
	if len(ids) > shown {
		more = fmt.Sprintf(" and %d more", len(ids)-shown)
		ids = ids[:shown]
	}
	if len(ids) > 0 {
		m.notice("after their results were printed, kernels were found wrong that they rest on: requests %s%s", strings.Join(ids, ", "), more)
	}
}

// told is what remains of a request that has ended.
type told struct {
	id      string
	origin  origin
	told    int // doubts in its result
	replica int // whose kernels computed it
}
