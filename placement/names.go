package placement

import (
	"fmt"
	"strings"
)

// checkNames wants every device to have a name of its own, and every name to be a device's.
func (f *File) checkNames() error {
	lines := map[string]int{}
	var names []string
	for _, d := range f.Devices {
		if first, twice := lines[d.Label]; twice {
			return at(d.Line, "devices: name %q stands twice, first in line %d", d.Label, first)
		}
		if d.Label == Local {
			return at(d.Line, "devices: name %q is kept for the device of an expert's layer: choose another", d.Label)
		}
		lines[d.Label] = d.Line
		names = append(names, d.Label)
	}
	known := func(line int, what, name string, local bool) error {
		if _, ok := lines[name]; ok || local && name == Local {
			return nil
		}
		wanted := names
		if local {
			wanted = append([]string{Local}, names...)
		}
		return at(line, "%s: device %q is not in devices, want %s%s", what, name, choice(wanted), near(name, wanted))
	}
	check := func(list []Stage, x Experts) error {
		for _, s := range list {
			if err := known(s.Line, "stages", s.Device, false); err != nil {
				return err
			}
		}
		if err := known(x.Line, "experts: default", x.Default, true); err != nil {
			return err
		}
		for _, r := range x.Rules {
			if err := known(r.Line, "experts: rules", r.Device, true); err != nil {
				return err
			}
		}
		return nil
	}
	for _, r := range f.replicas {
		if err := check(r.stages, r.experts); err != nil {
			return err
		}
	}
	return check(f.Stages, f.Experts)
}

// choice names a few of a list.
func choice(names []string) string {
	const most = 8
	if len(names) == 1 {
		return names[0]
	}
	if len(names) > most {
		return fmt.Sprintf("one of %s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return "one of " + strings.Join(names, ", ")
}
