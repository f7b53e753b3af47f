//go:build !(cuda && cgo && linux && (amd64 || arm64))

// Command cuda is the plugin that computes on NVIDIA GPUs, here built without CUDA: it says how it is built with it.
package main

import (
	"errors"

	"troupe/kernels"
	"troupe/plugins"
)

func main() {
	const how = "a build with CUDA, on Linux: task gpu:build"
	plugins.ServeAs("cuda", kernels.Variant{
		Name: "0", Doc: "NVIDIA GPUs; this program was built without CUDA", Score: func() int { return 0 }, Needs: how,
		Open: func(kernels.Threads) (kernels.Library, error) { return nil, errors.New("cuda: it needs " + how) },
	})
}
