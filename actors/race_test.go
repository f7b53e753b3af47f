//go:build race

package actors

// sampled is the share of seeds and layouts that a test takes: the race detector makes each ten times
// slower, and it is the orders of events that it looks at.
const sampled = 0.25
