// Package arrows holds the imports of this repository to one direction:
//
//	ckpt reads, kernels calculate, router chooses, stages arrange, actors carry, plugins lend, cli begins.
//
// rules.go is the map as a table: which folder may import which, through which folder a library enters, and why
// a forbidden arrow is forbidden. [Check] reads the imports of every Go file, whatever its build tags, so that a
// file for another system is held to the same map. The test of this package runs it on the repository.
//
// To let a new arrow in, change its row in rules.go in the same commit as the import: the table is where such a
// decision is seen.
package arrows
