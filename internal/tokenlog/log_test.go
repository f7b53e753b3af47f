package tokenlog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func head() Head {
	return Head{Program: "test", Model: "abc", Requests: 4, Digest: "d", Settings: []Setting{{Name: "seed", Values: []string{"1"}}}}
}

func begin(t *testing.T, name string, input []byte, suspects func() []Suspect) *Log {
	t.Helper()
	l, err := Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Begin(head(), input, suspects); err != nil {
		t.Fatal(err)
	}
	return l
}

func token(i int) Token {
	return Token{ID: int32(i), LogProb: -float32(i) / 3, Generation: 1 + uint64(i/10), Since: 1}
}

func add(t *testing.T, l *Log, request, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := l.Add(request, i, token(i)); err != nil {
			t.Fatal(err)
		}
	}
}

func closed(t *testing.T, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, name string) *Log {
	t.Helper()
	l, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// wantTokens compares the tokens of a request with those that token makes.
func wantTokens(t *testing.T, l *Log, request, n int) {
	t.Helper()
	got := l.Tokens(request)
	for i, k := range got {
		if k != token(i) {
			t.Fatalf("request %d: token %d is %+v, want %+v", request, i, k, token(i))
		}
	}
	if len(got) != n {
		t.Errorf("request %d: %d tokens, want %d", request, len(got), n)
	}
}

type text struct{ Text string }

// TestRoundTrip writes, stops, goes on twice, and reads all of it.
func TestRoundTrip(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	input := bytes.Repeat([]byte("line\n"), 500_000) // more than one piece
	l := begin(t, name, input, nil)
	add(t, l, 0, 0, 700)
	add(t, l, 2, 0, 3)
	add(t, l, 0, 700, 710)
	if err := l.Finish(0, text{"<a> & \u2028 ä"}); err != nil {
		t.Fatal(err)
	}
	closed(t, l)

	l = open(t, name)
	if h := l.Head(); h.Version != Version || h.Digest != "d" || h.Input != len(input) || !bytes.Equal(l.Input(), input) || h.Settings[0].Values[0] != "1" {
		t.Errorf("head %+v, %d bytes of input", h, len(l.Input()))
	}
	if err := l.Continue("again", nil); err != nil {
		t.Fatal(err)
	}
	wantTokens(t, l, 2, 3)
	add(t, l, 2, 2, 40) // from one on that was there
	closed(t, l)

	l = open(t, name)
	wantTokens(t, l, 2, 40)
	if done, begun, tokens := l.Count(); done != 1 || begun != 1 || tokens != 40 || !l.Done(0) || l.Done(1) || l.Done(2) {
		t.Errorf("%d done, %d begun, %d tokens", done, begun, tokens)
	}
	var got text
	if err := l.Result(0, &got); err != nil || got.Text != "<a> & \u2028 ä" {
		t.Errorf("result %q, %v", got.Text, err)
	}
	if err := l.Close(); err != nil { // opened to be read
		t.Fatal(err)
	}
}

// TestTorn cuts a log at every byte, and puts rubbish behind: what is whole is read, what follows is written behind it.
func TestTorn(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "log")
	l := begin(t, name, []byte("in"), nil)
	add(t, l, 1, 0, 5)
	closed(t, l)
	l = open(t, name)
	if err := l.Continue("again", nil); err != nil {
		t.Fatal(err)
	}
	add(t, l, 1, 5, 9)
	if err := l.Finish(3, text{"x"}); err != nil {
		t.Fatal(err)
	}
	closed(t, l)
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	ends := []int{}
	for i, c := range raw {
		if c == '\n' {
			ends = append(ends, i+1)
		}
	}
	if len(ends) != 6 { // head, input, tokens, resumed, tokens, result
		t.Fatalf("%d lines, want 6", len(ends))
	}
	rubbish := []string{"", "\x00\x00\x00\n\x00", "deadbeef {}\n", strings.Repeat("x\n", 9)}
	for cut := range len(raw) + 1 {
		lines, _ := slices.BinarySearch(ends, cut+1)
		for i, tail := range rubbish {
			if lines == 6 && i > 0 { // behind a whole log
				tail = "\n" + tail
			}
			copied := filepath.Join(dir, "copy")
			if err := os.WriteFile(copied, append(slices.Clone(raw[:cut]), tail...), 0o644); err != nil {
				t.Fatal(err)
			}
			l, err := Open(copied)
			if lines < 2 {
				if err == nil || !strings.Contains(err.Error(), "nothing was run") {
					t.Fatalf("cut at %d, tail %d: %v", cut, i, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("cut at %d, tail %d: %v", cut, i, err)
			}
			tokens := []int{2: 0, 3: 5, 4: 5, 5: 9, 6: 9}[lines]
			wantTokens(t, l, 1, tokens)
			if l.Done(3) != (lines == 6) {
				t.Fatalf("cut at %d: request 3 done is %v", cut, l.Done(3))
			}
			if cut%29 > 0 && !slices.Contains(ends, cut+1) || i != cut%len(rubbish) { // the disk takes its time
				closed(t, l)
				continue
			}
			if err := l.Continue("again", nil); err != nil {
				t.Fatal(err)
			}
			add(t, l, 1, tokens, 12)
			closed(t, l)
			l = open(t, copied)
			wantTokens(t, l, 1, 12)
			closed(t, l)
		}
	}
}

// TestDamaged has files that no end of a program leaves.
func TestDamaged(t *testing.T) {
	line := func(r record) string {
		b, err := appendLine(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	h := head()
	h.Version = Version
	first := line(record{Head: &h})
	with := func(change func(*Head)) string {
		h := h
		change(&h)
		return line(record{Head: &h})
	}
	tokens := func(r run) string {
		r.LogProbs, r.Generations = make([]float32, len(r.IDs)), make([]uint64, len(r.IDs))
		return line(record{Tokens: &r})
	}
	result := line(record{Done: &done{1, []byte("{}")}})
	for name, test := range map[string]struct{ file, want string }{
		"empty":             {"", "empty: nothing was run"},
		"another file":      {"{\"id\": 1}\n", "no whole first line: is this a token log?"},
		"not a head":        {result, "line 1: the head of a log is its first line"},
		"two heads":         {first + first, "line 2: the head of a log is its first line"},
		"version":           {with(func(h *Head) { h.Version = 9 }), "version 9, want 1"},
		"no requests":       {with(func(h *Head) { h.Requests = 0 }), "0 requests, want 1 to"},
		"many requests":     {with(func(h *Head) { h.Requests = 1 << 40 }), "want 1 to"},
		"much input":        {with(func(h *Head) { h.Input = 1 << 40 }), "bytes of standard input, want 0 to"},
		"more input":        {first + line(record{Input: []byte("a")}), "more standard input than the 0 bytes"},
		"less input":        {with(func(h *Head) { h.Input = 3 }) + line(record{Input: []byte("a")}), "ends before the whole of its standard input"},
		"damaged":           {first + strings.Replace(result, "1", "2", 1) + result, "line 2 is damaged, and line 3 behind it is whole"},
		"damaged first":     {"x" + first + result, "line 1 is damaged, and line 2 behind it is whole"},
		"no record":         {first + line(record{}), "0 records in a line"},
		"two records":       {first + line(record{Input: []byte("a"), Suspect: &Suspect{}}), "2 records in a line"},
		"request":           {first + tokens(run{Request: 4, IDs: []int32{1}}), "request 4, want 0 to 3"},
		"negative request":  {first + tokens(run{Request: -1, IDs: []int32{1}}), "request -1, want 0 to 3"},
		"no tokens":         {first + tokens(run{}), "0 tokens"},
		"a gap":             {first + tokens(run{From: 1, IDs: []int32{1}}), "tokens of request 0 from 1 on, and it has 0"},
		"negative index":    {first + tokens(run{From: -1, IDs: []int32{1}}), "from -1 on"},
		"fewer logprobs":    {first + line(record{Tokens: &run{IDs: []int32{1}}}), "1 tokens with 0 log probabilities"},
		"behind the result": {first + result + tokens(run{Request: 1, IDs: []int32{1}}), "behind its result"},
		"two results":       {first + result + result, "request 1 has a second result"},
	} {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, []byte(test.file), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want … %s …", name, err, test.want)
		}
		if after, _ := os.ReadFile(path); string(after) != test.file {
			t.Errorf("%s: the file has changed", name)
		}
	}
}

// TestNames has files that cannot be logs.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "log")
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := Open(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := Create(filepath.Join(name, "log")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	l, err := Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(name); err == nil || !strings.Contains(err.Error(), "go on with --resume") {
		t.Errorf("a second time: %v", err)
	}
	closed(t, l)
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a log in which nothing was begun is left: %v", err)
	}
	closed(t, begin(t, name, nil, nil))
	if _, err := os.Stat(name); err != nil {
		t.Error(err)
	}
}

// TestWrongKernels: tokens that rest on kernels found wrong are dropped, those of an earlier run are not judged by later ones.
func TestWrongKernels(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	l := begin(t, name, nil, func() []Suspect { return []Suspect{{From: 3, To: 4}} })
	add(t, l, 0, 0, 50) // generations 1 to 5: from 20 on they rest on 3
	for i := range 3 {
		if err := l.Add(1, i, Token{ID: 9, Generation: 6, Since: 5}); err != nil { // begun when 4 was over
			t.Fatal(err)
		}
	}
	closed(t, l)
	l = open(t, name)
	wantTokens(t, l, 0, 20)
	if n := len(l.Tokens(1)); n != 3 {
		t.Errorf("request 1: %d tokens, want 3", n)
	}
	if err := l.Continue("again", func() []Suspect { return []Suspect{{From: 1, To: 9}} }); err != nil {
		t.Fatal(err)
	}
	add(t, l, 0, 20, 25)
	closed(t, l)
	l = open(t, name)
	wantTokens(t, l, 0, 20)
	if n := len(l.Tokens(1)); n != 3 {
		t.Errorf("request 1: %d tokens, want 3", n)
	}
	closed(t, l)
}

// full is a file on a disk that gets full.
type full struct {
	*os.File
	room int
}

func (f *full) Write(b []byte) (int, error) {
	if n := min(len(b), f.room); n < len(b) {
		f.room = 0
		n, _ = f.File.Write(b[:n])
		return n, &os.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
	}
	f.room -= len(b)
	return f.File.Write(b)
}

// TestDiskFull: whoever adds is told, what was written stays, and the log goes on when there is room.
func TestDiskFull(t *testing.T) {
	for _, room := range []int{600, 3000, 20_000} {
		name := filepath.Join(t.TempDir(), "log")
		l, err := Create(name)
		if err != nil {
			t.Fatal(err)
		}
		l.file = &full{l.file.(*os.File), room}
		if err := l.Begin(head(), nil, nil); err != nil {
			t.Fatal(err)
		}
		n := 0
		for err == nil {
			err = l.Add(0, n, token(n))
			n++
		}
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "go on with --resume") {
			t.Fatalf("room %d: %v", room, err)
		}
		if err := l.Finish(0, text{"x"}); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("room %d: Finish: %v", room, err)
		}
		if err := l.Close(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("room %d: Close: %v", room, err)
		}
		l = open(t, name)
		had := len(l.Tokens(0))
		if had >= n || l.Done(0) {
			t.Errorf("room %d: %d tokens of %d, done %v", room, had, n, l.Done(0))
		}
		wantTokens(t, l, 0, had)
		if err := l.Continue("again", nil); err != nil {
			t.Fatal(err)
		}
		add(t, l, 0, had, had+5)
		closed(t, l)
		l = open(t, name)
		wantTokens(t, l, 0, had+5)
		closed(t, l)
	}
}

// TestFullAtOnce: a log whose head cannot be written says so before anything is run.
func TestFullAtOnce(t *testing.T) {
	l, err := Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	l.file = &full{l.file.(*os.File), 30}
	if err := l.Begin(head(), nil, nil); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Begin: %v", err)
	}
	closed(t, l)
}

