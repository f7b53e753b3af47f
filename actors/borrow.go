package actors

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"troupe/actors/internal/wire"
)

const (
	// fetchesAtOnce is how many questions a worker has open at a time. Each is held in memory on both sides.
	fetchesAtOnce = 8
	// fetchTries is how often a piece is asked for that the head cannot read, or does not send.
	fetchTries = 3
	// fetchPause comes between two tries, longer each time.
	fetchPause = 200 * time.Millisecond
	// fetchPatience is how long nothing at all may come while something is asked for.
	fetchPatience = 10 * time.Second
	// mostText bounds the texts that describe the files.
	mostText = 32 << 20
)

// Lender is the head of a worker's session as one that has the files of its model.
type Lender struct {
	s     *session
	slots chan struct{} // has room for whoever asks

	mu       sync.Mutex
	number   uint64
	open     map[uint64]*loan
	receipts []uint64 // to be shown with the next question
	came     int      // messages
}

// loan is an answer on its way.
type loan struct {
	most  int // bytes that were asked for
	begun bool
	data  []byte
	got   int    // bytes of it
	sum   []byte // of a file
	total uint64 // of a text, bytes
	err   error
	done  chan struct{}
}

func newBorrower(s *session) *Lender {
	return &Lender{s: s, slots: make(chan struct{}, fetchesAtOnce), open: map[uint64]*loan{}}
}

// Head is who lends, for people.
func (l *Lender) Head() string { return l.s.head }

// Manifest is that of the head's files. It is not to be believed: the caller checks it.
func (l *Lender) Manifest(ctx context.Context) ([]byte, error) {
	return l.text(ctx, "the list of the model's files", wire.Lent_MANIFEST)
}

// Overlay is what makes the head's model out of its files; empty: nothing has to. It is not to be believed either.
func (l *Lender) Overlay(ctx context.Context) ([]byte, error) {
	return l.text(ctx, "its overlay", wire.Lent_OVERLAY)
}

// Read is a piece of a file of the manifest; the caller compares it with its sum. It tries again what fails, as long as
// the session lasts.
func (l *Lender) Read(ctx context.Context, file int, offset int64, n int) (data []byte, sum [32]byte, err error) {
	if file < 0 || file > math.MaxInt32 || offset < 0 || n < 0 || n > mostFetch {
		return nil, sum, fmt.Errorf("actors: file %d: %d bytes from byte %d on, want at most %d", file, n, offset, mostFetch)
	}
	a, err := l.ask(ctx, wire.Lent_FILE, file, offset, n)
	if err != nil {
		return nil, sum, fmt.Errorf("actors: from %s: %w", l.s.head, err)
	}
	copy(sum[:], a.sum) // of whatever length: it is compared
	return a.data, sum, nil
}

// Tell tells the head how far a fetch is, in bytes.
func (l *Lender) Tell(done, total int64) {
	l.s.tell(&wire.Fetching{Session: l.s.number, Done: uint64(max(done, 0)), Total: uint64(max(total, 0))})
}

func (l *Lender) text(ctx context.Context, name string, what wire.Lent) (text []byte, err error) {
	for {
		a, err := l.ask(ctx, what, 0, int64(len(text)), mostFetch)
		switch {
		case err != nil:
		case a.total > mostText:
			err = fmt.Errorf("%d bytes, want at most %d", a.total, mostText)
		case uint64(len(text)+len(a.data)) > a.total || len(a.data) == 0 && uint64(len(text)) < a.total:
			err = fmt.Errorf("%d bytes at byte %d of %d", len(a.data), len(text), a.total)
		}
		if err != nil {
			return nil, fmt.Errorf("actors: %s of %s: %w", name, l.s.head, err)
		}
		if text = append(text, a.data...); uint64(len(text)) == a.total {
			return text, nil
		}
	}
}

// ask asks, up to fetchTries times.
func (l *Lender) ask(ctx context.Context, what wire.Lent, file int, offset int64, n int) (a *loan, err error) {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	for try := 1; ; try++ {
		a, err = l.once(ctx, &wire.Fetch{What: what, File: uint32(file), Offset: uint64(offset), Bytes: uint32(n)})
		if err == nil || try == fetchTries || ctx.Err() != nil || l.s.ctx.Err() != nil {
			return a, err
		}
		select {
		case <-ctx.Done():
		case <-l.s.ctx.Done():
		case <-time.After(time.Duration(try) * fetchPause):
		}
	}
}

// once asks and waits for the answer, as long as anything comes.
func (l *Lender) once(ctx context.Context, m *wire.Fetch) (*loan, error) {
	a := &loan{most: int(m.Bytes), done: make(chan struct{})}
	l.mu.Lock()
	l.number++
	m.Session, m.Number, m.Receipts = l.s.number, l.number, l.receipts
	l.receipts, l.open[m.Number] = nil, a
	came := l.came
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.open, m.Number)
	}()
	l.s.tell(m)
	tick := time.NewTicker(fetchPatience)
	defer tick.Stop()
	for {
		select {
		case <-a.done:
			return a, a.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-l.s.ctx.Done():
			return nil, context.Cause(l.s.ctx)
		case <-tick.C:
			l.mu.Lock()
			quiet := l.came == came
			came = l.came
			l.mu.Unlock()
			if quiet {
				return nil, fmt.Errorf("nothing has come for %v", fetchPatience)
			}
		}
	}
}

// waits tells whether anything is asked for.
func (l *Lender) waits() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open) > 0
}

// take takes in a part of an answer.
func (l *Lender) take(m *wire.Fetched) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.came++
	a := l.open[m.Number]
	if a == nil { // nobody waits for it any more
		if len(l.receipts) < mostUnread {
			l.receipts = append(l.receipts, m.Receipt)
		}
		return
	}
	switch {
	case m.Error != "":
		a.err = errors.New(m.Error)
	case int64(m.Bytes) > int64(a.most) || uint64(m.Offset)+uint64(len(m.Data)) > uint64(m.Bytes) || a.begun && int(m.Bytes) != len(a.data):
		a.err = fmt.Errorf("%d bytes at byte %d of an answer of %d, want one of at most %d", len(m.Data), m.Offset, m.Bytes, a.most)
	case !a.begun:
		a.data, a.begun = make([]byte, m.Bytes), true
	}
	if a.err == nil {
		a.got += copy(a.data[m.Offset:], m.Data)
		a.sum, a.total = m.Sum, m.Total
	}
	if a.err != nil || a.got >= len(a.data) {
		delete(l.open, m.Number)
		l.receipts = append(l.receipts, m.Receipt)
		close(a.done)
	}
}
