package ckpt

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// Error says which file of a checkpoint is wrong and how. errors.Is and errors.As see through it to the
// cause, so fs.ErrPermission and syscall.ENOSPC can be asked for.
type Error struct {
	File   string // slash-separated, below the model directory: "ckpt-0/tensor00042_000"
	Tensor string // the name in the model, "" where no list of tensors was given
	Err    error  // got, want, mend
	More   int    // files that failed as well
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("ckpt: " + e.File)
	if e.Tensor != "" {
		b.WriteString(": " + e.Tensor)
	}
	b.WriteString(": " + e.Err.Error())
	switch {
	case e.More == 1:
		b.WriteString(" (1 more file failed)")
	case e.More > 1:
		fmt.Fprintf(&b, " (%d more files failed)", e.More)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// formatError is a finding of this package about the bytes of a file. It is told apart from the errors
// of gopickle, whose texts hold memory addresses.
type formatError struct{ text string }

func (e *formatError) Error() string { return e.text }

func badFormat(format string, args ...any) error {
	return &formatError{fmt.Sprintf(format, args...)}
}

// explain takes the path out of an operating system's error (Error.File has it already) and adds the mend.
func explain(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	mend := ""
	switch {
	case errors.Is(err, fs.ErrNotExist):
		mend = "a link to a file that is not there, or a missing directory"
	case errors.Is(err, fs.ErrPermission):
		mend = "give this user the right to it, or choose another directory"
	case errors.Is(err, syscall.ELOOP):
		mend = "its symbolic links form a circle: replace it by the file itself"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		mend = "the disk is full: free space or choose another directory"
	case errors.Is(err, syscall.EFBIG):
		mend = "this file system or user (ulimit -f) allows no file of this size: choose another directory"
	case errors.Is(err, syscall.EROFS):
		mend = "choose a directory that can be written"
	case errors.Is(err, syscall.EIO):
		mend = "the disk could not be read or written: check it, and copy the file again"
	default:
		return err
	}
	return fmt.Errorf("%w: %s", err, mend)
}
