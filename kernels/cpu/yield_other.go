//go:build !linux

package cpu

// yield is not for this system.
func yield() bool { return false }
