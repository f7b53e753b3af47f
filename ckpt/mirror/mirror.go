package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Options say where copies are kept.
type Options struct {
	Dir   string // the cache directory, which is made if it is not there
	Limit int64  // the most bytes of disk that all copies in it may take together; 0: what the disk has
	// Temporary is for copies in memory, in a directory on a tmpfs: the last process that closes a copy removes it,
	// and those of processes that died are removed first. Nothing is brought to disk.
	Temporary bool
	Log       *slog.Logger // of what is removed; nil: dropped
}

func (o *Options) log() *slog.Logger {
	if o.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Log
}

// Names in a copy's directory, beside the files.
const (
	lockName    = "lock"    // shared: the copy is in use; its time is that of the last use
	fillName    = "fill"    // held by who fills
	journalName = "pieces"  // see journal.go
	promiseName = "promise" // bytes that the copy was given room for
)

// Mirror is a copy of parts of a model directory. As a file system (fs.FS) it is that directory, with files that
// refuse what is not there. It is safe for concurrent use. Several processes, and several mirrors of one process, may
// have the same copy open.
type Mirror struct {
	opt   Options
	man   *Manifest
	dir   string
	use   *os.File       // with a shared lock
	names map[string]int // of the files

	filler sync.Mutex  // one goroutine fills
	begun  atomic.Bool // something was fetched or opened through this mirror: no piece may go any more

	mu   sync.RWMutex
	have []pieces // of each file
}

// Open finds the copy of a manifest in a cache directory, or begins it. Nothing is fetched yet.
func Open(ctx context.Context, opt Options, m *Manifest) (*Mirror, error) {
	if m.identity == "" {
		return nil, errors.New("BUG: mirror: a manifest that is neither parsed nor described")
	}
	if opt.Dir == "" {
		return nil, errors.New("mirror: no directory for copies of weights: name one")
	}
	v := &Mirror{opt: opt, man: m, dir: filepath.Join(opt.Dir, m.identity), names: map[string]int{}}
	for i, f := range m.Files {
		v.names[f.Name] = i
	}
	err := opt.locked(ctx, func() error {
		if opt.Temporary {
			if err := opt.sweep(m.identity); err != nil {
				return err
			}
		}
		if err := os.Mkdir(v.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return v.claim()
	})
	if err != nil {
		return nil, fmt.Errorf("mirror: %s: %w", opt.Dir, explain(err))
	}
	if _, _, err := v.reload(); err != nil {
		return nil, errors.Join(v.fail(err), v.use.Close())
	}
	return v, nil
}

// claim takes the shared lock that keeps others from removing the copy.
func (v *Mirror) claim() error {
	f, err := os.OpenFile(filepath.Join(v.dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	ok, err := tryLock(f, false)
	if err == nil && !ok { // who removes holds the lock of the directory, as this process does now
		err = errors.New("another program has locked this copy: wait for it, or choose another directory")
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	v.use = f
	now := time.Now()
	return os.Chtimes(f.Name(), now, now)
}

// Manifest is that of the directory.
func (v *Mirror) Manifest() *Manifest { return v.man }

// Dir is where the copy lies.
func (v *Mirror) Dir() string { return v.dir }

func (v *Mirror) fail(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("mirror: %s: %w", v.dir, explain(err))
}

func (v *Mirror) closed() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.use == nil
}

// Close lets others remove the copy; a temporary one is removed if nobody else uses it. Close first
// what was opened of it: its disk may be given to other pieces afterwards, and what is still mapped would change.
func (v *Mirror) Close() error {
	v.filler.Lock()
	defer v.filler.Unlock()
	v.mu.Lock()
	use := v.use
	v.use = nil
	v.mu.Unlock()
	if use == nil {
		return nil
	}
	now := time.Now()
	_ = os.Chtimes(use.Name(), now, now) // only the order of removal depends on it
	var err error
	if v.opt.Temporary {
		err = v.opt.locked(context.Background(), func() error {
			if alone, err := tryLock(use, true); err != nil || !alone {
				return err
			}
			return removeCopy(v.dir)
		})
	}
	return v.fail(errors.Join(err, use.Close()))
}

// reload reads the journal, as another process may have filled meanwhile. It returns where its whole records end, and
// which of the pieces in it are not there any more, as somebody has removed or changed their files.
func (v *Mirror) reload() (end int64, lost []record, err error) {
	have := make([]pieces, len(v.man.Files))
	end, err = v.man.readJournal(filepath.Join(v.dir, journalName), func(r record) {
		if have[r.file] == nil {
			have[r.file] = newPieces(v.man.Files[r.file].numPieces())
		}
		have[r.file].set(r.piece, r.here)
	})
	if err != nil {
		return 0, nil, err
	}
	for i := range have {
		n := v.man.Files[i].numPieces()
		if have[i] == nil {
			have[i] = newPieces(n)
			continue
		}
		if info, err := os.Lstat(v.path(i)); err == nil && info.Mode().IsRegular() && info.Size() == v.man.Files[i].Size {
			continue
		}
		for k := range n {
			if have[i].has(k) {
				lost = append(lost, record{file: i, piece: k})
			}
		}
		clear(have[i])
	}
	v.mu.Lock()
	v.have = have
	v.mu.Unlock()
	return end, lost, nil
}

// path is where file i lies.
func (v *Mirror) path(i int) string { return filepath.Join(v.dir, fmt.Sprintf("%05d", i)) }

// file opens file i for writing, with its true size.
func (v *Mirror) file(i int) (*os.File, error) {
	f, err := os.OpenFile(v.path(i), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || info.Size() != v.man.Files[i].Size {
		if err == nil {
			err = f.Truncate(v.man.Files[i].Size)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

// place is a piece of a file.
type place struct{ file, piece int32 }

// missing yields the pieces of wanted ones that are not there, and their bytes.
func (v *Mirror) missing(wanted []pieces) iter.Seq2[place, int64] {
	return func(yield func(place, int64) bool) {
		v.mu.RLock()
		defer v.mu.RUnlock()
		for i, p := range wanted {
			if p == nil {
				continue
			}
			for k := range v.man.Files[i].numPieces() {
				_, n := v.man.Files[i].piece(k)
				if p.has(k) && !v.have[i].has(k) && !yield(place{int32(i), int32(k)}, int64(n)) {
					return
				}
			}
		}
	}
}

// Missing is how many bytes Fetch would have to get.
func (v *Mirror) Missing(want func(tensor string, layer, expert int) bool) (sum int64) {
	for _, n := range v.missing(v.man.wanted(want)) {
		sum += n
	}
	return sum
}

// promised is the room that a copy was given.
func promised(dir string) int64 {
	raw, err := os.ReadFile(filepath.Join(dir, promiseName))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
