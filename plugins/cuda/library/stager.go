//go:build cuda && cgo && linux && (amd64 || arm64)

package library

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"troupe/kernels"
	"troupe/plugins/cuda/cuext"
	"troupe/plugins/cuda/device"
)

// stageBytes is the size of each of the two page-locked buffers through which weights go: one is filled, and packed,
// while the other travels.
const stageBytes = 16 << 20

type stager struct {
	dev     *device.Device
	stream  *device.Stream
	threads int
	bufs    [2][]byte
	sent    [2]device.Event
	pending [2]bool // the event is of a copy that may not be done
	next    int
}

func newStager(d *device.Device, threads int) (*stager, error) {
	s := &stager{dev: d, threads: threads}
	var err error
	if s.stream, err = d.NewStream(); err != nil {
		return nil, err
	}
	for i := range s.bufs {
		if s.sent[i], err = d.NewEvent(false); err != nil {
			return s, err
		}
		if s.bufs[i], err = cuext.Pinned(stageBytes); err != nil {
			return s, d.Failed("take page-locked memory", err)
		}
	}
	return s, nil
}

func (s *stager) close() error {
	if s == nil {
		return nil
	}
	errs := []error{s.stream.Close()}
	for i := range s.bufs {
		if s.bufs[i] != nil {
			errs = append(errs, s.sent[i].Close(), s.dev.Failed("give page-locked memory back", cuext.FreePinned(s.bufs[i])))
		}
	}
	return errors.Join(errs...)
}

// send copies n bytes that fill makes of the next buffer.
func (s *stager) send(dst device.Ptr, n int, fill func([]byte)) error {
	i := s.next
	s.next = 1 - i
	if s.pending[i] {
		if err := s.sent[i].Wait(); err != nil {
			return err
		}
	}
	buf := s.bufs[i][:n]
	fill(buf)
	if err := s.stream.Upload(dst, buf); err != nil {
		return err
	}
	s.pending[i] = true
	return s.stream.Record(s.sent[i])
}

// copy sends host memory as it is.
func (s *stager) copy(dst device.Ptr, src []byte) error {
	for at := 0; at < len(src); at += stageBytes {
		part := src[at:min(at+stageBytes, len(src))]
		if err := s.send(dst+device.Ptr(at), len(part), func(buf []byte) { s.split(len(part), 1<<20, func(lo, hi int) { copy(buf[lo:hi], part[lo:hi]) }) }); err != nil {
			return err
		}
	}
	return nil
}

// pack sends an int8 matrix [In Out] as panels.
func (s *stager) pack(dst device.Ptr, w *kernels.Weight) error {
	size, panels := kernels.PanelLines(w.In, w.Groups)*kernels.LineBytes, kernels.NumPanels(w.Out)
	step := stageBytes / size
	if step == 0 {
		return fmt.Errorf("cuda: %s: a panel of %d inputs has %d bytes, want at most %d: %w", w.Name, w.In, size, stageBytes, kernels.ErrNoKernel)
	}
	for p := 0; p < panels; p += step {
		n := min(step, panels-p)
		err := s.send(dst+device.Ptr(p*size), n*size, func(buf []byte) {
			q := unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(buf))), len(buf))
			s.split(n, 1, func(lo, hi int) { kernels.PackPanels(q[lo*size:hi*size], w.Q, w.In, w.Out, w.Groups, p+lo, p+hi) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// split does 0 to n-1 on several goroutines, at least least each.
func (s *stager) split(n, least int, do func(lo, hi int)) {
	parts := max(1, min(s.threads, n/least))
	var wait sync.WaitGroup
	for i := 1; i < parts; i++ {
		wait.Go(func() { do(i*n/parts, (i+1)*n/parts) })
	}
	do(0, n/parts)
	wait.Wait()
}

// finish waits until everything has arrived.
func (s *stager) finish() error {
	s.pending = [2]bool{}
	return s.stream.Wait()
}
