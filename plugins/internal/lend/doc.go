// Package lend is a plugin's side: it serves kernel libraries to the engine that started this process.
//
// Control comes by gRPC (package pb), calls through shared memory (package wire), memory over a socket. One
// goroutine, locked to its thread, is the lane on which kernels run; another one reads the socket and ends the
// process when the engine is gone.
package lend
