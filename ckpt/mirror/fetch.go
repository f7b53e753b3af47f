package mirror

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

const (
	attempts    = 3  // at a piece whose sum is wrong
	maxParallel = 64 // pieces on their way, each of them in memory
	batchPieces = 16 // brought to disk together, at most
)

// Fetch gets what is missing of the tensors wanted (layer is -1 outside the layers, expert -1 for a tensor without
// experts) and of what describes their files, so many pieces at a time. It waits while another process fills this
// copy. Whatever ends it, the next one goes on from there. progress is told of the bytes fetched, done never falls;
// it may be nil.
//
// A piece whose sum is wrong is asked for again, three times in all. Errors of the source and of the disk, and too
// little room, end the fetch.
func (v *Mirror) Fetch(ctx context.Context, from Source, want func(tensor string, layer, expert int) bool, parallel int, progress func(done, total int64)) error {
	wanted := v.man.wanted(want)
	err := v.filling(ctx, func(j *journal) error {
		total := v.Missing(want)
		if total == 0 {
			v.begun.Store(true)
			return nil
		}
		if err := v.makeRoom(ctx, j, wanted); err != nil {
			return err
		}
		v.begun.Store(true)
		local, _ := from.(*Directory)
		f := fetch{mirror: v, local: local, from: from, journal: j, total: total, progress: progress}
		for at := range v.missing(wanted) { // after there is room for it: what is listed is bounded by the disk
			f.list = append(f.list, at)
		}
		return f.run(ctx, min(max(parallel, 1), maxParallel, len(f.list)))
	})
	return v.fail(err)
}

// filling runs do while no other process fills this copy, with the journal open and read anew.
func (v *Mirror) filling(ctx context.Context, do func(j *journal) error) (err error) {
	v.filler.Lock()
	defer v.filler.Unlock()
	if v.closed() {
		return errors.New("this copy has been closed")
	}
	f, err := os.OpenFile(filepath.Join(v.dir, fillName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	ok, err := tryLock(f, true)
	if err == nil && !ok {
		v.opt.log().Info("waiting for another process that fetches into this copy of weights", "dir", v.dir)
		err = waitLock(ctx, f)
	}
	if err != nil {
		return err
	}
	end, lost, err := v.reload()
	if err != nil {
		return err
	}
	j, err := openJournal(filepath.Join(v.dir, journalName), end, !v.opt.Temporary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	if len(lost) > 0 { // else they would be there again with their files
		if err := j.add(lost); err != nil {
			return err
		}
	}
	return do(j)
}

// fetch is one fetch on its way.
type fetch struct {
	mirror   *Mirror
	from     Source
	local    *Directory // the source, if it is a directory of this host: its bytes come from where its sums would; or nil
	journal  *journal
	list     []place
	total    int64
	progress func(done, total int64)

	next atomic.Int64
	done int64
}

// run fetches the list from several goroutines; this one keeps the journal.
func (f *fetch) run(ctx context.Context, parallel int) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	written := make(chan record, batchPieces)
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			var buf []byte // of a piece of this host's
			if f.local != nil {
				buf = make([]byte, PieceBytes)
			}
			for ctx.Err() == nil {
				i := int(f.next.Add(1)) - 1
				if i >= len(f.list) {
					return
				}
				r := record{file: int(f.list[i].file), piece: int(f.list[i].piece)}
				if err := f.one(ctx, &r, buf); err != nil {
					stop(err)
					return
				}
				written <- r
			}
		})
	}
	go func() {
		wg.Wait()
		close(written)
	}()
	var batch []record
	var bad error
	for r := range written {
		batch = append(batch, r)
		if len(batch) < batchPieces && len(written) > 0 { // while the disk is slower than the source, several at a time
			continue
		}
		if bad == nil {
			if bad = f.keep(batch); bad != nil {
				stop(bad)
			}
		}
		batch = batch[:0]
	}
	if bad != nil {
		return bad
	}
	return context.Cause(ctx) // of one that has failed all that came is kept: the next goes on from there
}

// one gets a piece and writes it to its place.
func (f *fetch) one(ctx context.Context, r *record, buf []byte) error {
	file := &f.mirror.man.Files[r.file]
	offset, n := file.piece(r.piece)
	if f.local != nil {
		buf = buf[:n]
		if err := f.local.piece(r.file, offset, buf); err != nil {
			return err
		}
		if !f.mirror.opt.Temporary { // a copy in memory that does not outlive its programs needs no sums
			r.sum = sha256.Sum256(buf)
		}
		r.here = true
		return f.write(r.file, offset, buf)
	}
	for attempt := 1; ; attempt++ {
		data, sum, err := f.from.Read(ctx, r.file, offset, n)
		if err != nil {
			return err
		}
		got := sha256.Sum256(data)
		if got == sum && len(data) == n {
			r.sum, r.here = sum, true
			return f.write(r.file, offset, data)
		}
		if attempt == attempts {
			return fmt.Errorf("%s: piece at byte %d: %d bytes with SHA-256 %x, want %d with %x: damaged %d times on its way or where it comes from: check that host and the link to it",
				file.Name, offset, len(data), got[:8], n, sum[:8], attempts)
		}
	}
}

func (f *fetch) write(file int, offset int64, data []byte) error {
	out, err := f.mirror.file(file)
	if err != nil {
		return err
	}
	_, err = out.WriteAt(data, offset)
	return errors.Join(err, out.Close())
}

// keep brings pieces to disk, then says in the journal that they are there.
func (f *fetch) keep(batch []record) error {
	if len(batch) == 0 {
		return nil
	}
	v := f.mirror
	if !v.opt.Temporary {
		if err := v.sync(batch); err != nil {
			return err
		}
	}
	if err := f.journal.add(batch); err != nil {
		return err
	}
	v.mu.Lock()
	for _, r := range batch {
		v.have[r.file].set(r.piece, true)
		_, n := v.man.Files[r.file].piece(r.piece)
		f.done += int64(n)
	}
	v.mu.Unlock()
	if f.progress != nil {
		f.progress(f.done, f.total)
	}
	return nil
}

// sync brings the files of some pieces to disk, with their names.
func (v *Mirror) sync(batch []record) error {
	seen := map[int]bool{}
	flush := func(path string) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	}
	for _, r := range batch {
		if !seen[r.file] {
			seen[r.file] = true
			if err := flush(v.path(r.file)); err != nil {
				return err
			}
		}
	}
	return flush(v.dir)
}

// Get opens the copy of what a source has and fetches a part of it: Open and Fetch in one.
func Get(ctx context.Context, opt Options, from Source, want func(tensor string, layer, expert int) bool, parallel int, progress func(done, total int64)) (*Mirror, error) {
	raw, err := from.Manifest(ctx)
	if err != nil {
		return nil, err
	}
	m, err := Parse(raw)
	if err != nil {
		return nil, err
	}
	v, err := Open(ctx, opt, m)
	if err != nil {
		return nil, err
	}
	if err := v.Fetch(ctx, from, want, parallel, progress); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}
