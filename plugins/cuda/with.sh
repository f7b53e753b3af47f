#!/bin/sh
# Runs a command where the CUDA plugin can be built, and tested without a GPU:
#
#   sh plugins/cuda/with.sh go build -tags cuda -o bin/plugins/cuda ./plugins/cuda
#   sh plugins/cuda/with.sh --fake go test -tags cuda ./plugins/cuda/...
#
# It sets CGO_CFLAGS so that C finds cuda.h: in CUDA_INCLUDE or an installed toolkit, else in the header package of CUDA
# 12.4 (0.9 MB, unpacked into bin/cuda/headers by pip). Headers of CUDA 13 do as well; libcuda is not needed. With --fake it
# builds the driver of plugins/cuda/fake and has programs use that. Exit status 3: something is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$here/../../bin/cuda"
cache=$(cd "$here/../../bin/cuda" && pwd)
headers=$cache/headers # apart from what the kernels are compiled with, which has folders of the same names
wheel=nvidia-cuda-runtime-cu12==12.4.127

missing() {
	echo "cuda: $1" >&2
	exit 3
}

fake=
if [ "$1" = --fake ]; then
	fake=yes
	shift
fi
command -v "${CC:-gcc}" >/dev/null || missing "needs a C compiler (${CC:-gcc})"
include=
for dir in "${CUDA_INCLUDE:-}" "${CUDA_HOME:-}/include" /usr/local/cuda/include /opt/cuda/include "$headers/nvidia/cuda_runtime/include"; do
	if [ -f "$dir/cuda.h" ]; then
		include=$dir
		break
	fi
done
if [ -z "$include" ]; then
	command -v python3 >/dev/null || missing "no cuda.h: set CUDA_INCLUDE, or install Python, whose pip can get $wheel"
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target "$headers" "$wheel" >&2 ||
		missing "no cuda.h: set CUDA_INCLUDE; pip install $wheel failed"
	include=$headers/nvidia/cuda_runtime/include
fi
CGO_ENABLED=1
CGO_CFLAGS="-O2 -g -I$here/shim -I$include"
export CGO_ENABLED CGO_CFLAGS
if [ -n "$fake" ]; then
	command -v "${CXX:-g++}" >/dev/null || missing "needs a C++ compiler (${CXX:-g++}) for the fake driver"
	sh "$here/fake/build.sh" "$cache/fake"
	LD_LIBRARY_PATH=$(cd "$cache/fake" && pwd)
	export LD_LIBRARY_PATH
fi
exec "$@"
