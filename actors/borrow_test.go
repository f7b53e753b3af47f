package actors

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"

	"troupe/actors/internal/wire"
	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/model"
	"troupe/stages"
	"troupe/stages/place"
)

// shelf is a source of one file.
type shelf struct {
	file, manifest, overlay []byte
	fail                    func(read int64) error // of the nth read; may be nil
	reads                   atomic.Int64
}

func newShelf(n int) *shelf {
	s := &shelf{file: make([]byte, n), manifest: bytes.Repeat([]byte("files "), 300_000)}
	for i := range s.file {
		s.file[i] = byte(i * i >> 7)
	}
	return s
}

func (s *shelf) Manifest(context.Context) ([]byte, error) { return s.manifest, nil }
func (s *shelf) Overlay(context.Context) ([]byte, error)  { return s.overlay, nil }

func (s *shelf) Read(_ context.Context, file int, offset int64, n int) (data []byte, sum [32]byte, err error) {
	read := s.reads.Add(1)
	if s.fail != nil {
		if err := s.fail(read); err != nil {
			return nil, sum, err
		}
	}
	if file != 0 || offset < 0 || offset > int64(len(s.file)) || n > len(s.file)-int(offset) {
		return nil, sum, fmt.Errorf("file %d: no %d bytes at %d", file, n, offset)
	}
	data = s.file[offset : int(offset)+n]
	return data, sha256.Sum256(data), nil
}

