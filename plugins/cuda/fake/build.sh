#!/bin/sh
# Builds the fake driver as DIR/libcuda.so.1, for LD_LIBRARY_PATH: sh plugins/cuda/fake/build.sh DIR
# It needs g++ and cuda.h (CGO_CFLAGS says where, as for the plugin).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"
for source in "$here"/*.cc "$here"/../kernels/twin.cpp; do
	# shellcheck disable=SC2086 # several flags
	${CXX:-g++} -std=c++17 -O2 -Wall -Wno-unknown-pragmas -fPIC ${CGO_CFLAGS:-} -c "$source" -o "$(basename "$source").o" &
	pids="${pids:-} $!"
done
for pid in $pids; do wait "$pid"; done
${CXX:-g++} -shared -Wl,-soname,libcuda.so.1 -o libcuda.so.1 ./*.o
rm -f ./*.o
