//go:build race

package link

// The library writes a future's result and the table of endpoints without their locks: reports of the race detector
// would be about it. What is this package's own runs under the detector all the same.
const racing = true
