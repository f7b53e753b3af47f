package cpu

import "troupe/kernels"

const (
	genericName = "cpu/generic"
	genericDoc  = "portable Go, all cores"
)

var _ = kernels.Register(kernels.Variant{
	Name:  genericName,
	Doc:   genericDoc,
	Score: func() int { return 10 },
	Open: func(t kernels.Threads) (kernels.Library, error) {
		return open(genericName, genericDoc, &genericLoops, t), nil
	},
})

var genericLoops = loops{vectorLoops: genericVectors}
