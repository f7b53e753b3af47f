package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"troupe/actors"
	"troupe/ckpt/mirror"
	"troupe/internal/load"
	"troupe/model"
	"troupe/stages"
	"troupe/surgery"
)

const (
	fetchPieces = 8                // on their way at a time
	fetchLines  = 10 * time.Second // between two lines about a fetch where no bar can stand
	fetchWords  = time.Second      // between two words about it to the head
)

// fetchFlags are of workers without a model directory.
func fetchFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "fetch", Usage: "fetch weights from the host of the run, instead of reading a model directory", Category: workersCategory},
		&cli.StringFlag{Name: "cache", Usage: "`DIR` where fetched weights are kept", DefaultText: "troupe/weights among the user's caches", TakesFile: true, Category: workersCategory},
		&cli.StringFlag{Name: "cache-limit", Usage: "most `BYTES` of disk for them, as 100GB", DefaultText: "what the disk has", Category: workersCategory},
	}
}

// readFetch says whether a worker fetches, and where to.
func (p *program) readFetch(c *cli.Context) (fetch bool, o mirror.Options, err error) {
	o.Log = p.logs.part("ckpt")
	if fetch = c.Bool("fetch"); !fetch {
		for _, flag := range []string{"cache", "cache-limit"} {
			if c.IsSet(flag) {
				return false, o, usagef("--%s is for a worker that fetches: add --fetch, or leave it out", flag)
			}
		}
		return false, o, nil
	}
	for _, flag := range []string{"model", "overlay"} {
		if c.IsSet(flag) {
			return true, o, usagef("--fetch and --%s: what is fetched comes with the run: give one of them", flag)
		}
	}
	if text := c.String("cache-limit"); text != "" {
		limit, err := humanize.ParseBytes(text)
		if err != nil || limit == 0 || limit > math.MaxInt64 {
			return true, o, badFlag("cache-limit", fmt.Errorf("%q, want bytes above 0, as 100GB", text))
		}
		o.Limit = int64(limit)
	}
	switch {
	case c.Bool("shm") && c.IsSet("cache"):
		return true, o, usagef("--shm and --cache: what is fetched is kept in memory or on disk: give one of them")
	case c.Bool("shm"):
		o.Dir, o.Temporary = mirror.SharedMemory(), true
	case c.String("cache") != "":
		o.Dir = c.String("cache")
	default:
		if o.Dir, err = mirror.CacheDirectory(); err != nil {
			return true, o, fmt.Errorf("%w (--cache)", err)
		}
	}
	return true, o, nil
}

// fetcher opens parts of models that heads lend.
func (p *program) fetcher(o offered) actors.Fetch {
	return func(c model.Config, from *actors.Lender) actors.Load {
		return func(ctx context.Context, spans []stages.Span, expert func(layer, expert int) bool) (stages.Weights, func() error, error) {
			part := o.launch
			part.dir, part.config, part.need = directory{name: "weights of " + from.Head()}, c, load.NeedOf(c, spans, expert)
			m, err := p.openFetched(ctx, part, o.cache, from)
			if err != nil {
				if ctx.Err() == nil { // else the end of the session says why
					p.logs.part("worker").Error("no weights for what the run puts here", "error", err)
				}
				return nil, nil, err
			}
			return m.Weights, m.Close, nil
		}
	}
}

// openFetched opens what a launch needs of the model of a head, once it is here.
func (p *program) openFetched(ctx context.Context, l launch, opt mirror.Options, from *actors.Lender) (_ *opened, err error) {
	raw, err := from.Overlay(ctx)
	if err != nil {
		return nil, err
	}
	if len(raw) > 0 {
		if l.overlay, err = surgery.Parse(raw); err != nil {
			return nil, l.dir.blame(err)
		}
	}
	if raw, err = from.Manifest(ctx); err != nil {
		return nil, err
	}
	m, err := mirror.Parse(raw)
	if err != nil {
		return nil, l.dir.blame(err)
	}
	v, err := mirror.Open(ctx, opt, m)
	if err != nil {
		return nil, err
	}
	if err = p.fetch(ctx, v, l, from); err == nil {
		l.files, err = l.fetchedConfig(v)
	}
	if err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return p.openCopied(ctx, l, v)
}

// fetch gets what is missing, and says so here and there.
func (p *program) fetch(ctx context.Context, v *mirror.Mirror, l launch, from *actors.Lender) error {
	total := v.Missing(l.wants())
	if total > 0 {
		p.notice("fetching %s from %s", humanBytes(total), from.Head())
		from.Tell(0, total)
	}
	start := time.Now()
	line, word := start, start
	bar, end := p.progress("fetching", inBytes)
	err := v.Fetch(ctx, from, l.wants(), fetchPieces, func(done, total int64) {
		bar(done, total)
		now := time.Now()
		if !p.err.terminal && now.Sub(line) > fetchLines && done < total {
			p.notice("fetched %s of %s", humanBytes(done), humanBytes(total))
			line = now
		}
		if now.Sub(word) > fetchWords || done == total {
			from.Tell(done, total)
			word = now
		}
	})
	end()
	if took := time.Since(start); err == nil && total > 0 {
		p.notice("fetched %s in %s (%s/s)", humanBytes(total), seconds(took), humanBytes(perSecond(total, took)))
	}
	return err
}

// fetchedConfig is the configuration of fetched files. With the overlay it must make that of the run.
func (l launch) fetchedConfig(v *mirror.Mirror) (files model.Config, err error) {
	if files, err = load.Config(v); err != nil {
		return files, l.dir.blame(err)
	}
	made := files
	if l.overlay != nil {
		if made, err = l.overlay.Config(files); err != nil {
			return files, l.dir.blame(err)
		}
	}
	got, err := json.Marshal(made)
	if err != nil {
		return files, err
	}
	want, err := json.Marshal(l.config)
	if err == nil && string(got) != string(want) {
		err = l.dir.blame(errors.New("config.json is not that of the run: it was changed after the run began: start the run again"))
	}
	return files, err
}
