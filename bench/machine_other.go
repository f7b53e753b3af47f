//go:build !linux

package bench

func processorName() string { return "" }

func lastLevelCache() int { return 0 }

func resident() int64 { return 0 }

// usage would be a look at the processors' time, which only Linux has a simple door to.
type usage struct{}

func lookAtUsage() usage { return usage{} }

func (usage) othersSince(usage) float64 { return -1 }
