//go:build cuda && cgo && linux && (amd64 || arm64)

// Package driver opens the NVIDIA driver when the program starts, if there is one, and says why not.
//
// Every function of the driver that the program calls is a jump through a table (trampoline.S) which a constructor
// fills from libcuda.so.1 (driver.c). So one program starts on every machine, says what is missing, and needs no
// libcuda to be linked: it is built where there is no GPU. LD_LIBRARY_PATH leads it to another libcuda.so.1, as
// tests do with plugins/cuda/fake.
package driver

// #cgo LDFLAGS: -L${SRCDIR}/link -ldl
// int cuInit(unsigned flags);
// int troupe_driver_status(void);
// const char *troupe_driver_missing(void);
import "C"

import "fmt"

// Results of cuInit that have a mend of their own (cuda.h).
const (
	noDevice       = 100
	notInitialized = 3
	systemNotReady = 802
	mismatch       = 803
	compatNotHere  = 804
)

// Check reports why the driver cannot be used, or nil.
func Check() error {
	C.cuInit(0) // again, where gorgonia.org/cu is linked
	if why := C.GoString(C.troupe_driver_missing()); why != "" {
		return fmt.Errorf("no NVIDIA driver (%s): install it, or in a container pass the GPUs through", why)
	}
	switch code := int(C.troupe_driver_status()); code {
	case 0:
		return nil
	case noDevice:
		return fmt.Errorf("the NVIDIA driver finds no GPU (cuInit: error %d): see nvidia-smi and CUDA_VISIBLE_DEVICES", code)
	case mismatch, compatNotHere:
		return fmt.Errorf("the NVIDIA driver's library does not fit its kernel module (cuInit: error %d): reboot after an update, or see nvidia-smi", code)
	case systemNotReady:
		return fmt.Errorf("the NVIDIA driver is not ready (cuInit: error %d): start nvidia-fabricmanager, or wait for it", code)
	default:
		return fmt.Errorf("the NVIDIA driver does not start (cuInit: error %d): see nvidia-smi", code)
	}
}
