//go:build !race

package actors

const sampled = 1.0
