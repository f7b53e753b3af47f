package plugins

import (
	"fmt"
	"time"

	"troupe/kernels"
)

var _ kernels.Several = (*Library)(nil)

// RunSeveral has the plugin run several kernels in one call: where no processor is spare, each crossing costs both
// processes a switch of threads, and there is one for all of these. What any of them does wrong is the fault of all.
func (l *Library) RunSeveral(list []kernels.Kernel, frames []kernels.Frame) error {
	l.lane.Lock()
	defer l.lane.Unlock()
	if err := l.lost(); err != nil {
		return err
	}
	if err := l.several(list, frames); err != nil {
		return err
	}
	total := 0
	for i, k := range l.together {
		n, err := k.need(&frames[i])
		if err != nil {
			return err
		}
		total += n
	}
	if err := l.reserve(total); err != nil {
		return err
	}
	offset, allowance := 0, time.Duration(0)
	for i, k := range l.together {
		frame, err := k.send(&frames[i], offset)
		if err != nil {
			return err
		}
		l.ask(i, k.id, frame)
		offset, allowance = l.encoder.Used(), allowance+k.allowance(&frames[i])
	}
	pace := &l.paces[0]
	if frames[0].Rows.N > kernels.DecodeRows {
		pace = &l.paces[1]
	}
	if err := l.call(len(l.together), allowance, pace); err != nil {
		return err
	}
	for i, k := range l.together {
		if err := k.judge(&frames[i]); err != nil {
			return l.fail(kernels.Lie, err)
		}
	}
	for i, k := range l.together {
		k.receive(&frames[i])
	}
	return nil
}

// several looks at what is to be run together, and leaves it in l.together.
func (l *Library) several(list []kernels.Kernel, frames []kernels.Frame) error {
	if len(list) == 0 || len(list) > kernels.MostSeveral || len(list) != len(frames) {
		return fmt.Errorf("plugins: %s: %d kernels and %d frames in one call, want 1 to %d of both", l.name, len(list), len(frames), kernels.MostSeveral)
	}
	l.together = l.together[:0]
	for _, one := range list {
		k, ok := one.(*Kernel)
		if !ok || k.lib != l || len(k.layers) > 0 {
			return fmt.Errorf("plugins: %s: a kernel of another library, or with a cache, in a call of several", l.name)
		}
		for _, other := range l.together {
			if other == k {
				return fmt.Errorf("plugins: %s: a kernel twice in a call of several", l.name)
			}
		}
		l.together = append(l.together, k)
	}
	return nil
}
