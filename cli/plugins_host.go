package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/kernels"
	"troupe/plugins"
)

// binding reads a binding, and lends what it names of plugins.
func (h *host) binding(ctx context.Context, text string) (kernels.Binding, error) {
	for _, part := range strings.Split(text, ",") {
		_, name, named := strings.Cut(part, "=")
		if !named {
			name = part
		}
		if name = strings.TrimSpace(name); strings.HasPrefix(name, plugins.Prefix) {
			if err := h.lend(ctx, name); err != nil {
				return kernels.Binding{}, err
			}
		}
	}
	b, err := kernels.ParseBinding(text)
	if err == nil && h.layers > 0 {
		err = b.CheckLayers(h.layers)
	}
	return b, err
}

// lend finds the plugin that has a library, "plugin:NAME" or "plugin:NAME/VARIANT", and lends all it has. The plugin
// whose file is called NAME is asked first, then the others.
func (h *host) lend(ctx context.Context, library string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.look()
	if key := h.lent[library]; key != "" && slices.ContainsFunc(h.configs, func(c plugins.Config) bool { return keyOf(c) == key }) {
		return nil
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(library, plugins.Prefix), "/")
	order := slices.Clone(h.configs)
	slices.SortStableFunc(order, func(a, b plugins.Config) int { return fits(b, name) - fits(a, name) })
	var errs []error
	for _, c := range order {
		d, err := h.ask(ctx, c)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && fits(c, name) > 0:
			return err // rather than that it is unknown
		case err != nil:
			errs = append(errs, err)
		case slices.ContainsFunc(lentNames(d), func(n string) bool { return n == library || strings.HasPrefix(n, library+"/") }):
			h.lent[library] = keyOf(c)
			return lendAll(d.Lent(c))
		}
	}
	return errors.Join(slices.Concat([]error{h.unknown(library)}, errs, h.broken)...)
}

// findLibraries finds what an argument names: a library by name, all that a plugin lends by its name, or all of a
// plugin's file.
func (p *program) findLibraries(c *cli.Context, name string) ([]kernels.Variant, error) {
	var files []string
	switch info, err := os.Stat(name); {
	case name == "":
		return nil, usagef("an empty name: want one LIBRARY or FILE")
	case err == nil && !info.IsDir():
		files = append(files, name)
	case err == nil && !isBuiltIn(name):
		return nil, usagef("%s: a directory: want a plugin's file, or --plugin %s and the name of a library", name, name)
	}
	h, err := p.readPlugins(c, files...)
	if err != nil {
		return nil, err
	}
	switch {
	case len(files) > 0:
		return h.file(c.Context, name)
	case !strings.HasPrefix(name, plugins.Prefix):
		v, err := kernels.Find(name)
		switch {
		case err != nil && !isBuiltIn(name):
			return nil, usagef("%w, and no file is called so", err)
		case err != nil:
			return nil, &usageError{err: err}
		}
		return []kernels.Variant{v}, nil
	}
	if err := h.lend(c.Context, name); err != nil {
		return nil, err
	}
	if v, err := kernels.Find(name); err == nil && v.Name == name {
		return []kernels.Variant{v}, nil
	}
	return runnable(name, slices.DeleteFunc(kernels.Variants(), func(v kernels.Variant) bool { return !strings.HasPrefix(v.Name, name+"/") }))
}

// isBuiltIn tells whether a name is that of a library of the program's own, or of several variants of one.
func isBuiltIn(name string) bool {
	return slices.ContainsFunc(kernels.Variants(), func(v kernels.Variant) bool { return v.Name == name || strings.HasPrefix(v.Name, name+"/") })
}

// file lends what a plugin's file has.
func (h *host) file(ctx context.Context, path string) ([]kernels.Variant, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.configs, func(c plugins.Config) bool { return sameFile(c, path) })
	if i < 0 {
		return nil, errors.Join(h.broken...)
	}
	d, err := h.ask(ctx, h.configs[i])
	if err != nil {
		return nil, err
	}
	variants := d.Lent(h.configs[i])
	if err := lendAll(variants); err != nil {
		return nil, err
	}
	return runnable(path, variants)
}

// sameFile tells whether a plugin is of that file, as a program or as what one loads.
func sameFile(c plugins.Config, path string) bool {
	want, err := os.Stat(path)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(append([]string{c.Path}, c.Args...), func(name string) bool {
		got, err := os.Stat(name)
		return err == nil && os.SameFile(got, want)
	})
}

// runnable are those that can run on this machine.
func runnable(name string, variants []kernels.Variant) (some []kernels.Variant, err error) {
	needs := "there are none"
	for _, v := range variants {
		if v.Score() > 0 {
			some = append(some, v)
		} else {
			needs = v.Name + " needs " + v.Needs
		}
	}
	if len(some) == 0 {
		return nil, fmt.Errorf("%s: none of its libraries can run on this machine: %s", name, needs)
	}
	return some, nil
}

// fits is 1 for a plugin whose file is called name.
func fits(c plugins.Config, name string) int {
	file := c.Path
	if len(c.Args) > 0 { // a host of a shared object
		file = c.Args[len(c.Args)-1]
	}
	file = filepath.Base(file)
	if file == name || strings.TrimSuffix(file, filepath.Ext(file)) == name {
		return 1
	}
	return 0
}

// unknown says that no plugin has a library, and which ones there are.
func (h *host) unknown(library string) error {
	var names []string
	for _, c := range h.configs {
		if d, ok := h.asked[keyOf(c)]; ok {
			names = append(names, lentNames(d)...)
		}
	}
	slices.Sort(names)
	switch {
	case len(h.configs) == 0:
		return fmt.Errorf("library %q: no plugins found: name the file by --plugin, or put it into bin/plugins", library)
	case len(names) == 0:
		return fmt.Errorf("library %q: none of the %d plugins found has it", library, len(h.configs))
	}
	return fmt.Errorf("library %q: no plugin has it; there are %s%s", library, strings.Join(names, ", "), didYouMean("", library, names))
}

// ask starts a plugin once to learn what it has. The caller holds mu.
func (h *host) ask(ctx context.Context, c plugins.Config) (plugins.Description, error) {
	key := keyOf(c)
	if err := h.failed[key]; err != nil {
		return plugins.Description{}, err
	}
	if d, ok := h.asked[key]; ok {
		return d, nil
	}
	d, err := plugins.Describe(ctx, c)
	switch {
	case err == nil:
		h.asked[key] = d
	case ctx.Err() == nil:
		h.failed[key] = err
	}
	return d, err
}

// lentNames are the names of a plugin's libraries in the engine.
func lentNames(d plugins.Description) (names []string) {
	for _, v := range d.Variants {
		names = append(names, plugins.LentName(d.Name, v.Name))
	}
	return names
}

func lendAll(variants []kernels.Variant) error {
	for _, v := range variants {
		if err := kernels.Lend(v); err != nil {
			return err
		}
	}
	return nil
}
