package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

// TestFetch: a part is there, bit for bit, and takes the disk of its pieces; what is missing is refused; nothing is
// fetched twice, by this mirror or a later one; the rest comes when it is wanted.
func TestFetch(t *testing.T) {
	s, dir := newSample(t, 1), t.TempDir()
	src := s.source()
	v := mustOpen(t, Options{Dir: dir}, s.man)
	if _, err := v.Open("config.json"); !errors.Is(err, ErrMissing) {
		t.Errorf("a file that was not fetched: %v", err)
	}
	part := s.man.PartBytes(oneExpert)
	if v.Missing(oneExpert) != part {
		t.Errorf("%d bytes missing, want %d", v.Missing(oneExpert), part)
	}
	last, end := int64(0), int64(0)
	err := v.Fetch(t.Context(), src, oneExpert, 3, func(done, total int64) {
		if done <= last || done > total || total != part {
			t.Errorf("progress %d of %d after %d, want up to %d", done, total, last, part)
		}
		last, end = done, total
	})
	if err != nil || last != end || last == 0 {
		t.Fatalf("%v; progress ended at %d of %d", err, last, end)
	}
	if err := s.compare(v, oneExpert); err != nil {
		t.Error(err)
	}
	if _, err := v.Open("ckpt-0/tensor00000_000"); !errors.Is(err, ErrMissing) {
		t.Errorf("a file of which nothing is wanted: %v", err)
	}
	f, err := v.Open("ckpt-0/tensor00001_000")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.(*sparse).Present(mib, 2*mib); !errors.Is(err, ErrMissing) {
		t.Errorf("expert 0: %v, want it missing", err)
	}
	f.Close()
	disk, err := v.Allocated()
	if slack := int64(64 << 10); err != nil || disk < part || disk > part+slack {
		t.Errorf("%d bytes of disk (%v), want %d and at most %d more", disk, err, part, slack)
	}
	reads := src.reads.Load()
	again := mustOpen(t, Options{Dir: dir}, s.man)
	for _, v := range []*Mirror{v, again} {
		mustFetch(t, v, src, oneExpert)
	}
	if src.reads.Load() != reads {
		t.Errorf("%d pieces were fetched again", src.reads.Load()-reads)
	}
	mustFetch(t, again, src, everything)
	if err := s.compare(again, everything); err != nil {
		t.Error(err)
	}
	pieces := int64(0)
	for i := range s.man.Files {
		pieces += int64(s.man.Files[i].numPieces())
	}
	if src.reads.Load() != pieces {
		t.Errorf("%d pieces fetched, want each of %d once", src.reads.Load(), pieces)
	}
}

// TestFileSystem: a mirror is a model directory as any other.
func TestFileSystem(t *testing.T) {
	s := newSampleOf(t, 12, sampleLayouts()[2:])
	v := mustOpen(t, Options{Dir: t.TempDir()}, s.man)
	mustFetch(t, v, s.source(), everything)
	if err := fstest.TestFS(v, "config.json", "ckpt-0/tensor00002_000"); err != nil {
		t.Error(err)
	}
}

// TestGet fetches over an encoded manifest, as another host gets it, and from a directory of this host.
func TestGet(t *testing.T) {
	s := newSample(t, 2)
	for _, src := range []Source{s.source(), NewDirectory(os.DirFS(s.dir), s.man)} {
		v, err := Get(t.Context(), Options{Dir: t.TempDir()}, src, everything, 100, nil)
		if err != nil {
			t.Fatal(err)
		}
		if v.Manifest().Identity() != s.man.Identity() {
			t.Errorf("identity %s, want %s", v.Manifest().Identity(), s.man.Identity())
		}
		if n, err := v.Verify(t.Context(), nil); err != nil || n != 0 {
			t.Errorf("verify: %d dropped, %v", n, err)
		}
		if err := errors.Join(s.compare(v, everything), v.Close(), v.Close()); err != nil {
			t.Error(err)
		}
		if err := v.Fetch(t.Context(), src, everything, 1, nil); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("fetch into a closed mirror: %v", err)
		}
	}
}

// TestIdentity: it is that of the bytes: the same for two directories that are alike, another one when a byte of a
// header, a size or all of an array differs.
func TestIdentity(t *testing.T) {
	s := newSample(t, 3)
	name := filepath.Join(s.dir, "ckpt-0/tensor00001_000")
	describe := func() string {
		m, err := Describe(t.Context(), os.DirFS(s.dir), s.man.Tensors, sampleLayouts())
		if err != nil {
			t.Fatal(err)
		}
		return m.Identity()
	}
	if describe() != s.man.Identity() || newSample(t, 3).man.Identity() != s.man.Identity() || newSample(t, 4).man.Identity() == s.man.Identity() {
		t.Error("the identity is not that of the bytes")
	}
	whole := s.file["ckpt-0/tensor00001_000"]
	for what, change := range map[string]func(b []byte){
		"header": func(b []byte) { b[99] ^= 1 },
		"end":    func(b []byte) { b[len(b)-1] ^= 1 },
		"array":  func(b []byte) { clear(b[100:1_500_100]) },
	} {
		b := bytes.Clone(whole)
		change(b)
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
		if describe() == s.man.Identity() {
			t.Errorf("another %s has the same identity", what)
		}
	}
}

