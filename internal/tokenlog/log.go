package tokenlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// What is kept back before it is written, and before the disk has it.
const (
	flushAfter  = 100 * time.Millisecond
	flushTokens = 256
	syncAfter   = time.Second
	maxPending  = 1 << 16 // tokens: whoever makes more waits for the disk
)

// file is what a log needs of an [os.File].
type file interface {
	io.Writer
	io.ReaderAt
	io.Closer
	Sync() error
	Truncate(size int64) error
}

// Log is an open token log. It may be shared by goroutines.
type Log struct {
	name  string
	file  file
	begun bool // it has a head, and may be written
	fresh bool // made by Create
	reading

	mu       sync.Mutex
	room     sync.Cond // of mu: less is pending
	queue    []record
	open     map[int]*run // of queue, the last of a request
	pending  int          // tokens in queue
	failed   error        // for good
	suspects func() []Suspect
	told     int // of these

	wake   chan struct{}
	end    chan struct{}
	ending sync.WaitGroup
}

func newLog(name string, f file) *Log {
	l := &Log{name: name, file: f, reading: reading{requests: map[int]*state{}}, open: map[int]*run{}, wake: make(chan struct{}, 1), end: make(chan struct{})}
	l.room.L = &l.mu
	return l
}

// Create makes the file of a new log, and locks it. A file that is there already is an error. Nothing is written before Begin.
func Create(name string) (*Log, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s: is there already: if it is the log of a run that was stopped, go on with --resume, or take another name", name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, bare(err))
	}
	if err := lock(f); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	l := newLog(name, f)
	l.fresh = true
	return l, nil
}

// Begin writes the head and the standard input, all that is needed to run again, and waits until the disk has them.
// suspects, which may be nil, says what kernels were found wrong so far, oldest first.
func (l *Log) Begin(h Head, input []byte, suspects func() []Suspect) error {
	h.Version, h.Input = Version, len(input)
	if err := h.check(); err != nil {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	lines := []record{{Head: &h}}
	for ; len(input) > 0; input = input[min(inputPiece, len(input)):] {
		lines = append(lines, record{Input: input[:min(inputPiece, len(input))]})
	}
	l.head = &h
	return l.start(lines, suspects)
}

// Open opens a log that is there, locks it and reads it. The file is not changed before Continue.
func Open(name string) (*Log, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, bare(err))
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: no regular file, as a token log is", name)
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, bare(err))
	}
	l := newLog(name, f)
	if err = lock(f); err == nil {
		err = l.read(f)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	return l, nil
}

// Continue drops what is left of a torn line and goes on behind it; program says who. suspects are as those of Begin.
func (l *Log) Continue(program string, suspects func() []Suspect) error {
	if err := l.file.Truncate(l.whole); err != nil {
		return fmt.Errorf("%s: %w", l.name, bare(err))
	}
	return l.start([]record{{Resumed: &program}}, suspects)
}

// start writes the first lines of a run and begins to write behind the back of the callers.
func (l *Log) start(lines []record, suspects func() []Suspect) error {
	err := l.write(lines)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", l.name, bare(err))
	}
	l.begun, l.suspects = true, suspects
	l.ending.Go(l.flushing)
	return nil
}

// Head is what the log says of its run.
func (l *Log) Head() Head { return *l.head }

// Name is that of its file.
func (l *Log) Name() string { return l.name }

// Input is the standard input that the log has kept.
func (l *Log) Input() []byte { return l.input }

// Tokens are those of a request that has no result, as they were when the log was opened.
func (l *Log) Tokens(request int) []Token {
	if s := l.requests[request]; s != nil {
		return s.tokens
	}
	return nil
}

// Done tells whether a request had a result when the log was opened.
func (l *Log) Done(request int) bool {
	s := l.requests[request]
	return s != nil && s.done.size > 0
}

// Count says how many requests had results when the log was opened, how many others had tokens, and how many tokens.
func (l *Log) Count() (done, begun, tokens int) {
	for _, s := range l.requests {
		switch {
		case s.done.size > 0:
			done++
		case len(s.tokens) > 0:
			begun++
			tokens += len(s.tokens)
		}
	}
	return done, begun, tokens
}

