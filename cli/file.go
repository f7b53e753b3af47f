package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// readAtMost reads a small file, and refuses a larger one.
func readAtMost(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("%s: longer than %d bytes", name, limit)
	}
	return raw, err
}

// newFile is a file in the making: it has another name beside its own, and takes its own when it is whole.
type newFile struct {
	*os.File
	name string
}

// createFile begins a file. Its directory has to be there.
func createFile(name string) (*newFile, error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".partial-")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, bare(err))
	}
	return &newFile{f, name}, nil
}

// finish names the file if all went well, and removes it otherwise.
func (f *newFile) finish(err error) error {
	if err == nil {
		err = errors.Join(f.Chmod(0o644), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.File.Name(), f.name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.File.Name()))
	}
	return nil
}
