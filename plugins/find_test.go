package plugins

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// files makes files in a new directory; those that begin with x are executable.
func files(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		mode := os.FileMode(0o600)
		if n, ok := strings.CutPrefix(name, "x:"); ok {
			name, mode = n, 0o700
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFind(t *testing.T) {
	dir := files(t, "x:a/one", "x:a/two", "a/notes.txt", "x:a/.hidden", "x:b/one", "x:b/three", "x:a/sub/deep", "a/mine.so", "x:c/cabi", "c/plain")
	in := func(name string) string { return filepath.Join(dir, name) }
	paths := func(all []Config) (s []string) {
		for _, c := range all {
			s = append(s, strings.Join(append([]string{c.Path}, c.Args...), " "))
		}
		return s
	}
	for _, c := range []struct {
		name     string
		explicit []string
		env      string
		dirs     []string
		want     []string // paths, below dir
		errs     []string
	}{
		{name: "nothing"},
		{name: "a directory", dirs: []string{"b"}, want: []string{"b/one", "b/three"}},
		{name: "no such directory", dirs: []string{"nowhere"}},
		{name: "named ones first", explicit: []string{"b/three"}, env: "a/two", dirs: []string{"b"}, want: []string{"b/three", "a/two", "b/one"}},
		{name: "twice the same", explicit: []string{"b/one", "b/one"}, dirs: []string{"b"}, want: []string{"b/one", "b/three"}},
		{name: "two of a name", explicit: []string{"b/one"}, dirs: []string{"a", "c"}, want: []string{"b/one", "c/cabi a/mine.so", "a/two"}, errs: []string{"a/one: another plugin"}},
		{name: "a shared object", explicit: []string{"a/mine.so"}, dirs: []string{"c"}, want: []string{"c/cabi a/mine.so"}},
		{name: "no host", explicit: []string{"a/mine.so"}, errs: []string{"needs the plugin cabi"}},
		{name: "the host", explicit: []string{"c/cabi"}, want: []string{"c/cabi"}},
		{name: "missing", explicit: []string{"nothing"}, errs: []string{"no such file"}},
		{name: "not executable", explicit: []string{"c/plain"}, errs: []string{"c/plain: not executable"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			full := func(names []string) (all []string) {
				for _, n := range names {
					all = append(all, in(n))
				}
				return all
			}
			env := ""
			if c.env != "" {
				env = in(c.env)
			}
			found, errs := Find(full(c.explicit), env, full(c.dirs)...)
			got := paths(found)
			for i := range got {
				got[i] = strings.ReplaceAll(got[i], dir+string(filepath.Separator), "")
			}
			if strings.Join(got, ",") != strings.Join(c.want, ",") {
				t.Errorf("found %q, want %q", got, c.want)
			}
			if len(errs) != len(c.errs) {
				t.Fatalf("errors %v, want %q", errs, c.errs)
			}
			for i, err := range errs {
				if !strings.Contains(err.Error(), filepath.FromSlash(c.errs[i])) {
					t.Errorf("error %v, want %q", err, c.errs[i])
				}
			}
		})
	}
}

// bin/plugins below the directory at hand is looked at as well.
func TestFindInBin(t *testing.T) {
	t.Chdir(files(t, "x:bin/plugins/here", "x:other/here"))
	found, errs := Find(nil, "", "other")
	if len(found) != 1 || filepath.Base(filepath.Dir(found[0].Path)) != "plugins" || !filepath.IsAbs(found[0].Path) {
		t.Errorf("%+v", found)
	}
	if len(errs) != 1 || !errors.Is(errs[0], ErrTwice) {
		t.Errorf("%v, want %v", errs, ErrTwice)
	}
}

func TestChecksums(t *testing.T) {
	dir := t.TempDir()
	sum := sha256.Sum256([]byte("x"))
	file := filepath.Join(dir, "sums")
	for _, c := range []struct {
		text string
		name string // of the one that is found
	}{
		{fmt.Sprintf("# kernels\n\n%x  p\n", sum), "p"},
		{fmt.Sprintf("%x *sub/p\r\n", sum), "sub/p"},
		{fmt.Sprintf("%x  a name with spaces", sum), "a name with spaces"},
		{fmt.Sprintf("%x p\n", sum), ""},
		{fmt.Sprintf("%x  \n", sum), ""},
		{"abc  p\n", ""},
		{fmt.Sprintf("%x  p\n", sum[:31]), ""},
		{strings.Repeat("x", 1<<20), ""},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Checksums(file)
		if c.name == "" {
			if err == nil || !strings.Contains(err.Error(), "sums") {
				t.Errorf("%.80q: %v, %v", c.text, got, err)
			}
			continue
		}
		if err != nil || !bytes.Equal(got[filepath.Join(dir, c.name)], sum[:]) {
			t.Errorf("%q: %v, %v", c.text, got, err)
		}
	}
	if _, err := Checksums(filepath.Join(dir, "nothing")); err == nil {
		t.Error("no file: no error")
	}
}
