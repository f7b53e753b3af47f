package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// console is standard error. While a progress bar stands there, lines go above it.
type console struct {
	terminal bool

	mu    sync.Mutex
	w     io.Writer
	above io.Writer // of the bar; nil: none
}

func newConsole(w io.Writer) *console { return &console{w: w, terminal: isTerminal(w)} }

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.above != nil {
		return c.above.Write(b)
	}
	return c.w.Write(b)
}

func (c *console) setBar(above io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.above = above
}

// notice tells of what was done: a line that --quiet drops. On a terminal where a text is being written it
// begins a new line.
func (p *program) notice(format string, args ...any) {
	if p.quiet {
		return
	}
	begin := ""
	if p.midLine.Swap(false) {
		begin = "\n"
	}
	fmt.Fprintf(p.err, begin+"troupe: "+format+"\n", args...)
}

// print writes to standard output, and remembers whether it has ended in the middle of a terminal's line.
func (p *program) print(text string) error {
	_, err := io.WriteString(p.out, text)
	if text != "" {
		p.midLine.Store(p.err.terminal && isTerminal(p.out) && !strings.HasSuffix(text, "\n"))
	}
	return err
}

// barDelay spares work that is done at once a bar.
const barDelay = 200 * time.Millisecond

// progress draws a bar on standard error if that is a terminal. report is told of work done, from any
// goroutine, one call at a time; end removes the bar.
func (p *program) progress(what string, unit decorUnit) (report func(done, total int64), end func()) {
	if !p.err.terminal || p.quiet {
		return func(int64, int64) {}, func() {}
	}
	var bars *mpb.Progress
	var bar *mpb.Bar
	start := time.Now()
	report = func(done, total int64) {
		if bar == nil && (time.Since(start) < barDelay || done >= total) {
			return
		}
		if bar == nil {
			bars = mpb.New(mpb.WithOutput(p.err.w), mpb.WithWidth(36))
			bar = bars.AddBar(total, mpb.BarRemoveOnComplete(),
				mpb.PrependDecorators(decor.Name(what, decor.WCSyncSpaceR), unit()),
				mpb.AppendDecorators(decor.Percentage(), decor.Name(" "), decor.AverageETA(decor.ET_STYLE_GO)))
			p.err.setBar(bars)
		}
		bar.SetTotal(total, false)
		bar.SetCurrent(done)
	}
	end = func() {
		if bar == nil {
			return
		}
		bar.Abort(true)
		bars.Wait()
		p.err.setBar(nil)
	}
	return report, end
}

// decorUnit shows how much is done.
type decorUnit func() decor.Decorator

func inBytes() decor.Decorator  { return decor.CountersKiloByte("% .1f / % .1f ") }
func inCases() decor.Decorator  { return decor.CountersNoUnit("%d / %d cases ") }
func inTexts() decor.Decorator  { return decor.CountersNoUnit("%d / %d texts ") }
func inTokens() decor.Decorator { return decor.CountersNoUnit("%d / %d tokens ") }

// colours tells whether tables may have them.
func (p *program) colours() bool { return isTerminal(p.out) && os.Getenv("NO_COLOR") == "" }
