package mirror

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// begin opens a copy, fetches what is wanted and closes it, as one used some minutes ago.
func begin(t *testing.T, opt Options, s *sample, want func(string, int, int) bool, minutes int) string {
	t.Helper()
	v, err := Open(t.Context(), opt, s.man)
	if err != nil {
		t.Fatal(err)
	}
	mustFetch(t, v, s.source(), want)
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	ago := time.Now().Add(-time.Duration(minutes) * time.Minute)
	if err := os.Chtimes(filepath.Join(v.dir, lockName), ago, ago); err != nil {
		t.Fatal(err)
	}
	return v.dir
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// TestLimit: the copies that were not used for longest go, as many as it takes, never one in use; what cannot fit is
// an error that removes nothing and writes nothing.
func TestLimit(t *testing.T) {
	dir := t.TempDir()
	samples := []*sample{newSample(t, 20), newSample(t, 21), newSample(t, 22), newSample(t, 23)}
	all := samples[0].man.PartBytes(everything)
	opt := Options{Dir: dir, Limit: 3*all + 200<<10}
	middle := begin(t, opt, samples[0], everything, 20)
	oldest := begin(t, opt, samples[1], everything, 30)
	recent := begin(t, opt, samples[2], oneExpert, 10)
	used := mustOpen(t, opt, samples[1].man) // used again: the newest of all, and locked

	last := mustOpen(t, opt, samples[3].man)
	mustFetch(t, last, samples[3].source(), everything)
	if exists(middle) || !exists(oldest) || !exists(recent) {
		t.Errorf("there are: middle %v, oldest (in use) %v, recent %v; want the middle one gone", exists(middle), exists(oldest), exists(recent))
	}
	for v, s := range map[*Mirror]*sample{used: samples[1], last: samples[3]} {
		if err := s.compare(v, everything); err != nil {
			t.Error(err)
		}
	}

	small := opt
	small.Limit = 2*all + 200<<10
	v := mustOpen(t, small, samples[0].man)
	src := samples[0].source()
	err := v.Fetch(t.Context(), src, everything, 2, nil)
	if err == nil || !strings.Contains(err.Error(), "raise the limit by ") || src.reads.Load() != 0 {
		t.Errorf("error %v after %d reads, want one that asks for a higher limit", err, src.reads.Load())
	}
	if !exists(recent) {
		t.Error("a copy was removed for nothing")
	}
}

// TestLimitOfOneCopy: pieces that are not wanted any more make room when a process begins, not while anybody may
// compute with them.
func TestLimitOfOneCopy(t *testing.T) {
	s, dir := newSample(t, 24), t.TempDir()
	opt := Options{Dir: dir, Limit: s.man.PartBytes(everything) - mib}
	others := func(tensor string, _, expert int) bool {
		return tensor == "embed" || tensor == "experts" && expert == 0
	}
	begin(t, opt, s, oneExpert, 1)

	first, second := mustOpen(t, opt, s.man), mustOpen(t, opt, s.man)
	if err := first.Fetch(t.Context(), s.source(), everything, 2, nil); err == nil {
		t.Error("more was fetched than the limit allows")
	}
	if err := second.Fetch(t.Context(), s.source(), others, 2, nil); err == nil {
		t.Error("room was made while another has the copy open")
	}
	if err := errors.Join(s.compare(first, oneExpert), first.Close()); err != nil {
		t.Error(err)
	}
	third := mustOpen(t, opt, s.man)
	if err := errors.Join(s.compare(third, oneExpert), second.Close()); err != nil { // something of it has been opened
		t.Error(err)
	}
	if err := third.Fetch(t.Context(), s.source(), others, 2, nil); err == nil {
		t.Error("pieces of an open file were given up")
	}
	if err := third.Close(); err != nil {
		t.Error(err)
	}
	second = mustOpen(t, opt, s.man)
	mustFetch(t, second, s.source(), others)
	if err := s.compare(second, others); err != nil {
		t.Error(err)
	}
	if second.Missing(oneExpert) == 0 {
		t.Error("what is not wanted is still there")
	}
	if disk, err := second.Allocated(); err != nil || disk > opt.Limit {
		t.Errorf("%d bytes of disk (%v), the limit is %d", disk, err, opt.Limit)
	}
	if err := second.Fetch(t.Context(), s.source(), oneExpert, 2, nil); err == nil {
		t.Error("pieces that this process may compute with were given up")
	}
	if err := s.compare(second, others); err != nil {
		t.Error(err)
	}
	if n, err := second.Verify(t.Context(), nil); err != nil || n != 0 {
		t.Errorf("verify: %d dropped, %v", n, err)
	}
}

// TestPromise: room that another copy was given counts before it is taken.
func TestPromise(t *testing.T) {
	dir := t.TempDir()
	a, b := newSample(t, 25), newSample(t, 26)
	all := a.man.PartBytes(everything)
	opt := Options{Dir: dir, Limit: 2*all - mib}
	first := mustOpen(t, opt, a.man)
	src := a.source()
	src.read = func(n int64, _ []byte, _ *[32]byte) error { return os.ErrClosed } // the source goes away at once
	if err := first.Fetch(t.Context(), src, everything, 1, nil); !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
	second := mustOpen(t, opt, b.man)
	if err := second.Fetch(t.Context(), b.source(), everything, 1, nil); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("room that was promised has been given away: %v", err)
	}
	mustFetch(t, first, a.source(), everything)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	mustFetch(t, second, b.source(), everything)
	if exists(first.dir) {
		t.Error("the first copy is still there")
	}
}

// TestCutRemoval: what a removal that was killed leaves is no copy.
func TestCutRemoval(t *testing.T) {
	s, dir := newSample(t, 27), t.TempDir()
	copied := begin(t, Options{Dir: dir}, s, everything, 1)
	if err := errors.Join(os.Remove(filepath.Join(copied, journalName)), os.Remove(filepath.Join(copied, "00001"))); err != nil {
		t.Fatal(err)
	}
	v := mustOpen(t, Options{Dir: dir}, s.man)
	if v.Missing(everything) != s.man.PartBytes(everything) {
		t.Error("what is left of a removal counts as a copy")
	}
	mustFetch(t, v, s.source(), everything)
	if err := s.compare(v, everything); err != nil {
		t.Error(err)
	}
}
