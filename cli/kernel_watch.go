package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// kernelWatch tells people of the events of an engine's kernels, and keeps the record of --kernel-events.
type kernelWatch struct {
	*steering
	stop func()
	file *os.File // nil: none, or standard error
	err  error    // the first of the file, the listener's until stop; later events are dropped
}

// watchKernels prepares to hear of the kernels of an engine that l starts. Close ends that.
func (p *program) watchKernels(l launch) (*kernelWatch, error) {
	w := &kernelWatch{steering: &steering{}}
	if l.host != nil {
		w.parse, w.libraries = l.host.binding, l.host.libraries
	}
	to := io.Writer(p.err)
	switch name := l.kernels.events; name {
	case "", "-":
	default:
		var err error
		if w.file, err = os.Create(name); err != nil {
			return nil, fmt.Errorf("kernel-events: %w", err)
		}
		to = w.file
	}
	w.stop = w.listen(func(e kernelEvent) error {
		if l.kernels.events != "-" {
			p.notice("%s", e.words())
		}
		if l.kernels.events != "" {
			if err := w.record(to, e); err != nil {
				p.notice("kernel-events: %v: no more events are written", err)
			}
		}
		return nil
	})
	return w, nil
}

// record writes an event as a line. It fails once; after that it writes nothing.
func (w *kernelWatch) record(to io.Writer, e kernelEvent) error {
	if w.err != nil {
		return nil
	}
	w.err = writeJSON(to, e)
	return w.err
}

// Close waits for what is still to be told. A nil kernelWatch has nothing to close.
func (w *kernelWatch) Close() error {
	if w == nil {
		return nil
	}
	w.stop()
	err := w.err
	if w.file != nil {
		err = errors.Join(err, w.file.Close())
	}
	if err != nil {
		return fmt.Errorf("kernel-events: %w", err)
	}
	return nil
}