// Result reads the result of a request that is done into what v points to.
func (l *Log) Result(request int, v any) error {
	where := l.requests[request].done
	line := make([]byte, where.size)
	if _, err := l.file.ReadAt(line, where.at); err != nil {
		return fmt.Errorf("%s: %w", l.name, bare(err))
	}
	r, err := parseLine(line)
	if err == nil && r.Done == nil {
		err = errors.New("it has changed")
	}
	if err == nil {
		err = json.Unmarshal(r.Done.Result, v)
	}
	if err != nil {
		return fmt.Errorf("%s: the result of request %d: %w", l.name, request, err)
	}
	return nil
}

// Add keeps a token of a request, by its index. Its error is that of writing earlier ones.
func (l *Log) Add(request, index int, t Token) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.pending >= maxPending && l.failed == nil {
		l.room.Wait()
	}
	if l.failed != nil {
		return l.failed
	}
	r := l.open[request]
	if r == nil || r.From+len(r.IDs) != index {
		r = &run{Request: request, From: index}
		l.open[request] = r
		l.queue = append(l.queue, record{Tokens: r})
	}
	r.IDs, r.LogProbs, r.Generations, r.Since = append(r.IDs, t.ID), append(r.LogProbs, t.LogProb), append(r.Generations, t.Generation), t.Since
	if l.pending++; l.pending%flushTokens == 0 {
		l.hurry()
	}
	return nil
}

// Finish keeps the result of a request. One that is too long for a line is left out: the request is run to its end
// again when the run goes on.
func (l *Log) Finish(request int, result any) error {
	raw, err := marshal(result)
	if err != nil {
		return fmt.Errorf("%s: the result of request %d: %w", l.name, request, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil && len(raw) < maxLine-100 {
		delete(l.open, request)
		l.queue = append(l.queue, record{Done: &done{request, raw}})
	}
	return l.failed
}

func (l *Log) hurry() {
	select {
	case l.wake <- struct{}{}:
	default: // it has been woken already
	}
}

// flushing writes what comes, until Close.
func (l *Log) flushing() {
	ticker := time.NewTicker(flushAfter)
	defer ticker.Stop()
	synced, dirty := time.Now(), false
	for {
		var last bool
		select {
		case <-l.wake:
		case <-ticker.C:
		case <-l.end:
			last = true
		}
		wrote, err := l.flush()
		dirty = dirty || wrote
		if err == nil && dirty && (last || time.Since(synced) >= syncAfter) {
			err = l.file.Sync()
			synced, dirty = time.Now(), false
		}
		if err != nil {
			l.fail(err)
		}
		if err != nil || last {
			return
		}
	}
}

// flush writes what is pending.
func (l *Log) flush() (wrote bool, err error) {
	l.mu.Lock()
	queue := l.queue
	l.queue, l.pending = nil, 0
	clear(l.open)
	l.room.Broadcast()
	l.mu.Unlock()
	if l.suspects != nil {
		all := l.suspects()
		for _, s := range all[min(l.told, len(all)):] {
			queue = append(queue, record{Suspect: &s})
		}
		l.told = len(all)
	}
	return len(queue) > 0, l.write(queue)
}

// write writes lines in one piece, so that their end is that of a line unless the program ends in between.
func (l *Log) write(lines []record) (err error) {
	var b []byte
	for _, r := range lines {
		if b, err = appendLine(b, r); err != nil {
			return err
		}
	}
	if len(b) > 0 {
		_, err = l.file.Write(b)
	}
	return err
}

func (l *Log) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = fmt.Errorf("%s: %w: what it has is kept: mend that, and go on with --resume", l.name, bare(err))
	l.room.Broadcast()
}

// Close writes what is pending, waits until the disk has it, and closes the file. A file in which nothing was begun is
// removed if it was made for this log.
func (l *Log) Close() error {
	if !l.begun {
		err := l.file.Close()
		if l.fresh {
			err = errors.Join(err, os.Remove(l.name))
		}
		return err
	}
	close(l.end)
	l.ending.Wait()
	return errors.Join(l.failed, l.file.Close())
}

// bare takes the path out of an error, for messages that name it.
func bare(err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return path.Err
	}
	return err
}
