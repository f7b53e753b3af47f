package plugins

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"troupe/plugins/internal/lend"
)

// FromEnv is the variable that names plugins: files or directories, separated as in PATH.
const FromEnv = "TROUPE_PLUGINS"

// Host is the plugin that serves a shared object with kernels in C; its file is looked for where plugins are.
const Host = "cabi"

// ErrTwice is the error of a plugin that is not taken since another one of that name comes before it.
var ErrTwice = errors.New("another plugin of that name comes first")

// Find looks for plugins: those named explicitly, then those of the list env, then in bin/plugins, in plugins beside
// this program, and in further directories. Each may be a program, a shared object (*.so) or a directory of them. Of
// two with one name the first is taken. Errors are of single plugins, explicit or of env's; the rest is usable.
func Find(explicit []string, env string, dirs ...string) ([]Config, []error) {
	f := finder{names: map[string]string{}}
	f.dirs = append(f.dirs, filepath.Join("bin", "plugins"))
	if self, err := os.Executable(); err == nil {
		f.dirs = append(f.dirs, filepath.Join(filepath.Dir(self), "plugins"))
	}
	f.dirs = append(f.dirs, dirs...)
	for _, path := range append(explicit, filepath.SplitList(env)...) {
		if path != "" {
			f.named(path)
		}
	}
	for _, dir := range f.dirs {
		f.directory(dir)
	}
	return f.found, f.errs
}

type finder struct {
	dirs  []string
	names map[string]string // name → path
	found []Config
	errs  []error
}

func (f *finder) fail(format string, args ...any) {
	f.errs = append(f.errs, fmt.Errorf("plugins: "+format, args...))
}

// named takes what somebody has named.
func (f *finder) named(path string) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		f.fail("%w", err)
	case info.IsDir():
		f.directory(path)
	default:
		f.file(path, true)
	}
}

// directory takes the programs of a directory. That there is none is no error: bin/plugins need not be there.
func (f *finder) directory(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		f.fail("%w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			f.file(filepath.Join(dir, e.Name()), false)
		}
	}
}

// file takes one plugin. In a directory, what cannot be one is passed over.
func (f *finder) file(path string, named bool) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		if named {
			f.fail("%s: not a regular file", path)
		}
		return
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		f.fail("%w", err)
		return
	}
	c := Config{Path: abs}
	name := lend.Name(path)
	if object, ok := strings.CutSuffix(filepath.Base(path), ".so"); ok {
		host := f.host(filepath.Dir(path))
		if host == "" {
			f.fail("%s: a shared object needs the plugin %s to serve it, which is not beside it nor in %s: build it by `go build -o bin/plugins/ ./plugins/%s`", path, Host, strings.Join(f.dirs, ", "), Host)
			return
		}
		c, name = Config{Path: host, Args: []string{abs}}, object
	} else if !executable(info) {
		if named {
			f.fail("%s: not executable: chmod +x it, if it is a plugin", path)
		}
		return
	} else if name == Host && !named {
		return // it serves shared objects and has no kernels of its own
	}
	if first, twice := f.names[name]; twice {
		if first != abs {
			f.fail("%s: %w: %s", path, ErrTwice, first)
		}
		return
	}
	f.names[name] = abs
	f.found = append(f.found, c)
}

// host finds the program that serves shared objects.
func (f *finder) host(beside string) string {
	for _, dir := range append([]string{beside}, f.dirs...) {
		path := filepath.Join(dir, Host)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && executable(info) {
			if abs, err := filepath.Abs(path); err == nil {
				return abs
			}
		}
	}
	return ""
}

func executable(info os.FileInfo) bool {
	if runtime.GOOS == "windows" {
		return strings.EqualFold(filepath.Ext(info.Name()), ".exe")
	}
	return info.Mode()&0o111 != 0
}

// maxChecksums bounds a file of checksums, in lines.
const maxChecksums = 10_000

// Checksums reads a file as sha256sum writes it: for each file its SHA-256 and its name. Names are taken as they are,
// relative ones from the file's own directory on.
func Checksums(file string) (map[string][]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("plugins: checksums: %w", err)
	}
	defer f.Close()
	sums := map[string][]byte{}
	scanner := bufio.NewScanner(f)
	for n := 1; scanner.Scan(); n++ {
		line := strings.TrimRight(scanner.Text(), "\r")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		digits, rest, ok := strings.Cut(line, " ")
		sum, err := hex.DecodeString(digits)
		// A space and a space, or for a file read as binary a space and a star, come before the name.
		if !ok || err != nil || len(sum) != 32 || len(rest) < 2 || rest[0] != ' ' && rest[0] != '*' {
			return nil, fmt.Errorf("plugins: checksums: %s:%d: want 64 hexadecimal digits, two spaces and a name, as sha256sum writes them", file, n)
		}
		if n > maxChecksums {
			return nil, fmt.Errorf("plugins: checksums: %s: more than %d lines", file, maxChecksums)
		}
		name := rest[1:]
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(file), name)
		}
		if name, err = filepath.Abs(name); err != nil {
			return nil, fmt.Errorf("plugins: checksums: %w", err)
		}
		sums[name] = sum
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("plugins: checksums: %s: %w", file, err)
	}
	return sums, nil
}
