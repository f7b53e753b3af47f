// Package cpu computes the ops of the table fast on the processor that the program runs on.
//
// Every variant gives the bits of kernels/ref (N1), whatever the number of threads and of rows: each
// output element is computed by one goroutine, in the canonical order of kernels/order.go. What a
// variant brings is a table of inner loops ([loops]); how rows, columns and threads are cut into chunks
// is the same for all:
//
//   - pool.go: the threads of a device and the fork and join of one op
//   - product.go: rows times weights, the heart of linear, route, expert and head; product_panel.go for
//     variants that read panels (kernels/panel.go), the other product_*.go for the portable one
//   - loops.go: the table of inner loops, in two parts: vector.go and panel.go
//   - generic.go, generic_*.go: those of the portable variant; panel_avx2.go, panel_avx512.go,
//     neon_arm64.go: those in assembly, which gen writes (go -C kernels/cpu/gen run .) and the build tag purego leaves out
//   - one file for each other op; probe.go: what the machine can do
//
// Weights are not copied here, but for matrices of fewer outputs than a panel (routers), which are padded;
// a variant that reads panels packs those it is about to read of a matrix that lies otherwise. Scratch memory belongs to the device and only ever grows: the steady state allocates
// nothing (M3). An assembly call takes less than about 200 microseconds, since it cannot be preempted.
package cpu
