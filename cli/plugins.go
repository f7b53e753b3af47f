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
	configs []plugins.Config
	broken  []error // files that are no plugins

	mu     sync.Mutex
	asked  map[string]plugins.Description // by keyOf
	failed map[string]error               // by keyOf: why it cannot be asked
	lent   map[string]bool                // names that have been found
}

// keyOf is the program and its arguments.
func keyOf(c plugins.Config) string { return strings.Join(append([]string{c.Path}, c.Args...), "\x00") }

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
	h := &host{asked: map[string]plugins.Description{}, failed: map[string]error{}, lent: map[string]bool{}}
	h.configs, h.broken = plugins.Find(append(extra, named...), os.Getenv(plugins.FromEnv))
	var deadline time.Duration
	if text := c.String("plugin-deadline"); text != "" {
		var err error
		if deadline, err = time.ParseDuration(text); err != nil || deadline <= 0 || deadline > maxDeadline {
			return nil, badFlag("plugin-deadline", fmt.Errorf("%q, want a time such as 500ms or 2s, at most %v", text, maxDeadline))
		}
	}
	for i := range h.configs {
		h.configs[i].Deadline, h.configs[i].Log = deadline, p.logs.part("plugins")
	}
	if file := c.String("plugin-checksums"); file != "" {
		if err := h.trust(file); err != nil {
			return nil, badFlag("plugin-checksums", err)
		}
	}
	p.host = h
	return h, nil
}

// trust lets those plugins alone be started that are in a file of checksums.
func (h *host) trust(file string) error {
	sums, err := plugins.Checksums(file)
	if err != nil {
		return err
	}
	for i := range h.configs {
		c := &h.configs[i]
		c.Checksum = sums[c.Path]
		for _, path := range append([]string{c.Path}, c.Args...) {
			want := sums[path]
			if want == nil {
				h.failed[keyOf(*c)] = fmt.Errorf("%s: not in %s: add its line of sha256sum if you trust it", path, file)
			} else if path != c.Path { // the program itself is looked at whenever it is started
				if err := checkSum(path, want); err != nil {
					h.failed[keyOf(*c)] = err
				}
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
