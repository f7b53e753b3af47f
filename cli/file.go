package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// await waits for what is read, or for the end of ctx: a pipe that nobody writes to would hold up an interruption for
// ever. What goes on behind then ends with the program.
func await[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := read()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// readAtMost reads a small file, and refuses a larger one.
func readAtMost(ctx context.Context, name string, limit int64) ([]byte, error) {
	return await(ctx, func() ([]byte, error) {
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
	})
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
