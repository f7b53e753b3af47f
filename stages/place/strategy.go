package place

import (
	"fmt"
	"slices"
	"strings"

	"troupe/model"
)

// Strategy decides where experts live, and may decide where layers do.
type Strategy struct {
	Name string
	Doc  string // one line
	Why  string // of an expert's home, for people
	// Cut gives each of the devices for layers its stages, in order. It may be nil: the layers are cut evenly.
	Cut func(c model.Config, devices []Device, o Options) ([]Stage, error)
	// Place returns a device for every expert, [layer][expert]. The plan has devices and stages; hosts
	// are the devices that experts are wanted on.
	Place func(c model.Config, p Plan, hosts []int) [][]int
}

var strategies = map[string]Strategy{}

// register adds a strategy: var _ = register(…), one file each.
func register(s Strategy) struct{} {
	if _, twice := strategies[s.Name]; twice {
		panic("BUG: place: strategy registered twice: " + s.Name)
	}
	strategies[s.Name] = s
	return struct{}{}
}

// Strategies lists what is registered, by name.
func Strategies() []Strategy {
	var all []Strategy
	for _, s := range strategies {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Strategy) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// strategy is the name of the wished strategy, or of the default.
func (o Options) strategy() string {
	if o.Strategy != "" {
		return o.Strategy
	}
	if len(o.ExpertDevices) > 0 {
		return "spread"
	}
	return "local"
}

func findStrategy(name string) (Strategy, error) {
	if s, ok := strategies[name]; ok {
		return s, nil
	}
	var names []string
	for _, s := range Strategies() {
		names = append(names, s.Name)
	}
	return Strategy{}, fmt.Errorf("place: strategy %q, want one of %s", name, strings.Join(names, ", "))
}

// homes makes room for a device for every expert.
func homes(c model.Config) [][]int {
	all := make([][]int, c.Model.NumLayers)
	for l := range all {
		all[l] = make([]int, c.Model.NumExperts)
	}
	return all
}
