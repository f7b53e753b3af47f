package arrows

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestRepository(t *testing.T) {
	found, err := Check(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
}

func TestForbidden(t *testing.T) {
	for _, c := range []struct {
		file, body string
		want       string // part of the one finding; "" for none
	}{
		{"tensor/x.go", `import "unsafe"`, ""},
		{"stages/x.go", `import "troupe/kernels"`, ""},
		{"stages/x.go", `import "troupe/actors"`, "stages/x.go:2: stages imports troupe/actors: stages arrange, actors carry"},
		{"stages/x.go", "//go:build windows\n" + `import "troupe/ckpt"`, "who computes is handed tensors"},
		{"stages/x.go", `import "time"`, "no goroutine, clock"},
		{"stages/x.go", "func f() {\n\tgo f()\n}", "stages/x.go:3: stages starts a goroutine"},
		{"stages/x_test.go", `import "time"`, ""},
		{"stages/x_test.go", `import "troupe/ckpt"`, ""},
		{"stages/x_test.go", `import "troupe/actors"`, "actors carry"},
		{"actors/x_test.go", `import "troupe/actors"`, ""},
		{"actors/x.go", `import "time"`, ""},
		{"actors/x.go", `import "troupe/ckpt"`, "who computes is handed tensors"},
		{"kernels/ref/x.go", `import "troupe/model"`, "a kernel serves any family"},
		{"kernels/x.go", `import "troupe/kernels/ref"`, "chosen by a binding"},
		{"model/x.go", `import "troupe/nowhere"`, "a family is a list of calls"},
		{"cli/x.go", `import "troupe/model/demo"`, ""},
		{"cli/x.go", `import "github.com/urfave/cli/v2"`, ""},
		{"ckpt/x.go", `import "github.com/nlpodyssey/gopickle/pickle"`, ""},
		{"cli/x.go", `import "github.com/nlpodyssey/gopickle/pickle"`, "it enters by ckpt only: pickles are hostile"},
		{"cli/x.go", `import "github.com/nlpodyssey/gopickles"`, "a library that is not on the map"},
		{"router/x_test.go", `import "github.com/google/go-cmp/cmp"`, ""},
		{"router/x.go", `import "github.com/google/go-cmp/cmp"`, "for test files only"},
		{"kernels/cpu/x.go", `import "C"`, "without a C compiler"},
		{"plugins/cabi/x.go", `import "C"`, ""},
		{"kernels/gpu/x.go", "", "kernels/gpu/x.go: folder kernels/gpu is not on the map"},
		{"cli/testdata/x.go", `import "C"`, ""},
		{"_old/x.go", `import "C"`, ""},
		{"nested/deep/x.go", `import "C"`, ""},
	} {
		tree := fstest.MapFS{
			c.file:          {Data: []byte("package x\n" + c.body + "\n")},
			"nested/go.mod": {Data: []byte("module nested\n")},
		}
		found, err := Check(tree)
		if err != nil {
			t.Fatalf("%s: %s: %v", c.file, c.body, err)
		}
		switch {
		case c.want == "" && len(found) > 0:
			t.Errorf("%s: %s: got %q, want nothing", c.file, c.body, found)
		case c.want != "" && (len(found) != 1 || !strings.Contains(found[0], c.want)):
			t.Errorf("%s: %s: got %q, want one with %q", c.file, c.body, found, c.want)
		}
	}
}

func TestUnreadable(t *testing.T) {
	if _, err := Check(fstest.MapFS{"cli/x.go": {Data: []byte("packag cli\n")}}); err == nil {
		t.Error("a file that does not parse: want an error")
	}
}

// TestTable checks the map itself: rows point at rows and in one direction, every forbidden arrow has a reason, and
// every reason is one for some arrow.
func TestTable(t *testing.T) {
	used := map[string]bool{}
	for _, from := range folders {
		for _, to := range from.imports {
			if _, ok := rowOf(to); !ok && to != "*" {
				t.Errorf("%s may import %s, which has no row", from.path, to)
			}
			if reaches(to, from.path) {
				t.Errorf("%s may import %s and the other way round", from.path, to)
			}
		}
		for _, to := range folders {
			if to.path == from.path || slices.Contains(from.imports, to.path) || slices.Contains(from.imports, "*") {
				continue
			}
			why := forbiddenFolder(from, to.path, false)
			if why == "" || strings.HasPrefix(why, "not on the map") {
				t.Errorf("%s may not import %s, but no reason says why", from.path, to.path)
			}
			i := slices.IndexFunc(reasons, func(r reason) bool { return matches(r.from, from.path) && matches(r.to, to.path) })
			if i >= 0 {
				used[reasons[i].from+" "+reasons[i].to] = true
			}
		}
	}
	for _, r := range reasons {
		if !used[r.from+" "+r.to] {
			t.Errorf("reason %s -> %s is one for no arrow", r.from, r.to)
		}
	}
	for i, d := range doors {
		for _, in := range d.in {
			if _, ok := rowOf(in); !ok {
				t.Errorf("%s enters by %s, which has no row", d.module, in)
			}
		}
		for _, other := range doors[:i] {
			if strings.HasPrefix(d.module+"/", other.module+"/") {
				t.Errorf("%s has two doors", d.module)
			}
		}
	}
}

// reaches says whether the rows lead from one folder to another.
func reaches(from, to string) bool {
	row, _ := rowOf(from)
	return slices.ContainsFunc(row.imports, func(next string) bool { return next == to || reaches(next, to) })
}
