//go:build cuda && cgo && linux && (amd64 || arm64)

package library

import (
	"sync"

	"troupe/plugins/cuda/device"
	images "troupe/plugins/cuda/kernels"
)

// compiled is what the plugin carries.
var compiled = sync.OnceValues(func() (i device.Images, err error) {
	if i.PTX, err = images.PTX(); err != nil {
		return i, err
	}
	i.Cubins, err = images.Cubins()
	return i, err
})
