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
		&cli.IntFlag{Name: "limit-tokens", Usage: "about as many tokens of each at most, from documents all over it", DefaultText: "all"},
	}
}

// readSamples reads --text and --held-out. Without the second, every other document is held out.
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
		if len(t.calibration) < 2 {
			return t, usagef("--text: a single document: want two or more, every other one to judge by, or --held-out FILE")
		}
		all := t.calibration
		t.calibration, t.heldOut = every(all, 2, 0), every(all, 2, 1)
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

// every is each n-th document from the first one on.
func every(list []lab.Document, n, first int) (some []lab.Document) {
	for i := first; i < len(list); i += n {
		some = append(some, list[i])
	}
	return some
}

// atMost takes every n-th document, n such that there are about as many tokens at most; one at least.
func atMost(list []lab.Document, tokens int) []lab.Document {
	total := tokensOf(list)
	return every(list, max(1, (total+tokens-1)/tokens), 0)
}

func tokensOf(list []lab.Document) (n int) {
	for _, d := range list {
		n += d.Judged()
	}
	return n
}
