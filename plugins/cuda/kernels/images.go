package kernels

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
)

//go:embed images
var images embed.FS

// PTX is the text that a driver compiles for any GPU from compute capability 8.0 on.
func PTX() (string, error) { return image("kernels.ptx") }

// Cubins is the machine code for GPUs that need no compiling, by compute capability: 80 runs on 8.x, 90 on 9.x.
func Cubins() (map[int]string, error) {
	all := map[int]string{}
	for _, capability := range []int{80, 90} {
		text, err := image(fmt.Sprintf("kernels.sm_%d.cubin", capability))
		if err != nil {
			return nil, err
		}
		all[capability] = text
	}
	return all, nil
}

// image unpacks a file that compile has written.
func image(name string) (string, error) {
	packed, err := images.ReadFile("images/" + name + ".gz")
	if err != nil {
		return "", fmt.Errorf("cuda: %w: task gpu:compile makes it", err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return "", fmt.Errorf("cuda: image %s: %w", name, err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return "", fmt.Errorf("cuda: image %s: %w", name, err)
	}
	return string(text), nil
}