// TestWritesByItself: tokens reach the file without any other call, after a tenth of a second.
func TestWritesByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "log")
		l := begin(t, name, nil, nil)
		size := func() int64 {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			return info.Size()
		}
		before := size()
		add(t, l, 0, 0, 3)
		time.Sleep(2 * flushAfter)
		after := size()
		if after <= before {
			t.Errorf("%d bytes after %v, and %d before", after, 2*flushAfter, before)
		}
		time.Sleep(2 * flushAfter)
		if size() != after {
			t.Error("it writes when there is nothing new")
		}
		closed(t, l)
	})
}

// TestManyWriters has requests side by side: each has its tokens in order.
func TestManyWriters(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	l := begin(t, name, nil, nil)
	errs := make(chan error)
	for request := range 4 {
		go func() {
			var err error
			for i := range 3000 {
				err = errors.Join(err, l.Add(request, i, token(i)))
			}
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	closed(t, l)
	l = open(t, name)
	for request := range 4 {
		wantTokens(t, l, request, 3000)
	}
	closed(t, l)
}

// FuzzOpen reads whatever bytes there are: an error of one line, or a log that can be gone on with.
func FuzzOpen(f *testing.F) {
	for _, n := range []int{0, 1, 300} {
		name := filepath.Join(f.TempDir(), "log")
		l, err := Create(name)
		if err != nil {
			f.Fatal(err)
		}
		if err := l.Begin(head(), []byte("in"), func() []Suspect { return []Suspect{{2, 3}} }); err != nil {
			f.Fatal(err)
		}
		for i := range n {
			if err := l.Add(1, i, token(i)); err != nil {
				f.Fatal(err)
			}
		}
		if err := errors.Join(l.Finish(2, text{"x"}), l.Close()); err != nil {
			f.Fatal(err)
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, uint64(0))
		f.Add(raw, uint64(7))
	}
	f.Fuzz(func(t *testing.T, raw []byte, seed uint64) {
		if seed > 0 { // sums that fit, or most bytes would end there
			raw = resummed(raw, seed)
		}
		name := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(name, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		l, err := Open(name)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: want one line", err)
			}
			return
		}
		n, request := 0, -1
		for i := range min(l.Head().Requests, 100) {
			if !l.Done(i) {
				n, request = len(l.Tokens(i)), i
			} else if err := l.Result(i, &map[string]any{}); err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: want one line", err)
			}
		}
		if err := l.Continue("fuzz", nil); err != nil {
			t.Fatal(err)
		}
		if request >= 0 {
			if err := l.Add(request, n, Token{ID: 7}); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if l, err = Open(name); err != nil {
			t.Fatalf("after it went on: %v", err)
		}
		if request >= 0 && len(l.Tokens(request)) != n+1 {
			t.Errorf("request %d: %d tokens, want %d", request, len(l.Tokens(request)), n+1)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// resummed gives the lines of a file sums that fit, but for one in ten.
func resummed(raw []byte, seed uint64) (out []byte) {
	rng := rand.New(rand.NewPCG(seed, 1))
	for line := range bytes.Lines(raw) {
		text := bytes.TrimSuffix(line[min(len(line), prefix):], []byte("\n"))
		sum := checksum(text)
		if rng.IntN(10) == 0 {
			sum++
		}
		out = fmt.Appendf(out, "%08x %s\n", sum, text)
	}
	return out
}
