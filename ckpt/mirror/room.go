package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"time"

	"troupe/ckpt"
)

// patience is how long to wait before a lock is tried again.
const patience = 20 * time.Millisecond

// waitLock takes a lock alone, and waits for it as long as ctx allows.
func waitLock(ctx context.Context, f *os.File) error {
	for {
		ok, err := tryLock(f, true)
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(patience):
		}
	}
}

// locked runs do while no other process makes or removes copies in the directory. It must not take long.
func (o *Options) locked(ctx context.Context, do func() error) error {
	if err := o.prepare(); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(o.Dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := waitLock(ctx, f); err != nil {
		return err
	}
	return do()
}

// prepare makes the directory. One in memory lies where everybody may write: it must be this user's own.
func (o *Options) prepare() error {
	if !o.Temporary {
		return os.MkdirAll(o.Dir, 0o700)
	}
	if _, _, err := ckpt.TmpfsRoom(filepath.Dir(o.Dir)); err != nil {
		return err
	}
	if err := os.Mkdir(o.Dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(o.Dir)
	if err != nil {
		return err
	}
	uid, err := owner(o.Dir)
	if err == nil && (!info.IsDir() || uid != os.Geteuid() || info.Mode().Perm()&0o077 != 0) {
		err = fmt.Errorf("%v of user %d, want a directory of user %d that nobody else may enter: remove it, or choose another", info.Mode(), uid, os.Geteuid())
	}
	return err
}

// SharedMemory is where this user's programs share copies in memory.
func SharedMemory() string {
	return filepath.Join("/dev/shm", fmt.Sprintf("troupe-weights-%d", os.Geteuid()))
}

// CacheDirectory is where a user's programs keep what they fetch, unless they are told otherwise.
func CacheDirectory() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("mirror: no directory for copies of weights: %w: name one", err)
	}
	return filepath.Join(dir, "troupe", "weights"), nil
}

var copyName = regexp.MustCompile(`^[0-9a-f]{32}$`)

// copyOf is a copy in a cache directory.
type copyOf struct {
	dir   string
	bytes int64 // of disk that it takes or was promised
	used  time.Time
}

// copies lists the copies of a cache directory.
func (o *Options) copies() (list []copyOf, err error) {
	entries, err := os.ReadDir(o.Dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !e.IsDir() || !copyName.MatchString(e.Name()) {
			continue
		}
		c := copyOf{dir: filepath.Join(o.Dir, e.Name())}
		files, err := os.ReadDir(c.dir)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if info, err := f.Info(); err == nil {
				c.bytes += allocated(info)
			}
		}
		c.bytes = max(c.bytes, promised(c.dir))
		if info, err := os.Stat(filepath.Join(c.dir, lockName)); err == nil {
			c.used = info.ModTime()
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b copyOf) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.dir, b.dir)) })
	return list, nil
}

