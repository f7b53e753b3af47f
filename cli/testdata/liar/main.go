// Program liar lends the definition of every op with one wrong sign: in what it adds in a layer, from a certain run
// on. Both numbers are its arguments.
package main

import (
	"os"
	"strconv"

	"troupe/kernels"
	_ "troupe/kernels/ref"
	"troupe/plugins"
)

func main() {
	layer, _ := strconv.Atoi(os.Args[1])
	from, _ := strconv.Atoi(os.Args[2])
	v, err := kernels.Find("ref")
	if err != nil {
		panic(err)
	}
	honest := v.Open
	v.Name = "liar"
	v.Open = func(t kernels.Threads) (kernels.Library, error) {
		lib, err := honest(t)
		return library{lib, layer, from}, err
	}
	plugins.Serve(v)
}

type library struct {
	kernels.Library
	layer, from int
}

// Compile gives the wrong layer its own kernel.
func (l library) Compile(s kernels.Segment) (kernels.Kernel, error) {
	k, err := l.Library.Compile(s)
	for _, c := range s.Calls {
		if c.Op == kernels.Add && c.Layer == l.layer {
			return &kernel{k, c.Out[0], l.from, 0}, err
		}
	}
	return k, err
}

type kernel struct {
	kernels.Kernel
	out        kernels.Slot
	from, runs int
}

// Run computes, and turns a sign when it is time.
func (k *kernel) Run(f *kernels.Frame) error {
	err := k.Kernel.Run(f)
	if k.runs++; k.runs > k.from {
		f.Bufs[k.out][0] *= -1
	}
	return err
}
