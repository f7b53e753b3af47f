package main

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestWords has binutils read the words of the committed files: each is the instruction that its comment says.
func TestWords(t *testing.T) {
	const objdump = "aarch64-linux-gnu-objdump"
	if _, err := exec.LookPath(objdump); err != nil {
		t.Skipf("%v (package binutils-aarch64-linux-gnu)", err)
	}
	code, comments := words(t)
	file := filepath.Join(t.TempDir(), "words")
	if err := os.WriteFile(file, code, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(objdump, "-D", "-b", "binary", "-m", "aarch64", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^ +[0-9a-f]+:\t([0-9a-f]+) \t(.*)$`).FindAllStringSubmatch(string(out), -1)
	if len(lines) != len(comments) {
		t.Fatalf("%d instructions read, want %d", len(lines), len(comments))
	}
	seen := map[string]bool{}
	for i, l := range lines {
		if seen[l[1]] {
			continue
		}
		seen[l[1]] = true
		if l[2] != comments[i] {
			t.Errorf("%s is %s, want %s", l[1], l[2], comments[i])
		}
	}
}

// words are the words of all arm64 assembly files and their comments.
func words(t *testing.T) (code []byte, comments []string) {
	files, err := filepath.Glob("../*_arm64.s")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d assembly files, %v", len(files), err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			word, comment, found := strings.Cut(strings.TrimSpace(line), " // ")
			if !found || !strings.HasPrefix(word, "WORD $0x") {
				continue
			}
			n, err := strconv.ParseUint(strings.TrimPrefix(word, "WORD $0x"), 16, 32)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			code, comments = binary.LittleEndian.AppendUint32(code, uint32(n)), append(comments, comment)
		}
	}
	return code, comments
}

// The committed files are what the generator writes now.
func TestARM64FilesAreNew(t *testing.T) {
	for name, write := range unitsARM64 {
		a := &asm{file: name}
		write(a)
		for suffix, want := range map[string]string{"_arm64.s": a.source(), "_arm64.go": a.declarations()} {
			got, err := os.ReadFile(filepath.Join("..", name+suffix))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != want {
				t.Errorf("%s%s is not what the generator writes: run go -C kernels/cpu/gen run .", name, suffix)
			}
		}
	}
}

// N1: no product is added before it is rounded.
func TestNoFusing(t *testing.T) {
	_, comments := words(t)
	for _, c := range comments {
		if strings.HasPrefix(c, "fml") || strings.HasPrefix(c, "fmad") {
			t.Errorf("%s", c)
		}
	}
}