// unused opens a copy's lock and takes it alone; nil: somebody uses the copy.
func unused(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if ok, err := tryLock(f, true); err != nil || !ok {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// evict removes a copy that nobody uses.
func (o *Options) evict(c copyOf, why string) (bool, error) {
	f, err := unused(c.dir)
	if f == nil {
		return false, err
	}
	o.log().Info("removed a copy of weights: "+why, "dir", c.dir, "bytes", c.bytes)
	return true, errors.Join(removeCopy(c.dir), f.Close())
}

// removeCopy removes the journal first: without it, what is left of a removal that was cut short is empty.
func removeCopy(dir string) error {
	if err := os.Remove(filepath.Join(dir, journalName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(dir)
}

// Sweep removes temporary copies whose processes have ended, and could not do it themselves.
func Sweep(ctx context.Context, opt Options) error {
	if _, err := os.Lstat(opt.Dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	opt.Temporary = true
	if err := opt.locked(ctx, func() error { return opt.sweep("") }); err != nil {
		return fmt.Errorf("mirror: %s: %w", opt.Dir, explain(err))
	}
	return nil
}

// sweep removes the copies that nobody uses but one.
func (o *Options) sweep(keep string) error {
	list, err := o.copies()
	if err != nil {
		return err
	}
	for _, c := range list {
		if filepath.Base(c.dir) != keep {
			if _, err := o.evict(c, "its process has ended"); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeRoom promises disk for what is missing, and removes unused copies where the limit asks for it. Pieces of this
// copy that are not wanted go last, and only if this mirror alone has it open and has handed nothing out.
func (v *Mirror) makeRoom(ctx context.Context, j *journal, wanted []pieces) error {
	const page = 4096 // what a file system gives out
	need := int64(0)
	for _, n := range v.missing(wanted) {
		need += (n + page - 1) / page * page
	}
	return v.opt.locked(ctx, func() error {
		all, err := v.opt.copies()
		if err != nil {
			return err
		}
		own, others := int64(0), int64(0)
		for _, c := range all {
			if c.dir != v.dir {
				others += c.bytes
			}
		}
		if own, err = v.allocated(); err != nil {
			return err
		}
		limit := v.opt.Limit
		if limit <= 0 {
			limit = math.MaxInt64
		}
		if own, err = v.within(j, all, wanted, own, others, need, limit); err != nil {
			return err
		}
		if err := v.onDisk(need); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(v.dir, promiseName), strconv.AppendInt(nil, own+need, 10), 0o600)
	})
}

// within brings what all copies take under the limit; it returns what this one takes then.
func (v *Mirror) within(j *journal, all []copyOf, wanted []pieces, own, others, need, limit int64) (int64, error) {
	over := func() bool { return need > limit-own-others }
	if !over() {
		return own, nil
	}
	var idle []copyOf
	var spare int64
	for _, c := range all {
		if c.dir == v.dir {
			continue
		}
		f, err := unused(c.dir)
		if err != nil {
			return own, err
		}
		if f != nil {
			idle, spare = append(idle, c), spare+c.bytes
			f.Close()
		}
	}
	stale, staleBytes := v.unwanted(wanted)
	if need > limit-own-others+spare+staleBytes {
		return own, fmt.Errorf("needs %d bytes, and the limit for all copies is %d, of which %d are in use: raise the limit by %d, or give this host less to do",
			need, limit, own+others-spare-staleBytes, need-(limit-own-others+spare+staleBytes))
	}
	for _, c := range idle {
		if !over() {
			break
		}
		gone, err := v.opt.evict(c, "room for another")
		if err != nil {
			return own, err
		}
		if gone {
			others -= c.bytes
		}
	}
	if !over() {
		return own, nil
	}
	if err := v.discard(j, stale); err != nil {
		return own, err
	}
	own, err := v.allocated()
	if err == nil && over() {
		err = fmt.Errorf("needs %d bytes, and only %d of the limit of %d could be freed: choose another directory", need, limit-own-others, limit)
	}
	return own, err
}

// onDisk compares what is needed with the room that there is.
func (v *Mirror) onDisk(need int64) error {
	if v.opt.Temporary {
		room, memory, err := ckpt.TmpfsRoom(v.opt.Dir)
		switch {
		case err != nil:
			return err
		case need > room:
			return fmt.Errorf("needs %d bytes, %d are free: enlarge the tmpfs (mount -o remount,size=…), or run without the copy", need, room)
		case need > memory:
			return fmt.Errorf("needs %d bytes, the system has %d bytes of memory left: free memory, or run without the copy", need, memory)
		}
		return nil
	}
	room, err := diskRoom(v.dir)
	if err == nil && need > room {
		err = fmt.Errorf("needs %d bytes, the disk has %d left: free space, or choose another directory", need, room)
	}
	return err
}

// allocated is the disk that this copy takes.
func (v *Mirror) allocated() (sum int64, err error) {
	files, err := os.ReadDir(v.dir)
	for _, f := range files {
		if info, err := f.Info(); err == nil {
			sum += allocated(info)
		}
	}
	return sum, err
}

// Allocated is the disk that this copy takes, in bytes.
func (v *Mirror) Allocated() (int64, error) {
	sum, err := v.allocated()
	return sum, v.fail(err)
}

// unwanted lists the pieces that can go, and their bytes.
func (v *Mirror) unwanted(wanted []pieces) (list []record, bytes int64) {
	if v.begun.Load() {
		return nil, 0
	}
	alone, err := tryLock(v.use, true)
	if again, e := tryLock(v.use, false); err != nil || e != nil || !again || !alone {
		return nil, 0
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	for i := range v.have {
		for k := range v.man.Files[i].numPieces() {
			if v.have[i].has(k) && (wanted[i] == nil || !wanted[i].has(k)) {
				_, n := v.man.Files[i].piece(k)
				list, bytes = append(list, record{file: i, piece: k}), bytes+int64(n)
			}
		}
	}
	return list, bytes
}

// discard gives the disk of pieces back.
func (v *Mirror) discard(j *journal, list []record) error {
	if err := v.drop(j, list); err != nil {
		return err
	}
	for _, r := range list {
		f, err := os.OpenFile(v.path(r.file), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		offset, n := v.man.Files[r.file].piece(r.piece)
		if err := errors.Join(punch(f, offset, int64(n)), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// explain adds the mend to an error of the operating system.
func explain(err error) error {
	mend := ""
	switch {
	case errors.Is(err, fs.ErrPermission):
		mend = "give this user the right to it, or choose another directory"
	case errors.Is(err, syscall.ENOSPC):
		mend = "the disk is full: free space or choose another directory"
	case errors.Is(err, syscall.EFBIG):
		mend = "this file system or user (ulimit -f) allows no file of this size: choose another directory"
	case errors.Is(err, syscall.EROFS):
		mend = "choose a directory that can be written"
	default:
		return plainError(err)
	}
	return fmt.Errorf("%w: %s", plainError(err), mend)
}
