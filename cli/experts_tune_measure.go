package main

import (
	"context"
	"encoding/json"
	"fmt"

	"troupe/lab"
	"troupe/lab/journal"
	"troupe/router"
)

// part is what documents are for.
type part string

const (
	toLearn part = "calibration"
	toJudge part = "held-out"
)

// unitKey names a measurement: a document judged under a policy.
type unitKey struct {
	Part     part   `json:"part"`
	Experts  string `json:"experts"`
	Document int    `json:"document"`
}

// unit is a line of the journal.
type unit struct {
	unitKey
	Quality lab.Quality `json:"quality"`
}

// openJournal reads what has been measured before. Neither budget nor seed matter to a measurement, so that another
// search goes on from it.
func (t *tuning) openJournal() error {
	if t.file == "" {
		return nil
	}
	identity, err := t.session.identity(t.launch.config)
	if err != nil {
		return err
	}
	fields := []journal.Field{{Name: "model", Value: identity}, {Name: "arith", Value: t.launch.arith.String()}, {Name: "kernels", Value: t.launch.binding.String()},
		{Name: "calibration texts", Value: lab.Identities(t.texts.calibration)}, {Name: "held-out texts", Value: lab.Identities(t.texts.heldOut)},
		{Name: "program", Value: readBuild().String()}}
	t.journal, err = journal.Open(journal.Options{File: t.file, Kind: "experts tune", Version: 1, Fields: fields, Restart: t.restart}, func(line []byte) error {
		var u unit
		if err := json.Unmarshal(line, &u); err != nil {
			return err
		}
		list := t.documents(u.Part)
		if u.Document < 0 || u.Document >= len(list) || u.Quality.Tokens != list[u.Document].Judged() {
			return fmt.Errorf("document %d of %q: no such measurement", u.Document, u.Part)
		}
		t.units[u.unitKey] = u.Quality
		return nil
	})
	if err == nil && t.journal.Lines() > 0 {
		t.notice("%s: %d measurements are there", t.file, t.journal.Lines())
	}
	return err
}

func (t *tuning) closeJournal() error {
	if t.journal == nil {
		return nil
	}
	return t.journal.Close()
}

// tellKept says what an interruption has left.
func (t *tuning) tellKept() {
	if t.journal != nil && t.journal.Lines() > 0 {
		t.notice("%d measurements are in %s: the same command goes on from there", t.journal.Lines(), t.file)
	}
}

// documents are those of a part.
func (t *tuning) documents(of part) []lab.Document {
	if of == toLearn {
		return t.texts.calibration
	}
	return t.texts.heldOut
}

// measure gives the quality of each policy over a part. What has been measured before is not measured again.
func (t *tuning) measure(ctx context.Context, of part, policies []router.Policy) ([]lab.Quality, error) {
	documents := t.documents(of)
	key := func(d, p int) unitKey { return unitKey{of, policies[p].String(), d} }
	known := func(d, p int) bool { _, ok := t.units[key(d, p)]; return ok }
	for d := range documents {
		for p := range policies {
			if known(d, p) {
				t.planned -= int64(documents[d].Judged())
			}
		}
	}
	j := lab.Judge{Engine: t.session.Engine, Model: t.launch.config, Requests: t.launch.concurrency(), Compare: true, Base: t.usual, Memory: t.memory,
		Progress: func(n int) { t.done += int64(n); t.report(t.done, max(t.planned, t.done+1)) }}
	err := j.Run(ctx, documents, policies, t.missing(documents, policies, key), func(u lab.Unit) error {
		k := key(u.Document, u.Policy)
		if t.journal != nil {
			if err := t.journal.Add(unit{k, u.Quality}); err != nil {
				return err
			}
		}
		t.units[k] = u.Quality
		return nil
	})
	if err != nil {
		return nil, err
	}
	sums := make([]lab.Quality, len(policies))
	for p := range policies {
		for d := range documents {
			sums[p].Add(t.units[key(d, p)])
		}
	}
	return sums, nil
}

// missing tells the judge what to leave out: what is known, and a policy that is there twice. It is asked while
// measurements come in, so that it looks at what was known before.
func (t *tuning) missing(documents []lab.Document, policies []router.Policy, key func(d, p int) unitKey) func(d, p int) bool {
	skip := make([][]bool, len(documents))
	for d := range documents {
		skip[d] = make([]bool, len(policies))
		seen := map[unitKey]bool{}
		for p := range policies {
			k := key(d, p)
			_, known := t.units[k]
			skip[d][p] = known || seen[k]
			seen[k] = true
		}
	}
	return func(d, p int) bool { return skip[d][p] }
}