// borrow reads the whole of a shelf, several pieces at a time.
func borrow(ctx context.Context, l *Lender, s *shelf) error {
	text, err := l.Manifest(ctx)
	if err == nil && !bytes.Equal(text, s.manifest) {
		err = errors.New("another manifest")
	}
	if err == nil {
		text, err = l.Overlay(ctx)
	}
	if err == nil && !bytes.Equal(text, s.overlay) {
		err = errors.New("another overlay")
	}
	if err != nil {
		return err
	}
	l.Tell(0, int64(len(s.file)))
	var wg sync.WaitGroup
	errs := make([]error, (len(s.file)+mostFetch-1)/mostFetch)
	for i := range errs {
		wg.Go(func() {
			lo := i * mostFetch
			hi := min(lo+mostFetch, len(s.file))
			data, sum, err := l.Read(ctx, 0, int64(lo), hi-lo)
			if err == nil && (!bytes.Equal(data, s.file[lo:hi]) || sum != sha256.Sum256(data)) {
				err = fmt.Errorf("other bytes at %d", lo)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	l.Tell(int64(len(s.file)), int64(len(s.file)))
	return errors.Join(errs...)
}

// hireBorrower opens a worker without files.
func (c *company) hireBorrower(t *testing.T, i int, s *shelf) *Worker {
	t.Helper()
	w, err := NewWorker(WorkerOptions{Net: newLocalNet(c.net.system, address(i)), Build: "test",
		Devices: []Offered{{Device: place.Device{Name: "cpu", Threads: 1}}, {Device: place.Device{Name: "cpu", Threads: 2}}},
		Log:     slog.New(slog.NewTextHandler(t.Output(), nil)),
		Fetch: func(m model.Config, from *Lender) Load {
			return func(ctx context.Context, spans []stages.Span, expert func(int, int) bool) (stages.Weights, func() error, error) {
				if err := borrow(ctx, from, s); err != nil {
					return nil, nil, err
				}
				return c.load(ctx, spans, expert)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fire(t, w) })
	return w
}

// Workers that have no files get every byte of them from the head, and compute the same bits; one takes over from another.
func TestWorkersBorrow(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	want := loopOutcomes(t, w, kernels.Int8)
	s := newShelf(20*mostFetch + 77)
	s.overlay = []byte("an overlay")
	c := newCompany(t, w, 0)
	c.workers = []*Worker{c.hireBorrower(t, 0, s), c.hireBorrower(t, 1, s), c.hireBorrower(t, 2, s)}
	o := c.far(t, layout{stages: 3, devices: 2, threads: 1, batches: 4, rows: 7, sequences: 8}, kernels.Int8)
	var told sync.Map
	o.Lend, o.Fetching = s, func(worker string, done, total int64) { told.Store(worker, done == total) }
	o.Placement.Devices[1].Number = 0
	o.Spare = []place.Device{{Name: "cpu", Host: address(2)}}
	e := start(t, o)
	compare(t, serve(t, e, asks(t)), want)
	fire(t, c.workers[1])
	compare(t, serve(t, e, asks(t)), want)
	for i := range 3 {
		if done, ok := told.Load(address(i)); !ok || done != true {
			t.Errorf("worker %d: fetched %v, want it told from begin to end", i, done)
		}
	}
}

// What cannot be read for a while is asked for again; what never can is the error that the head gives.
func TestBorrowFails(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	for _, c := range []struct {
		name string
		fail func(int64) error
		want string // "": it works
	}{
		{"twice", func(read int64) error {
			if read <= 2 {
				return errors.New("the disk is away")
			}
			return nil
		}, ""},
		{"always", func(int64) error { return errors.New("the disk is gone: bring it back") }, "the disk is gone: bring it back"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShelf(1000)
			s.fail = c.fail
			company := newCompany(t, w, 0)
			company.workers = []*Worker{company.hireBorrower(t, 0, s)}
			o := company.far(t, layout{stages: 1, devices: 1, threads: 1, batches: 1, rows: 7, sequences: 2}, kernels.Int8)
			o.Lend = s
			e, err := Start(t.Context(), o)
			if err == nil {
				err = stop(e)
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// A worker without files refuses a head that lends none, and serves the next.
func TestNothingLent(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	s := newShelf(10)
	c := newCompany(t, w, 0)
	c.workers = []*Worker{c.hireBorrower(t, 0, s)}
	o := c.far(t, layout{stages: 1, devices: 1, threads: 1, batches: 1, rows: 7, sequences: 2}, kernels.Int8)
	if e, err := Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "lends none") {
		t.Errorf("error %v, want that the run lends none", err)
		if err == nil {
			_ = stop(e)
		}
	}
	o.Lend = s
	start(t, o)
}

// What a worker asks for is checked by the head, whatever it is.
func TestHostileFetch(t *testing.T) {
	var sent []*wire.Fetched
	a := newAnswerer(newShelf(mostFetch), func(m proto.Message) { sent = append(sent, m.(*wire.Fetched)) })
	for _, m := range []*wire.Fetch{
		{Bytes: mostFetch + 1},
		{Bytes: 1 << 31},
		{File: 1 << 31, Bytes: 1},
		{File: 1, Bytes: 1},
		{Offset: 1 << 63, Bytes: 1},
		{Offset: mostFetch, Bytes: 1},
		{What: 17, Bytes: 1},
	} {
		sent = nil
		a.answer(t.Context(), lentQuestion{m, 5})
		if len(sent) != 1 || sent[0].Error == "" || len(sent[0].Data) != 0 || sent[0].Receipt != 5 {
			t.Errorf("%v: %v, want one error", m, sent)
		}
	}
	sent = nil
	a.answer(t.Context(), lentQuestion{&wire.Fetch{What: wire.Lent_MANIFEST, Offset: 1 << 62, Bytes: 9}, 5})
	if len(sent) != 1 || sent[0].Error != "" || len(sent[0].Data) != 0 {
		t.Errorf("behind the end of a text: %v, want nothing", sent)
	}
	sent = nil
	a.answer(t.Context(), lentQuestion{&wire.Fetch{Bytes: mostFetch}, 5})
	for _, m := range sent {
		if proto.Size(m) > wire.Piece+200 {
			t.Errorf("a message of %d bytes, want %d and a little", proto.Size(m), wire.Piece)
		}
	}
	if len(sent) != mostFetch/wire.Piece {
		t.Errorf("%d messages", len(sent))
	}
	a.source = nil
	sent = nil
	a.answer(t.Context(), lentQuestion{&wire.Fetch{Bytes: 1}, 5})
	if len(sent) != 1 || !strings.Contains(sent[0].Error, "lends no files") {
		t.Errorf("without files %v", sent)
	}
}

// Who asks and does not take in what comes is cut off before it fills the head's memory; receipts make room.
func TestUnreadAnswers(t *testing.T) {
	a := newAnswerer(newShelf(10), func(proto.Message) {})
	var receipts []uint64
	for i := range 10 * mostUnread {
		m := &wire.Fetch{Number: uint64(i), Bytes: 1, Receipts: receipts}
		if err := a.take(m); err != nil {
			t.Fatalf("question %d with its receipts: %v", i, err)
		}
		receipts = []uint64{(<-a.questions).receipt}
	}
	var err error
	for i := 0; err == nil; i++ {
		if i > mostUnread {
			t.Fatalf("%d answers are unread", i)
		}
		err = a.take(&wire.Fetch{Bytes: 1, Receipts: []uint64{uint64(i)}})
	}
}

// FuzzFetched: whatever comes as an answer, a worker neither panics nor waits for ever, and what it takes for a whole
// answer has the size that it asked for, or less.
func FuzzFetched(f *testing.F) {
	f.Add(uint64(1), uint32(4), uint32(0), []byte("abcd"), uint64(1), uint32(4), uint32(2), []byte("xy"))
	f.Add(uint64(1), uint32(4), uint32(2), []byte("cd"), uint64(1), uint32(4), uint32(0), []byte("ab"))
	f.Add(uint64(1), uint32(1<<31), uint32(1<<31), []byte("ab"), uint64(2), uint32(0), uint32(1<<32-1), []byte(""))
	f.Fuzz(func(t *testing.T, n1 uint64, bytes1, offset1 uint32, data1 []byte, n2 uint64, bytes2, offset2 uint32, data2 []byte) {
		l := newBorrower(&session{})
		a := &loan{most: 4, done: make(chan struct{})}
		l.open[1] = a
		l.take(&wire.Fetched{Number: n1, Bytes: bytes1, Offset: offset1, Data: data1})
		l.take(&wire.Fetched{Number: n2, Bytes: bytes2, Offset: offset2, Data: data2})
		l.take(&wire.Fetched{Number: 1, Error: "the end"})
		select {
		case <-a.done:
			if a.err == nil && len(a.data) > a.most {
				t.Errorf("%d bytes, want at most %d", len(a.data), a.most)
			}
		default:
			t.Error("still open")
		}
	})
}

// While weights come for a crew, the others of the session are served; a crew that is shut meanwhile is not waited for.
func TestOpenTakesItsTime(t *testing.T) {
	c := newCompany(t, nil, 0)
	loading := make(chan struct{})
	w, err := NewWorker(WorkerOptions{Net: newLocalNet(c.net.system, address(0)), Model: toy.Config(), Identity: "toy", Build: "test",
		Devices: []Offered{{Device: place.Device{Name: "cpu", Threads: 1}}},
		Load: func(ctx context.Context, _ []stages.Span, _ func(int, int) bool) (stages.Weights, func() error, error) {
			close(loading)
			<-ctx.Done()
			return nil, nil, context.Cause(ctx)
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer fire(t, w)
	w.mu.Lock()
	s := w.begin(&wire.Hello{Head: "a head", Address: "head", Desk: "desk-0"}, c.net.pid("head", "desk-0"), toy.Config())
	w.mu.Unlock()
	ended := make(chan error)
	go func() {
		ended <- s.open(&wire.Open{Crew: 1, Arith: "int8", Batches: 1, Rows: 1, Draws: 1, Sequences: 1, Experts: 1, Blocks: 1, Stages: []*wire.Span{{Hi: 1}}})
	}()
	<-loading
	if err := s.open(&wire.Open{Crew: 1}); err == nil || !strings.Contains(err.Error(), "crew 1 is open") {
		t.Errorf("the same crew again: %v", err)
	}
	s.order <- struct{}{}
	err = s.shut(1)
	<-s.order
	if err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "wants it no more") {
		t.Errorf("opening a crew that was shut: %v", err)
	}
	if len(s.opening) != 0 || len(s.crews) != 0 {
		t.Errorf("%d crews are being opened, %d are open", len(s.opening), len(s.crews))
	}
}
