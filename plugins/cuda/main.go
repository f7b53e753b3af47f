//go:build cuda && cgo && linux && (amd64 || arm64)

// Command cuda is the plugin that computes on NVIDIA GPUs, one variant for each: plugin:cuda/0, plugin:cuda/1 and so on.
// On a machine without a GPU it starts, and says what is missing.
package main

import (
	"fmt"
	"strconv"

	"troupe/kernels"
	"troupe/plugins"
	"troupe/plugins/cuda/device"
	"troupe/plugins/cuda/library"
)

func main() { plugins.ServeAs("cuda", variants()...) }

// score is that of a GPU that can be used.
const score = 1000

func variants() (all []kernels.Variant) {
	gpus, err := device.List()
	if err != nil {
		return []kernels.Variant{missing(0, "no GPU", err)}
	}
	for i, gpu := range gpus {
		if gpu.Unfit != nil {
			all = append(all, missing(i, gpu.Name, gpu.Unfit))
			continue
		}
		all = append(all, kernels.Variant{
			Name: strconv.Itoa(i), Panels: true,
			Doc:   fmt.Sprintf("%s, %d GiB, compute capability %d.%d", gpu.Name, gpu.Memory>>30, gpu.Capability/10, gpu.Capability%10),
			Score: func() int { return score },
			Open: func(t kernels.Threads) (kernels.Library, error) {
				return library.Open("cuda/"+strconv.Itoa(i), i, t)
			},
		})
	}
	return all
}

func missing(i int, doc string, why error) kernels.Variant {
	return kernels.Variant{
		Name: strconv.Itoa(i), Doc: doc, Score: func() int { return 0 },
		Needs: fmt.Sprintf("an NVIDIA GPU of capability %d.%d or later; here: %v", device.Oldest/10, device.Oldest%10, why),
		Open:  func(kernels.Threads) (kernels.Library, error) { return nil, why },
	}
}
