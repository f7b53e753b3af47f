package main

import (
	"errors"

	"github.com/urfave/cli/v2"

	"troupe/lab/page"
	"troupe/lab/trace"
)

// files begins --html and --out. finish ends them: they take their names when all went well, and are gone otherwise.
func (t *tracing) files(c *cli.Context) (finish func(error) error, err error) {
	var ends []func(error) error
	finish = func(err error) error {
		for _, end := range ends {
			err = end(err)
		}
		return err
	}
	if name := c.String("html"); name != "" {
		file, err := createFile(name)
		if err != nil {
			return nil, err
		}
		t.page = t.newPage()
		ends = append(ends, func(err error) error {
			if err == nil {
				err = t.page.Write(file)
			}
			if err = file.finish(err); err == nil {
				t.tellPage(name)
			}
			return err
		})
	}
	if name := c.String("out"); name != "" {
		file, err := createFile(name)
		if err != nil {
			return nil, finish(err)
		}
		if t.out, err = trace.NewWriter(file, t.source.header); err != nil {
			return nil, finish(file.finish(err))
		}
		ends = append(ends, func(err error) error { return file.finish(errors.Join(err, t.out.Close())) })
	}
	return finish, nil
}

func (t *tracing) newPage() *page.Page {
	p := &page.Page{Title: "Which expert each word went to", Facts: about(t.source.header), Layer: t.view.layers[len(t.view.layers)-1], Counts: t.counts}
	if t.wrote {
		p.Title = "Which expert wrote each word"
	}
	return p
}

// tellPage says what the page has.
func (t *tracing) tellPage(name string) {
	shown, left := t.page.Words()
	if left > 0 {
		t.notice("%s: the page shows the first %s words, %s more would make it slow", name, thousands(int64(shown)), thousands(int64(left)))
	} else {
		t.notice("%s: a page of %s words", name, thousands(int64(shown)))
	}
}
