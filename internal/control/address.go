package control

import (
	"fmt"
	"runtime"
	"strings"
)

// Parse reads an address, unix:PATH, and returns the path. On Linux a PATH that begins with @ is a name without a
// file, which ends with its engine however that ends.
func Parse(address string) (path string, err error) {
	path, ok := strings.CutPrefix(address, "unix:")
	switch {
	case !ok || path == "" || strings.ContainsRune(path, 0):
		return "", fmt.Errorf("control: address %q, want unix:PATH of a socket, as unix:/run/user/1000/troupe.sock", address)
	case path[0] == '@' && runtime.GOOS != "linux":
		return "", fmt.Errorf("control: address %q: a name without a file needs Linux: want unix:PATH", address)
	case len(path) > maxPath:
		return "", fmt.Errorf("control: %s: a path of %d bytes, and sockets have at most %d: choose a shorter one", path, len(path), maxPath)
	}
	return path, nil
}
