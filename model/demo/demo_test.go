package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"testing"
	"testing/fstest"
)

// What the model card promises. treeHash is what this prints in model/demo:
//
//	find ckpt-0 config.json tokenizer.model -type f | LC_ALL=C sort | xargs sha256sum | sha256sum
const (
	tensorFiles = 74
	tensorBytes = 13_096_608
	treeHash    = "f04665861cda2f1bc9ab99789132e2162187e76accbb5059ad9e61b0e02075ef"
)

func TestEmbeddedFilesAreComplete(t *testing.T) {
	var count, size int64
	hash := sha256.New()
	err := fs.WalkDir(FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(FS(), name)
		if err != nil {
			return err
		}
		fmt.Fprintf(hash, "%x  %s\n", sha256.Sum256(data), name)
		if path.Dir(name) == "ckpt-0" {
			if want := fmt.Sprintf("tensor%05d_000", count); path.Base(name) != want {
				t.Errorf("%s: want %s next", name, want)
			}
			count++
			size += int64(len(data))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if count != tensorFiles || size != tensorBytes {
		t.Errorf("ckpt-0: %d files of %d bytes, want %d of %d", count, size, tensorFiles, tensorBytes)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != treeHash {
		t.Errorf("tree: sha256 %s, want %s: a file is missing, added or changed (a git client that rewrites line ends?)", got, treeHash)
	}
}

func TestFS(t *testing.T) {
	if err := fstest.TestFS(FS(), "config.json", "tokenizer.model", "ckpt-0/tensor00000_000", "ckpt-0/tensor00073_000"); err != nil {
		t.Fatal(err)
	}
	f, err := FS().Open("ckpt-0/tensor00000_000")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, ok := f.(io.ReaderAt); !ok {
		t.Error("files have no ReadAt, which the doc of FS promises")
	}
}

// TestNamedFilesExist holds the model card and the recipe's README to the tree: what they name in backquotes as
// a file or folder is there, but for what comes to be when the recipe is run.
func TestNamedFilesExist(t *testing.T) {
	for doc, made := range map[string][]string{
		"MODEL_CARD.md":    nil,
		"recipe/README.md": {"run/", "run/log.jsonl", "demo/", "reference/", "tokenizer.model", "config.json", "ckpt-0/"},
	} {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, m := range regexp.MustCompile("`([\\w./-]+(?:/|\\.(?:go|py|c|csv|json|jsonl|model|txt)))`").FindAllStringSubmatch(string(text), -1) {
			found++
			if _, err := os.Stat(path.Join(path.Dir(doc), m[1])); err != nil && !slices.Contains(made, m[1]) {
				t.Errorf("%s names %s: %v", doc, m[1], err)
			}
		}
		if found < 5 {
			t.Errorf("%s: %d file names found, want at least 5: has its form changed?", doc, found)
		}
	}
}
