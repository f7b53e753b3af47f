package stages

import "troupe/kernels"

// tapped compiles every call by itself, with the tap behind each.
func tapped(calls []kernels.Call, libs *Libraries, tap Tap) (segment, error) {
	var seg segment
	for i := range calls {
		one, err := libs.compile(calls[i : i+1])
		if err != nil {
			return nil, err
		}
		seg = append(seg, one...)
		seg = append(seg, tapKernel{&calls[i], tap})
	}
	return seg, nil
}

type tapKernel struct {
	call *kernels.Call
	tap  Tap
}

func (t tapKernel) Run(f *kernels.Frame) error {
	t.tap(t.call.Layer, t.call.Op, t.call.Out, f)
	return nil
}
