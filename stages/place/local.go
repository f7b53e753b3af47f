package place

import "troupe/model"

// local keeps experts with their layer group: work and parts never leave the device.
var _ = register(Strategy{
	Name:  "local",
	Doc:   "experts on the device of their layer",
	Why:   "on the device of their layer",
	Place: placeLocal,
})

func placeLocal(c model.Config, p Plan, _ []int) [][]int {
	all := homes(c)
	for _, s := range p.Stages {
		for l := s.Span.Lo; l < s.Span.Hi; l++ {
			for e := range all[l] {
				all[l][e] = s.Device
			}
		}
	}
	return all
}
