//go:build unix

package shm

import "os"

// createFile makes a file that has no name any more when it comes back.
func createFile(_ string, size int) (*os.File, error) {
	f, err := os.CreateTemp("", "troupe-memory")
	if err != nil {
		return nil, err
	}
	err = os.Remove(f.Name())
	if err == nil {
		err = f.Truncate(int64(size))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
