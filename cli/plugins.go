package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"troupe/plugins"
)

// maxDeadline bounds --plugin-deadline.
const maxDeadline = time.Hour

// pluginFlags say where plugins are, and how far they are trusted.
func pluginFlags(category string) []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "plugin", TakesFile: true, Category: category,
			Usage: "`PATH` of a plugin or a directory of them, besides those of TROUPE_PLUGINS, bin/plugins and the program's own plugins directory"},
		&cli.StringFlag{Name: "plugin-checksums", TakesFile: true, Category: category, DefaultText: "none",
			Usage: "`FILE` as sha256sum prints it: plugins are started only if they are in it and unchanged"},
		&cli.StringFlag{Name: "plugin-deadline", Category: category, DefaultText: "1s",
			Usage: "`TIME` that a call to a plugin may take, besides what its size needs"},
	}
}

// host finds plugins and lends what they have. A plugin is started only to be asked what it has, and to be used.
type host struct {
	find  func() ([]plugins.Config, []error) // looks for files; nil: there are none
	trust *trust                             // nil: all of them

	layers int // of the model, 0 where there is none

	mu      sync.Mutex
	configs []plugins.Config
	broken  []error                        // files that are no plugins
	asked   map[string]plugins.Description // by keyOf
	failed  map[string]error               // by keyOf: why it cannot be asked
	lent    map[string]string              // keyOf of what has a library, by the names that have been found
}

// keyOf tells the files of a plugin, as they are now, from others.
func keyOf(c plugins.Config) string {
	var key strings.Builder
	for _, path := range append([]string{c.Path}, c.Args...) {
		fmt.Fprintf(&key, "%s\x00", path)
		if info, err := os.Stat(path); err == nil {
			fmt.Fprintf(&key, "%d %d\x00", info.Size(), info.ModTime().UnixNano())
		}
	}
	return key.String()
}

// readPlugins reads the flags and looks for plugins, once; extra are files that are named otherwise.
func (p *program) readPlugins(c *cli.Context, extra ...string) (*host, error) {
	if p.host != nil {
		return p.host, nil
	}
	named := c.StringSlice("plugin")
	for _, path := range named {
		if _, err := os.Stat(path); err != nil {
			return nil, badFlag("plugin", fmt.Errorf("%s: %w", path, bare(err)))
		}
	}
	h := &host{asked: map[string]plugins.Description{}, failed: map[string]error{}, lent: map[string]string{}}
	var deadline time.Duration
	if text := c.String("plugin-deadline"); text != "" {
		var err error
		if deadline, err = time.ParseDuration(text); err != nil || deadline <= 0 || deadline > maxDeadline {
			return nil, badFlag("plugin-deadline", fmt.Errorf("%q, want a time such as 500ms or 2s, at most %v", text, maxDeadline))
		}
	}
	if file := c.String("plugin-checksums"); file != "" {
		sums, err := plugins.Checksums(file)
		if err != nil {
			return nil, badFlag("plugin-checksums", err)
		}
		h.trust = &trust{file, sums}
	}
	h.find = func() ([]plugins.Config, []error) {
		configs, broken := plugins.Find(append(extra, named...), os.Getenv(plugins.FromEnv))
		for i := range configs {
			configs[i].Deadline, configs[i].Log = deadline, p.logs.part("plugins")
		}
		return configs, broken
	}
	h.look()
	p.host = h
	return h, nil
}

// look looks for plugins; an engine that runs may be given new ones, or old ones that were built anew. The caller holds
// mu, or nobody else has h.
func (h *host) look() {
	if h.find == nil {
		return
	}
	h.configs, h.broken = h.find()
	if h.trust == nil {
		return
	}
	for i := range h.configs {
		c := &h.configs[i]
		c.Checksum = h.trust.sums[c.Path]
		if err := h.trust.check(*c); err != nil {
			h.failed[keyOf(*c)] = err
		}
	}
}

// trust lets those plugins alone be started that are in a file of checksums.
type trust struct {
	file string
	sums map[string][]byte
}

func (t *trust) check(c plugins.Config) error {
	for _, path := range append([]string{c.Path}, c.Args...) {
		want := t.sums[path]
		if want == nil {
			return fmt.Errorf("%s: not in %s: add its line of sha256sum if you trust it", path, t.file)
		}
		if path != c.Path { // the program itself is looked at whenever it is started
			if err := checkSum(path, want); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkSum compares a file with its SHA-256.
func checkSum(path string, want []byte) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return err
	}
	if got := hash.Sum(nil); !bytes.Equal(got, want) {
		return fmt.Errorf("%s: its checksum is not the one expected (%x): the file has changed since that was taken", path, want)
	}
	return nil
}
