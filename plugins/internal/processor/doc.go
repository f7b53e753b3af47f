// Package processor has two threads that wait for each other in turn run on one processor, when all others are taken.
//
// Where the plugin computes with a thread on every processor, the engine's thread shares one of them. On that of the
// plugin's own caller, which sleeps while the engine is awake, one follows the other within 2 µs. On that of a worker,
// each call costs a signal between processors, 10 µs and more in a virtual machine, and the worker's turn. The system
// leaves a thread where it was, so a wrong place stays wrong until the thread is moved.
package processor
