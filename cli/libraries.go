package main

// The kernel libraries that are built in; --kernels chooses among them.
import (
	_ "troupe/kernels/cpu"
	_ "troupe/kernels/ref"
)
