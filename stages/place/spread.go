package place

import "troupe/model"

// spread deals experts out like cards, and goes on from layer to layer: every layer's experts compute on
// as many devices as possible, and no device gets more than one expert above another in all.
var _ = register(Strategy{
	Name: "spread",
	Doc:  "experts in turn over all devices, or over those for experts alone",
	Why:  "dealt in turn over the devices for experts",
	Place: func(c model.Config, _ Plan, hosts []int) [][]int {
		all := homes(c)
		turn := 0
		for l := range all {
			for e := range all[l] {
				all[l][e] = hosts[turn%len(hosts)]
				turn++
			}
		}
		return all
	},
})
