package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"
	"unsafe"

	"troupe/kernels"
	"troupe/plugins/internal/wire"
)

type control = wire.Control

var tampering sync.Once

// tamper computes, while another thread writes to the control page again and again.
func tamper(with func(*control)) func(*kernel, *kernels.Frame) error {
	return func(k *kernel, f *kernels.Frame) error {
		c, err := controlPage()
		if err != nil {
			return err
		}
		tampering.Do(func() {
			go func() {
				for {
					with(c)
				}
			}()
		})
		return k.Kernel.Run(f)
	}
}

// controlPage finds the page in the list of what is mapped.
func controlPage() (*control, error) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var lo, hi uintptr
		if !strings.Contains(s.Text(), "troupe-control") {
			continue
		}
		if _, err := fmt.Sscanf(s.Text(), "%x-%x", &lo, &hi); err != nil {
			return nil, err
		}
		return wire.OpenControl(unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&lo))), hi-lo))
	}
	return nil, fmt.Errorf("no control page is mapped")
}
