package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/lab"
	"troupe/router"
)

// read reads what is measured.
func (s *sweeping) read(c *cli.Context) (err error) {
	o := &s.options
	o.Model, o.Arith, o.Compare = s.launch.config, s.launch.arith, !c.Bool("no-kl")
	o.Default = router.Uniform(o.Model.Model.NumSelectedExperts)
	if err := s.readTexts(c); err != nil {
		return err
	}
	if o.Policies, err = readPolicies(c, &s.launch, o.Default); err != nil {
		return err
	}
	o.Trial.Repetitions = c.Int("reps")
	if c.Bool("quick") && !c.IsSet("reps") {
		o.Trial.Repetitions = quickReps
	}
	if o.Trial.Repetitions < 0 || o.Trial.Repetitions > maxReps {
		return badFlag("reps", fmt.Errorf("%d, want 0 to %d", o.Trial.Repetitions, maxReps))
	}
	megabytes := 0
	for _, n := range []struct {
		flag string
		to   *int
		most int
	}{
		{"seeds", &o.Seeds, maxSeeds}, {"kl-memory", &megabytes, 1 << 30}, {"streams", &o.Trial.Streams, maxRows},
		{"n-prompt", &o.Trial.Prompt, o.Model.SequenceLen}, {"n-gen", &o.Trial.Generate, o.Model.SequenceLen},
	} {
		most := n.most
		if !c.IsSet(n.flag) {
			most = max(most, c.Int(n.flag)) // a default that does not fit is made to, below
		}
		if *n.to, err = intWithin(c, n.flag, most); err != nil {
			return err
		}
	}
	if room := o.Model.SequenceLen; !c.IsSet("n-prompt") && !c.IsSet("n-gen") && o.Trial.Prompt+o.Trial.Generate > room {
		o.Trial.Prompt, o.Trial.Generate = max(room/2, 1), room-max(room/2, 1)
	}
	o.Memory = int64(megabytes) << 20
	return nil
}

// readTexts reads and encodes all files: a bad line is told of before anything runs.
func (s *sweeping) readTexts(c *cli.Context) error {
	eos := int32(s.launch.config.EOSToken)
	if c.Bool("no-eos") {
		eos = -1
	}
	add := func(file string, list []document) error {
		documents, err := s.launch.labDocuments(file, list, eos)
		if err != nil {
			return err
		}
		s.files, s.options.Documents = append(s.files, file), append(s.options.Documents, documents...)
		return nil
	}
	for _, file := range c.StringSlice("text") {
		list, err := readDocuments(c.Context, file)
		if err != nil {
			return err
		}
		if err := add(file, list); err != nil {
			return err
		}
	}
	if len(s.files) == 0 {
		list, err := s.launch.defaultDocuments()
		if err != nil {
			return err
		}
		if err := add(heldOut, list); err != nil {
			return err
		}
	}
	most := c.Int("limit-tokens")
	if c.IsSet("limit-tokens") && most < 1 {
		return badFlag("limit-tokens", fmt.Errorf("%d, want 1 or more", most))
	}
	if c.Bool("quick") && !c.IsSet("limit-tokens") {
		most = quickTokens
	}
	if most > 0 {
		s.options.Documents = firstOfEach(s.options.Documents, most)
	}
	return nil
}

// firstOfEach keeps documents, domains in turn, until they have so many tokens; their order stays.
func firstOfEach(list []lab.Document, most int) []lab.Document {
	at := map[string][]int{}
	var domains []string
	for i, d := range list {
		if at[d.Domain] == nil {
			domains = append(domains, d.Domain)
		}
		at[d.Domain] = append(at[d.Domain], i)
	}
	keep := make([]bool, len(list))
	for tokens, left := 0, len(list); tokens < most && left > 0; {
		for _, name := range domains {
			if len(at[name]) == 0 || tokens >= most {
				continue
			}
			i := at[name][0]
			at[name], keep[i] = at[name][1:], true
			tokens += list[i].Judged()
			left--
		}
	}
	var kept []lab.Document
	for i, d := range list {
		if keep[i] {
			kept = append(kept, d)
		}
	}
	return kept
}

// readPolicies reads --counts and --experts, each policy once, the default one among them.
func readPolicies(c *cli.Context, l *launch, usual router.Policy) ([]router.Policy, error) {
	counts, err := readCounts(c.String("counts"), l.config.Model.NumExperts, l.config.Model.NumSelectedExperts)
	if err != nil {
		return nil, badFlag("counts", err)
	}
	var list []router.Policy
	add := func(p router.Policy) {
		if !slices.ContainsFunc(list, p.Equal) {
			list = append(list, p)
		}
	}
	for _, k := range counts {
		add(router.Uniform(k))
	}
	for _, spec := range c.StringSlice("experts") {
		p, err := policyOf(c.Context, spec, l.config)
		if err != nil {
			return nil, &usageError{err: err}
		}
		add(p)
	}
	if !slices.ContainsFunc(list, usual.Equal) {
		list = slices.Insert(list, 0, usual)
	}
	if len(list) > maxPolicies {
		return nil, usagef("%d policies, want at most %d", len(list), maxPolicies)
	}
	return list, nil
}

// readCounts reads "1-8" or "1,2,4"; "" is all counts, or of many experts powers of two, the model's own and all.
func readCounts(list string, experts, selected int) (counts []int, err error) {
	switch strings.TrimSpace(list) {
	case "none":
		return nil, nil
	case "":
		for k := 1; k <= experts; k++ {
			if experts <= manyExperts || k&(k-1) == 0 || k == selected || k == experts {
				counts = append(counts, k)
			}
		}
		return counts, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		low, err := strconv.Atoi(strings.TrimSpace(from))
		high, other := strconv.Atoi(strings.TrimSpace(to))
		if errors.Join(err, other) != nil || low < 1 || high > experts || low > high {
			return nil, fmt.Errorf("%q, want counts from 1 to %d, as 1-%d, or 1,2, or none", part, experts, experts)
		}
		for k := low; k <= high; k++ {
			counts = append(counts, k)
		}
	}
	slices.Sort(counts)
	return slices.Compact(counts), nil
}
