package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/kernels"
	"troupe/plugins"
)

func (p *program) kernelsCommand() *cli.Command {
	return &cli.Command{
		Name: "kernels", Usage: "kernel libraries: what computes the model",
		Subcommands: []*cli.Command{{
			Name: "list", Usage: "libraries, and their scores on this machine",
			Description: `The library with the highest score computes everything, unless --kernels says
otherwise: "ref", or "attend@0-3=ref,expert=cpu/generic".

Plugins are started to be asked what they have. A library of theirs computes
what a binding names it for and nothing else: "expert=plugin:mine".`,
			Flags:  append([]cli.Flag{jsonFlag("print the list as JSON")}, pluginFlags("")...),
			Action: p.kernelsList,
		}, p.kernelsTestCommand(), p.kernelsBenchCommand()},
	}
}

// libraryReport is what the list tells of a library.
type libraryReport struct {
	Name    string   `json:"name"`
	Doc     string   `json:"doc"`
	Score   int      `json:"score"`           // 0: cannot run here
	Needs   string   `json:"needs,omitempty"` // of the machine
	Panels  bool     `json:"prefers_panels"`  // repack pickles for it
	Version string   `json:"version,omitempty"`
	Promise string   `json:"promise,omitempty"` // "identical" to ref bit for bit, or "close"
	Ops     []string `json:"ops,omitempty"`
	Path    string   `json:"path,omitempty"`  // of a plugin
	Error   string   `json:"error,omitempty"` // why a plugin, or what it has, is of no use
}

func (p *program) kernelsList(c *cli.Context) error {
	h, err := p.readPlugins(c)
	if err != nil {
		return err
	}
	list, err := h.libraries(c.Context)
	switch {
	case err != nil:
		return err
	case c.Bool("json"):
		return writeJSON(p.out, list)
	}
	return p.printLibraries(list, p.out)
}

// libraries looks at all libraries that there are, built in and lent.
func (h *host) libraries(ctx context.Context) (list []libraryReport, err error) {
	for _, v := range kernels.Variants() {
		if kernels.Lent(v.Name) {
			continue
		}
		r := libraryReport{Name: v.Name, Doc: v.Doc, Score: v.Score(), Needs: v.Needs, Panels: v.Panels}
		if r.Score > 0 {
			if err := r.open(v); err != nil {
				return nil, err
			}
		}
		list = append(list, r)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.look()
	for _, c := range h.configs {
		d, err := h.ask(ctx, c)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		list = append(list, pluginReports(c, d, err)...)
	}
	for _, err := range h.broken {
		list = append(list, libraryReport{Error: err.Error()})
	}
	return list, nil
}

// pluginReports is what a plugin has, or why it could not be asked.
func pluginReports(c plugins.Config, d plugins.Description, err error) (list []libraryReport) {
	path := strings.Join(append([]string{c.Path}, c.Args...), " ")
	if err != nil {
		return []libraryReport{{Path: path, Error: err.Error()}}
	}
	for _, v := range d.Variants {
		r := libraryReport{Name: plugins.LentName(d.Name, v.Name), Doc: v.Doc, Score: v.Score, Needs: v.Needs, Panels: v.Panels, Path: path, Error: v.Error}
		if len(v.Ops) > 0 {
			r.describe(v.Info)
		}
		list = append(list, r)
	}
	return list
}

// printLibraries prints a table of libraries, then the files of those of plugins.
func (p *program) printLibraries(list []libraryReport, w io.Writer) error {
	var rows, files [][]string
	var broken []string
	for _, r := range list {
		doc := r.Doc
		switch {
		case r.Name == "":
			broken = append(broken, "not usable: "+r.Error)
			continue
		case r.Error != "":
			doc = "not here: " + r.Error
		case r.Score == 0:
			doc = "not here: it needs " + r.Needs
		}
		rows = append(rows, []string{r.Name, fmt.Sprint(r.Score), r.Promise, opsInWords(r.Ops), doc})
		if plugin, _, _ := strings.Cut(r.Name, "/"); r.Path != "" && (len(files) == 0 || files[len(files)-1][0] != plugin) {
			files = append(files, []string{plugin, shortPath(r.Path)})
		}
	}
	text := p.tableOf([]string{"Library", "Score", "Result", "Ops", ""}, rows, 1)
	if len(files) > 0 {
		text += "\n" + p.tableOf([]string{"Plugin", "File"}, files)
	}
	if len(broken) > 0 {
		text += "\n" + strings.Join(broken, "\n") + "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

// opsInWords names ops, or those that are lacking if these are fewer.
func opsInWords(ops []string) string {
	if len(ops) <= int(kernels.NumOps)/2 {
		return strings.Join(ops, " ")
	}
	words := "all"
	for op := range kernels.NumOps {
		if !slices.Contains(ops, op.String()) {
			words += " but " + op.String()
		}
	}
	return strings.Replace(strings.ReplaceAll(words, " but ", " "), " ", " but ", 1)
}

// shortPath is a plugin's path as one would type it here: that of a shared object, not of the program that serves it,
// and from this directory if it lies below it.
func shortPath(path string) string {
	if i := strings.LastIndex(path, " "+string(filepath.Separator)); i >= 0 {
		path = path[i+1:]
	}
	if here, err := os.Getwd(); err == nil {
		if rest, err := filepath.Rel(here, path); err == nil && filepath.IsLocal(rest) {
			return rest
		}
	}
	return path
}

// open asks the library itself.
func (r *libraryReport) open(v kernels.Variant) error {
	lib, err := v.Open(kernels.SameThreads(1))
	if err != nil {
		return fmt.Errorf("%s: %w", v.Name, err)
	}
	r.describe(lib.Info())
	return lib.Close()
}

func (r *libraryReport) describe(info kernels.Info) {
	r.Version, r.Promise = info.Version, promiseName(info.Promise)
	for _, op := range info.Ops {
		r.Ops = append(r.Ops, op.String())
	}
}
