// Package doorbell lets two processes wait for each other's answers: a word in shared memory that one writes and
// the other watches, first for a moment, then asleep. Waking costs a few microseconds by futex, where the system
// has it, and some tens by a byte over a socket.
package doorbell
