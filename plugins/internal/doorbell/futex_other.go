//go:build !linux

package doorbell

import (
	"runtime"
	"time"
)

// Futex is for Linux alone.
type Futex struct{}

// HasFutex tells whether this system has futexes.
const HasFutex = false

// Wait is not for this system.
func (Futex) Wait(*Words, uint32, time.Duration) {}

// Wake is not for this system.
func (Futex) Wake(*Words) {}

// giveWay lets another goroutine have the processor.
func giveWay() { runtime.Gosched() }
