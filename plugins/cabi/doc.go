// Program cabi lends a kernel library that is a shared object with C functions, so that kernels can be written in C,
// C++, Rust or Zig:
//
//	cabi ./expert.so
//
// The engine starts it when it is given a shared object as a plugin. troupe_kernel.h in this folder is what an author
// includes, example/expert.c an example, docs/plugins.md the guide. Building cabi needs a C compiler; without cgo it
// is a program that says so.
package main
