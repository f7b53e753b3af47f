//go:build cuda && cgo && linux && (amd64 || arm64)

// Package device is one GPU: its context, its kernels, its memory with an account of it, and copies to and from it.
//
// The context is the device's primary one. It belongs to a thread, so every use of a Device lies between Enter and
// Leave, on whatever goroutine; several may be inside at once. A kernel that fails leaves a context of no use to
// anyone: the Device keeps that error and refuses everything from then on, and the process has to be started again.
package device

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"gorgonia.org/cu"

	"troupe/plugins/cuda/cuext"
)

// Device is an opened GPU.
type Device struct {
	Info Info

	dev    cu.Device
	ctx    cu.CUContext // retained while it is not zero
	module cu.Module
	margin int64                 // memory that weights leave free
	broken atomic.Pointer[error] // the error that sticks
}

// ErrBroken is what every error wraps from the one on that the context did not survive.
var ErrBroken = errors.New("the GPU's context is lost: this process has to be started again")

// Images are the kernels compiled: text that the driver compiles for any GPU, and machine code by capability.
type Images struct {
	PTX    string
	Cubins map[int]string
}

// Open takes a GPU and loads the kernels.
func Open(ordinal int, images Images) (*Device, error) {
	all, err := List()
	if err != nil {
		return nil, err
	}
	if ordinal < 0 || ordinal >= len(all) {
		return nil, fmt.Errorf("cuda: GPU %d: there are %d, numbered from 0", ordinal, len(all))
	}
	d := &Device{Info: all[ordinal]}
	if d.Info.Unfit != nil {
		return nil, fmt.Errorf("cuda: GPU %d: %w", ordinal, d.Info.Unfit)
	}
	if err := d.open(images); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Device) open(images Images) (err error) {
	if d.dev, err = cu.GetDevice(d.Info.Ordinal); err != nil {
		return d.Failed("take the GPU", err)
	}
	if d.ctx, err = d.dev.RetainPrimaryCtx(); err != nil {
		return d.Failed("make a context", err)
	}
	d.margin = max(64<<20, d.Info.Memory/50)
	if err := d.Enter(); err != nil {
		return err
	}
	defer d.Leave()
	return d.load(images)
}

// load takes the machine code that suits the GPU, else the text. Code for 8.0 runs on every 8.x.
func (d *Device) load(images Images) error {
	best := 0
	for capability := range images.Cubins {
		if capability/10 == d.Info.Capability/10 && capability <= d.Info.Capability {
			best = max(best, capability)
		}
	}
	var err error
	if best > 0 {
		d.module, err = cu.LoadData(images.Cubins[best])
		if code := cuext.Code(err); code != noBinary && code != unsupportedPTX {
			return d.Failed("load the kernels", err)
		}
	}
	if d.module, err = cu.LoadData(images.PTX); err == nil {
		return nil
	}
	if cuext.Code(err) == unsupportedPTX {
		v := cu.Version()
		return fmt.Errorf("%w: the driver, of CUDA %d.%d, is older than the kernels' compiler, of 12.4: update it to 550 or later",
			d.Failed("load the kernels", err), v/1000, v%1000/10)
	}
	return d.Failed("load the kernels", err)
}

// Errors that another image may mend (cuda.h).
const (
	noBinary       = 209
	unsupportedPTX = 222
)

// Enter ties the goroutine to its thread and makes the context current there, or says why that is no use. Leave
// must follow when it has succeeded.
func (d *Device) Enter() error {
	if err := d.Broken(); err != nil {
		return err
	}
	runtime.LockOSThread()
	if err := cu.SetCurrentContext(d.ctx); err != nil {
		runtime.UnlockOSThread()
		return d.Failed("make the context current", err)
	}
	return nil
}

// Leave undoes Enter.
func (d *Device) Leave() { runtime.UnlockOSThread() }

// Failed gives an error of the driver its operation, GPU and words, and remembers it when the context is lost by it.
func (d *Device) Failed(op string, err error) error {
	if err == nil {
		return nil
	}
	full := fmt.Errorf("cuda: %s: %s: %w", d, op, cuext.Explain(err))
	if sticks[cuext.Code(err)] {
		full = fmt.Errorf("%w: %w", full, ErrBroken)
		d.broken.CompareAndSwap(nil, &full)
	}
	return full
}

func (d *Device) String() string { return fmt.Sprintf("GPU %d (%s)", d.Info.Ordinal, d.Info.Name) }

// sticks are the errors after which every call of the context fails (cuda.h).
var sticks = map[int]bool{
	214: true, // uncorrectable memory error
	700: true, // illegal address
	702: true, // launch timeout
	710: true, // assertion
	714: true, // hardware stack error
	715: true, // illegal instruction
	716: true, // misaligned address
	717: true, // invalid address space
	718: true, // invalid program counter
	719: true, // launch failed
}

// Broken is the error that the context did not survive, or nil.
func (d *Device) Broken() error {
	if e := d.broken.Load(); e != nil {
		return *e
	}
	return nil
}

// Close gives the context back. Memory, streams and events are given back before.
func (d *Device) Close() error {
	if d.ctx == (cu.CUContext{}) {
		return nil
	}
	var err error
	if d.module != (cu.Module{}) && d.Enter() == nil {
		err = d.Failed("unload the kernels", d.module.Unload())
		d.Leave()
	}
	if e := d.dev.ReleasePrimaryCtx(); d.Broken() == nil { // a lost one answers with its error
		err = errors.Join(err, d.Failed("give the context back", e))
	}
	d.ctx = cu.CUContext{}
	return err
}
