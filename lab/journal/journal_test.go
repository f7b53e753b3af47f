package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func options(t testing.TB) Options {
	return Options{File: filepath.Join(t.TempDir(), "new", "measurements.jsonl"), Kind: "test", Version: 1,
		Fields: []Field{{"model", "abc"}, {"arith", "exact"}}}
}

// open returns the journal and the numbers that are in it.
func open(t testing.TB, o Options) (*Journal, []int) {
	t.Helper()
	j, list, err := tryOpen(o)
	if err != nil {
		t.Fatal(err)
	}
	return j, list
}

func tryOpen(o Options) (*Journal, []int, error) {
	var list []int
	j, err := Open(o, func(line []byte) error {
		var n int
		err := json.Unmarshal(line, &n)
		list = append(list, n)
		return err
	})
	return j, list, err
}

// TestJournal: whatever a program or a disk has left of the last line, what is whole is there, and goes on.
func TestJournal(t *testing.T) {
	o := options(t)
	j, list := open(t, o)
	if len(list) != 0 {
		t.Fatalf("new: %v", list)
	}
	for n := range 3 {
		if err := j.Add(n); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(o.File)
	if err != nil {
		t.Fatal(err)
	}
	begin := len(raw) - len("0\n1\n2\n")
	tails := []string{"0\n1\n2\n", "0\n1\n2\n{\"x\":", "0\n1\n2\n\x00\x00\x00\n", "0\n1\n2\n3"}
	for cut := range len("0\n1\n2\n") {
		tails = append(tails, "0\n1\n2\n"[:cut])
	}
	for _, tail := range tails {
		if err := os.WriteFile(o.File, append(slices.Clone(raw[:begin]), tail...), 0o644); err != nil {
			t.Fatal(err)
		}
		j, list := open(t, o)
		whole := min(strings.Count(tail, "\n"), 3)
		if fmt.Sprint(list) != fmt.Sprint([]int{0, 1, 2}[:whole]) || j.Lines() != whole {
			t.Errorf("%q: %v, %d lines", tail, list, j.Lines())
		}
		if err := errors.Join(j.Add(7), j.Close()); err != nil {
			t.Fatal(err)
		}
		j, list = open(t, o)
		if fmt.Sprint(list) != fmt.Sprint(append([]int{0, 1, 2}[:whole:whole], 7)) {
			t.Errorf("%q: then %v", tail, list)
		}
		j.Close()
	}
	for cut := range begin - 1 { // within the head nothing was measured
		if err := os.WriteFile(o.File, raw[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		j, list := open(t, o)
		if len(list) > 0 {
			t.Errorf("%d bytes: %v", cut, list)
		}
		j.Close()
	}
}

// TestJournalOfSomethingElse is left as it is, with the difference told, unless it is to be thrown away.
func TestJournalOfSomethingElse(t *testing.T) {
	o := options(t)
	j, _ := open(t, o)
	if err := errors.Join(j.Add(1), j.Add(2), j.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(o.File)
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Options){
		"was measured with arith exact, and now it is arith int8: give the same settings": func(o *Options) { o.Fields = []Field{{"model", "abc"}, {"arith", "int8"}} },
		"was measured with 2 settings, and now there are 1":                               func(o *Options) { o.Fields = o.Fields[:1] },
		`holds "test", version 1, want "other", version 1`:                                func(o *Options) { o.Kind = "other" },
		`version 1, want "test", version 2`:                                               func(o *Options) { o.Version = 2 },
	} {
		other := o
		change(&other)
		_, _, err := tryOpen(other)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--restart") {
			t.Errorf("%v, want %q", err, want)
		}
		if after, err := os.ReadFile(o.File); err != nil || string(after) != string(before) {
			t.Errorf("changed: %v", err)
		}
		other.Restart = true
		other.File = filepath.Join(t.TempDir(), "copy")
		if err := os.WriteFile(other.File, before, 0o644); err != nil {
			t.Fatal(err)
		}
		j, list := open(t, other)
		if len(list) > 0 {
			t.Errorf("restarted: %v", list)
		}
		j.Close()
	}
	for _, bad := range []string{"\n", "text", "text\n", "text\nmore\n", "{}\n1\n", "7\n1\n", string(before[:len(before)-4]) + "x\n2\n", string(before[:len(before)-4]) + "{}\n2\n"} {
		if err := os.WriteFile(o.File, []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, _, err := tryOpen(o); err == nil || !strings.Contains(err.Error(), "--restart") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	o.File = t.TempDir()
	if _, _, err := tryOpen(o); err == nil {
		t.Error("a folder was opened")
	}
}

// TestJournalOfTwo: two that are at work at a time lose nothing of each other.
func TestJournalOfTwo(t *testing.T) {
	o := options(t)
	a, _ := open(t, o)
	b, _ := open(t, o)
	for n := range 5 {
		if err := errors.Join(a.Add(n), b.Add(10+n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(a.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	j, list := open(t, o)
	defer j.Close()
	if slices.Sort(list); fmt.Sprint(list) != "[0 1 2 3 4 10 11 12 13 14]" {
		t.Errorf("%v", list)
	}
}

// full is a disk that has so much room.
type full struct {
	room int
	text strings.Builder
}

var errFull = errors.New("no space left on device")

func (f *full) Write(b []byte) (int, error) {
	n := min(len(b), f.room)
	f.room -= n
	f.text.Write(b[:n])
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

func (f *full) Sync() error  { return nil }
func (f *full) Close() error { return nil }

// TestJournalOnFullDisk: what was written stays, the error says so, and nothing is written behind half a line.
func TestJournalOnFullDisk(t *testing.T) {
	disk := &full{room: 7}
	j := &Journal{name: "m.jsonl", file: disk}
	var err error
	for n := range 10 {
		if n == 8 {
			disk.room = 100
		}
		if e := j.Add(10 + n); err == nil {
			err = e
		} else if e == nil {
			t.Errorf("%d was taken after %v", n, err)
		}
	}
	if !errors.Is(err, errFull) || !strings.Contains(err.Error(), "m.jsonl") || !strings.Contains(err.Error(), "the 2 measurements that it has are kept") {
		t.Error(err)
	}
	if got := disk.text.String(); got != "10\n11\n1" {
		t.Errorf("%q", got)
	}
}

// FuzzJournal: whatever is in the file, it is refused or gone on with.
func FuzzJournal(f *testing.F) {
	o := options(f)
	j, _ := open(f, o)
	if err := errors.Join(j.Add(1), j.Add(2), j.Close()); err != nil {
		f.Fatal(err)
	}
	raw, err := os.ReadFile(o.File)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"journal":"test","version":1,"measured":null}` + "\n1\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		o := options(t)
		if err := os.MkdirAll(filepath.Dir(o.File), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(o.File, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		j, before, err := tryOpen(o)
		if err != nil {
			return
		}
		if err := errors.Join(j.Add(5), j.Close()); err != nil {
			t.Fatal(err)
		}
		j, after := open(t, o)
		defer j.Close()
		if len(after) != len(before)+1 || after[len(before)] != 5 {
			t.Errorf("%v, then %v", before, after)
		}
	})
}
