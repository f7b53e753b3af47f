// Package kernels holds the CUDA C of the CUDA plugin (README.md) and, behind the build tag cudacpu, the same source
// built for the CPU, by which it is tested: go test -tags cudacpu ./plugins/cuda/kernels. That needs cgo and g++.
//
// Who launches the kernels on a GPU is plugins/cuda. The source is in header files, since the go command does not see
// when others change.
package kernels
