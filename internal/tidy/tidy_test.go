package tidy

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

func TestRepository(t *testing.T) {
	files := tracked(t)
	if len(files) < 100 {
		t.Fatalf("%d files: the list of tracked files is not whole", len(files))
	}
	found, err := Check(os.DirFS(root), files)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
}

// tracked lists the files that git tracks; where there is no git or no clone (a source archive), all files, since an
// archive has no others.
func tracked(t *testing.T) []string {
	// The list is a function of the index; the go command sees that this test has looked at it, and does not
	// take an old result when it has changed.
	_, _ = os.Stat(path.Join(root, ".git/index"))
	out, err := exec.Command("git", "-C", root, "ls-files", "-z").Output()
	files := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if err == nil && slices.Contains(files, "go.mod") {
		return files
	}
	t.Logf("no list from git (%v): looking at all files", err)
	files = nil
	err = fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && (name == ".git" || name == ".task" || name == "bin") {
			return fs.SkipDir
		}
		if err == nil && !d.IsDir() {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
