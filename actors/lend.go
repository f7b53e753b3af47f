package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"

	"google.golang.org/protobuf/proto"

	"troupe/actors/internal/wire"
)

// Source reads the files of a model, for workers that have none. Its methods are called from several goroutines.
type Source interface {
	// Manifest says which files there are, and which of their bytes are what.
	Manifest(ctx context.Context) ([]byte, error)
	// Overlay is what makes the model of the run out of that of the files; nil: they are the same.
	Overlay(ctx context.Context) ([]byte, error)
	// Read reads n bytes, a whole piece, of a file of the manifest, with the SHA-256 that they have where they come from. What
	// is no such piece is refused.
	Read(ctx context.Context, file int, offset int64, n int) (data []byte, sum [32]byte, err error)
}

const (
	// mostFetch is how much a worker may ask for at a time, in bytes.
	mostFetch = 1 << 20
	// mostUnread is how many answers may be on their way to a worker; one that asks for more than it takes in would
	// have them pile up here.
	mostUnread = 32
	// readers is how many pieces are read for a worker at a time.
	readers = 4
)

// answerer answers what one worker asks of the files, in goroutines of its own: reading waits for disks.
type answerer struct {
	source    Source // nil: nothing is lent
	send      func(proto.Message)
	questions chan lentQuestion

	mu     sync.Mutex
	unread map[uint64]bool // receipts of answers that the worker has not shown yet
}

type lentQuestion struct {
	*wire.Fetch
	receipt uint64
}

func newAnswerer(source Source, send func(proto.Message)) *answerer {
	return &answerer{source: source, send: send, questions: make(chan lentQuestion, mostUnread), unread: map[uint64]bool{}}
}

// run answers until ctx ends.
func (a *answerer) run(ctx context.Context) {
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case q := <-a.questions:
					a.answer(ctx, q)
				}
			}
		})
	}
	wg.Wait()
}

// take takes a question in; it waits for nothing. An error is the end of the session.
func (a *answerer) take(m *wire.Fetch) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range m.Receipts {
		delete(a.unread, r)
	}
	if len(a.unread) >= mostUnread {
		return fmt.Errorf("it asks for more of the model's files than it takes in: %d answers are on their way", len(a.unread))
	}
	q := lentQuestion{m, rand.Uint64()}
	a.unread[q.receipt] = true
	a.questions <- q // there is room: a question that waits has its receipt unread
	return nil
}

// answer answers a question, in messages that each fit.
func (a *answerer) answer(ctx context.Context, q lentQuestion) {
	reply := func() *wire.Fetched {
		return &wire.Fetched{Session: q.Session, Number: q.Number, Receipt: q.receipt}
	}
	data, sum, total, err := a.read(ctx, q.Fetch)
	if err != nil {
		m := reply()
		m.Error = words(err.Error())
		a.send(m)
		return
	}
	for offset := 0; offset == 0 || offset < len(data); offset += wire.Piece {
		m := reply()
		m.Bytes, m.Offset, m.Total, m.Sum = uint32(len(data)), uint32(offset), uint64(total), sum
		m.Data = data[offset:min(offset+wire.Piece, len(data))]
		a.send(m)
	}
}

// read reads what is asked for. total is the size of a text.
func (a *answerer) read(ctx context.Context, m *wire.Fetch) (data, sum []byte, total int, err error) {
	var text []byte
	switch {
	case a.source == nil:
		return nil, nil, 0, errors.New("this run lends no files")
	case m.Bytes > mostFetch || m.Offset > math.MaxInt64 || m.File > math.MaxInt32:
		return nil, nil, 0, fmt.Errorf("file %d: %d bytes from byte %d on, want at most %d of a file of the manifest", m.File, m.Bytes, m.Offset, mostFetch)
	case m.What == wire.Lent_FILE:
		var hash [32]byte
		data, hash, err = a.source.Read(ctx, int(m.File), int64(m.Offset), int(m.Bytes))
		return data, hash[:], 0, err
	case m.What == wire.Lent_MANIFEST:
		text, err = a.source.Manifest(ctx)
	case m.What == wire.Lent_OVERLAY:
		text, err = a.source.Overlay(ctx)
	default:
		err = fmt.Errorf("no text %d is lent", m.What)
	}
	if err != nil {
		return nil, nil, 0, err
	}
	from := int(min(m.Offset, uint64(len(text))))
	return text[from:min(from+int(m.Bytes), len(text))], nil, len(text), nil
}

// beginLending has questions of the session answered that begins, until it ends. The caller has h.mu.
func (h *host) beginLending() {
	door, ended := h.net.pid(h.address, doorName), h.ended
	a := newAnswerer(h.source, func(m proto.Message) { h.net.send(door, m) })
	h.answerer = a
	ctx, cancel := context.WithCancel(context.Background())
	h.lending.Go(func() { a.run(ctx) })
	h.lending.Go(func() {
		<-ended
		cancel()
	})
}

// lend has a worker's question answered.
func (h *host) lend(m *wire.Fetch) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.session == 0 || m.Session != h.session {
		return nil
	}
	return h.answerer.take(m)
}

// fetching passes on how far a worker is with what it fetches.
func (h *host) fetching(m *wire.Fetching) {
	if m.Session != h.now() || m.Total > math.MaxInt64 || m.Done > m.Total {
		return
	}
	if h.told != nil {
		h.told(h.address, int64(m.Done), int64(m.Total))
	}
	h.log.Debug("a worker fetches weights", slog.String("worker", h.address), slog.Uint64("done", m.Done), slog.Uint64("total", m.Total))
}