// TestLyingSource: what comes with a wrong sum, or too short, is asked for again, three times; errors are handed on;
// what was good is kept.
func TestLyingSource(t *testing.T) {
	s := newSample(t, 5)
	for _, c := range []struct {
		name string
		read func(n int64, data []byte, sum *[32]byte) error
		says string
	}{
		{"twice", func(n int64, data []byte, _ *[32]byte) error { data[0] ^= b2i(n <= 2); return nil }, ""},
		{"always", func(_ int64, data []byte, _ *[32]byte) error { data[len(data)-1]++; return nil }, "damaged 3 times"},
		{"from the fourth on", func(n int64, _ []byte, sum *[32]byte) error { sum[31] ^= b2i(n >= 4); return nil }, "damaged 3 times"},
		{"error", func(n int64, _ []byte, _ *[32]byte) error {
			if n == 3 {
				return fs.ErrPermission
			}
			return nil
		}, "permission denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := mustOpen(t, Options{Dir: t.TempDir()}, s.man)
			src := s.source()
			src.read = c.read
			err := v.Fetch(t.Context(), src, everything, 1, nil)
			if c.says == "" {
				if err := errors.Join(err, s.compare(v, everything)); err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error %v, want one line that says %q", err, c.says)
			}
			left := v.Missing(everything)
			if c.name != "always" && left == s.man.PartBytes(everything) {
				t.Error("what was good has not been kept")
			}
			if n, err := v.Verify(t.Context(), nil); n != 0 || err != nil {
				t.Errorf("%d damaged pieces were kept (%v)", n, err)
			}
			mustFetch(t, v, s.source(), everything)
			if err := s.compare(v, everything); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("short", func(t *testing.T) {
		v := mustOpen(t, Options{Dir: t.TempDir()}, s.man)
		err := v.Fetch(t.Context(), short{s.source()}, everything, 2, nil)
		if err == nil || !strings.Contains(err.Error(), "0 bytes with SHA-256 e3b0c442") {
			t.Errorf("error %v", err)
		}
	})
}

func b2i(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// short gives nothing, with the sum of nothing.
type short struct{ Source }

func (short) Read(context.Context, int, int64, int) ([]byte, [32]byte, error) {
	return nil, [32]byte{0xe3, 0xb0}, nil
}

// TestCancelled: a fetch that is stopped says so, keeps what it has, and goes on later.
func TestCancelled(t *testing.T) {
	s := newSample(t, 6)
	v := mustOpen(t, Options{Dir: t.TempDir()}, s.man)
	ctx, cancel := context.WithCancel(t.Context())
	src := s.source()
	src.read = func(n int64, _ []byte, _ *[32]byte) error {
		if n == 4 {
			cancel()
		}
		return nil
	}
	if err := v.Fetch(ctx, src, everything, 2, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if left := v.Missing(everything); left == 0 || left == s.man.PartBytes(everything) {
		t.Errorf("%d bytes left of %d", left, s.man.PartBytes(everything))
	}
	mustFetch(t, v, s.source(), everything)
	if err := s.compare(v, everything); err != nil {
		t.Error(err)
	}
}

// TestDamagedCopy: damage on disk is found by Verify, a file that was removed or cut by anybody: what is fetched anew
// is right, and at no time is a hole read.
func TestDamagedCopy(t *testing.T) {
	s, dir := newSample(t, 7), t.TempDir()
	v := mustOpen(t, Options{Dir: dir}, s.man)
	mustFetch(t, v, s.source(), everything)
	experts := v.path(2)
	flip := func() {
		f, err := os.OpenFile(experts, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte{s.file["ckpt-0/tensor00001_000"][3*mib] ^ 8}, 3*mib); err != nil {
			t.Fatal(err)
		}
	}
	flip()
	if n, err := v.Verify(t.Context(), nil); n != 1 || err != nil {
		t.Errorf("verify: %d pieces dropped (%v), want 1", n, err)
	}
	if err := s.compare(v, everything); !errors.Is(err, ErrMissing) {
		t.Errorf("a dropped piece: %v", err)
	}
	for what, damage := range map[string]func() error{
		"removed":  func() error { return os.Remove(experts) },
		"cut":      func() error { return os.Truncate(experts, 2*mib) },
		"replaced": func() error { return errors.Join(os.Remove(experts), os.Mkdir(experts, 0o700), os.Remove(experts)) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		other := mustOpen(t, Options{Dir: dir}, s.man)
		if err := s.compare(other, everything); !errors.Is(err, ErrMissing) {
			t.Errorf("%s: %v, want that it is missing", what, err)
		}
		mustFetch(t, other, s.source(), oneExpert) // makes the file anew, with holes where there was something
		if err := s.compare(mustOpen(t, Options{Dir: dir}, s.man), oneExpert); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		third := mustOpen(t, Options{Dir: dir}, s.man)
		mustFetch(t, third, s.source(), everything)
		if err := s.compare(third, everything); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestTornJournal: whatever is cut off or flipped in the journal, what it still says is true, and a fetch mends it.
func TestTornJournal(t *testing.T) {
	s, dir := newSample(t, 8), t.TempDir()
	v := mustOpen(t, Options{Dir: dir}, s.man)
	mustFetch(t, v, s.source(), everything)
	path := filepath.Join(v.dir, journalName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	count := len(whole) / recordBytes
	for cut := 0; cut <= len(whole); cut += 7 {
		for _, flipped := range []bool{false, true} {
			b := bytes.Clone(whole[:cut])
			if flipped && cut > 0 {
				b = bytes.Clone(whole)
				b[cut-1] ^= 0x10
			}
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			n := 0
			end, err := s.man.readJournal(path, func(r record) {
				if n++; !r.here || r.sum != s.sumOf(r.file, r.piece) {
					t.Errorf("cut %d: %+v", cut, r)
				}
			})
			if err != nil || end > int64(cut) || n > count {
				t.Errorf("cut %d: %d records up to %d: %v", cut, n, end, err)
			}
		}
		if cut%5 != 0 {
			continue
		}
		other := mustOpen(t, Options{Dir: dir}, s.man)
		mustFetch(t, other, s.source(), everything)
		if err := s.compare(other, everything); err != nil {
			t.Errorf("cut %d: %v", cut, err)
		}
		if b, err := os.ReadFile(path); err != nil || len(b) != len(whole) {
			t.Errorf("cut %d: a journal of %d bytes (%v), want %d", cut, len(b), err, len(whole))
		}
	}
}

// TestTogether: mirrors of one copy, in several goroutines, that want different parts: each piece is fetched once.
func TestTogether(t *testing.T) {
	s, dir := newSample(t, 9), t.TempDir()
	src := s.source()
	var wg sync.WaitGroup
	for e := range 6 {
		v := mustOpen(t, Options{Dir: dir}, s.man)
		want := func(tensor string, _, expert int) bool { return expert == e%4 || tensor == "norm" }
		wg.Go(func() {
			if err := errors.Join(v.Fetch(t.Context(), src, want, 2, nil), s.compare(v, want)); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() { // and twice through one mirror
			if err := v.Fetch(t.Context(), src, want, 2, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got, want := src.reads.Load(), int64(1+6+1); got != want {
		t.Errorf("%d pieces fetched, want %d", got, want)
	}
}

// TestSourceRefuses: requests that are no pieces, and files that have changed.
func TestSourceRefuses(t *testing.T) {
	s := newSample(t, 10)
	d := NewDirectory(os.DirFS(s.dir), s.man)
	for _, c := range []struct {
		file   int
		offset int64
		n      int
	}{{-1, 0, 1}, {4, 0, 1}, {2, 1, mib}, {2, -mib, mib}, {2, 0, mib - 1}, {2, 0, mib + 1}, {2, 0, -1}, {2, 5 * mib, mib}, {2, 6 * mib, 1}, {2, 1 << 62, mib}} {
		if _, _, err := d.Read(t.Context(), c.file, c.offset, c.n); err == nil || !strings.HasPrefix(err.Error(), "mirror: read: ") {
			t.Errorf("file %d, byte %d, %d bytes: %v", c.file, c.offset, c.n, err)
		}
	}
	if _, _, err := d.Read(t.Context(), 2, 5*mib, 6_000_177-5*mib); err != nil {
		t.Errorf("the last piece: %v", err)
	}
	name := filepath.Join(s.dir, "ckpt-0/tensor00001_000")
	if err := os.Truncate(name, 5); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Read(t.Context(), 2, 0, mib); err == nil || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("a file that was cut: %v", err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Read(t.Context(), 2, 0, mib); !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), s.dir) {
		t.Errorf("a file that is gone: %v", err)
	}
}

// TestOpenRefuses: directories that cannot be used.
func TestOpenRefuses(t *testing.T) {
	s := newSample(t, 11)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", file, filepath.Join(file, "below")} {
		if v, err := Open(t.Context(), Options{Dir: dir}, s.man); err == nil {
			t.Errorf("%q was opened: %v", dir, v.Close())
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error of more than one line: %q", dir, err)
		}
	}
	if _, err := s.source().Manifest(t.Context()); err != nil {
		t.Error(err)
	}
	v := mustOpen(t, Options{Dir: t.TempDir()}, s.man)
	for _, name := range []string{"../x", "/config.json", "config.json/", "ckpt-1", "ckpt-0/tensor00009_000", ""} {
		if _, err := v.Open(name); err == nil {
			t.Errorf("%q was opened", name)
		}
		if _, err := v.Stat(name); err == nil {
			t.Errorf("%q is there", name)
		}
		if _, err := v.ReadDir(name); err == nil {
			t.Errorf("%q was listed", name)
		}
	}
	if got := fmt.Sprint(v.ReadDir("ckpt-0")); strings.Count(got, "tensor") != 3 {
		t.Errorf("ckpt-0: %s", got)
	}
}
