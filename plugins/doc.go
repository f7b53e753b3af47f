// Package plugins lends kernel libraries from other processes.
//
// [Serve] is the whole main of a plugin in Go. On the engine's side [Find] looks for plugins, [Variants] asks one
// what it has and gives it as variants that kernels.Lend takes, and opening one starts a process of its own.
//
// A plugin can crash, hang, lie or be stopped (P1), and harms nothing by it:
//
//   - It never has write access to the engine's memory. Activations, caches and weights are regions that it maps
//     read-only; what its kernels write goes to memory that is shared for the purpose, and from there to where it
//     belongs when the call has succeeded. So a call that fails has changed nothing, and another library runs it.
//   - Every call has a deadline. An answer that is late, impossible or not finite where it should be, and the
//     process's death, are a kernels.Fault; the process is then ended, and every later call fails at once.
//   - The process ends with the engine, however that ends, and leaves nothing behind.
//
// What is said before and between calls goes by hashicorp/go-plugin, a call itself through shared memory: one
// crossing for a segment, a few microseconds.
package plugins
