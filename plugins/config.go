package plugins

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-plugin"
)

// Config says how a plugin is started.
type Config struct {
	Path     string        // of the program
	Args     []string      // for it
	Checksum []byte        // SHA-256 of the file; nil: not checked
	Env      []string      // names of variables that are passed on, besides those of passed
	Deadline time.Duration // of a call, besides an allowance for its size; 0: 1 s
	Start    time.Duration // until the process answers, and for each control call; 0: 10 s
	Log      *slog.Logger  // what it writes, and what becomes of it; nil: nowhere
}

const (
	defaultDeadline = time.Second
	defaultStart    = 10 * time.Second
)

// passed are variables of this process that a plugin gets, those that end in * by their beginnings. Others may be
// secrets.
var passed = []string{
	"PATH", "HOME", "USER", "TMPDIR", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
	"GODEBUG", "GOTRACEBACK", "GOCOVERDIR", "CUDA_*", "NVIDIA_*",
}

func (c *Config) environment() []string {
	var env []string
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if slices.Contains(c.Env, name) || slices.ContainsFunc(passed, func(p string) bool {
			prefix, many := strings.CutSuffix(p, "*")
			return name == p || many && strings.HasPrefix(name, prefix)
		}) {
			env = append(env, variable)
		}
	}
	return env
}

func (c Config) withDefaults() Config {
	if path, err := filepath.Abs(c.Path); err == nil {
		c.Path = path // else a name without a slash is looked for elsewhere
	}
	if c.Deadline <= 0 {
		c.Deadline = defaultDeadline
	}
	if c.Start <= 0 {
		c.Start = defaultStart
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// longestTemp is how long the name of a directory for temporary files may be if a socket in it is to have a name that
// the system takes.
const longestTemp = 50

// temp is where go-plugin's socket is made.
func temp() string {
	if dir := os.TempDir(); len(dir) <= longestTemp || runtime.GOOS == "windows" {
		return dir
	}
	return "/tmp"
}

// check looks at the file before it is run.
func (c *Config) check() error {
	if runtime.GOOS == "windows" {
		return fmt.Errorf("plugins: %s: plugins need Linux or macOS", c.Path)
	}
	info, err := os.Stat(c.Path)
	switch {
	case err != nil:
		return fmt.Errorf("plugins: %w", err)
	case info.IsDir():
		return fmt.Errorf("plugins: %s: a directory, want a program: name the file of the plugin", c.Path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("plugins: %s: not a regular file", c.Path)
	case info.Mode()&0o111 == 0:
		return fmt.Errorf("plugins: %s: not executable: chmod +x it, if it is a plugin", c.Path)
	case c.Checksum == nil:
		return nil
	}
	secure := plugin.SecureConfig{Checksum: c.Checksum, Hash: sha256.New()}
	ok, err := secure.Check(c.Path)
	if err != nil {
		return fmt.Errorf("plugins: %s: checksum: %w", c.Path, err)
	}
	if !ok {
		return fmt.Errorf("plugins: %s: its checksum is not the one expected (%x): the file has changed since that was taken", c.Path, bytes.TrimSpace(c.Checksum))
	}
	return nil
}
