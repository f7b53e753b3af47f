package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"troupe/lab"
)

// samples are the documents of an experiment: some to learn from, the others to judge by.
type samples struct {
	calibration, heldOut []lab.Document
}

func sampleFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "text", Usage: "`FILE` to learn from, .txt or .jsonl", DefaultText: "required", TakesFile: true},
		&cli.StringFlag{Name: "held-out", Usage: "`FILE` to judge by", DefaultText: "every other document of --text", TakesFile: true},
		&cli.IntFlag{Name: "limit-tokens", Usage: "about so many tokens of each at most, of all domains", DefaultText: "all"},
	}
}

// readSamples reads --text and --held-out. Without the second, every other document of a domain is held out.
func readSamples(c *cli.Context, l launch) (t samples, err error) {
	if c.String("text") == "" {
		return t, usagef("--text: no file: say what to learn from")
	}
	if t.calibration, err = labDocuments(c.String("text"), l); err != nil {
		return t, err
	}
	if file := c.String("held-out"); file != "" {
		if t.heldOut, err = labDocuments(file, l); err != nil {
			return t, err
		}
	} else {
		if t.calibration, t.heldOut = halves(t.calibration); len(t.heldOut) == 0 {
			return t, usagef("--text: a single document of each domain: want two or more, every other one to judge by, or --held-out FILE")
		}
	}
	if c.IsSet("limit-tokens") {
		most, err := intWithin(c, "limit-tokens", 1<<40)
		if err != nil {
			return t, err
		}
		t.calibration, t.heldOut = atMost(t.calibration, most), atMost(t.heldOut, most)
	}
	return t, nil
}

// labDocuments reads and encodes the documents of a file, each ended with EOS.
func labDocuments(file string, l launch) ([]lab.Document, error) {
	list, err := readDocuments(file)
	if err != nil {
		return nil, err
	}
	t, err := fittingTokenizer(l.dir, l.config)
	if err != nil {
		return nil, err
	}
	if err := encodeDocuments(list, t, int32(l.config.EOSToken), l.config.SequenceLen); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	documents := make([]lab.Document, len(list))
	for i, d := range list {
		name := file
		if d.line > 0 {
			name = fmt.Sprintf("%s: line %d", file, d.line)
		}
		documents[i] = lab.Document{Name: name, Domain: d.domain, IDs: d.ids}
	}
	return documents, nil
}

// halves puts every other document of each domain in the second half.
func halves(list []lab.Document) (first, second []lab.Document) {
	seen := map[string]int{}
	for _, d := range list {
		if seen[d.Domain]++; seen[d.Domain]%2 == 1 {
			first = append(first, d)
		} else {
			second = append(second, d)
		}
	}
	return first, second
}

// atMost keeps of each domain every n-th document, n such that there are about as many tokens at most.
func atMost(list []lab.Document, tokens int) (kept []lab.Document) {
	n := max(1, (tokensOf(list)+tokens-1)/tokens)
	seen := map[string]int{}
	for _, d := range list {
		if seen[d.Domain]%n == 0 {
			kept = append(kept, d)
		}
		seen[d.Domain]++
	}
	return kept
}

func tokensOf(list []lab.Document) (n int) {
	for _, d := range list {
		n += d.Judged()
	}
	return n
}
