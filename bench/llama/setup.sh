#!/bin/sh
# Installs the prebuilt llama.cpp into DIR, builds llbench there, and makes sure of a Python with numpy.
#
#     bench/llama/setup.sh DIR      DIR outside of the repository, as $(mktemp -d); safe to run again
set -eu
[ $# = 1 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
case $(uname -sm) in 'Linux x86_64') ;; *) echo "setup: Linux on x86-64 only, this is $(uname -sm)" >&2; exit 1 ;; esac
for tool in npm gcc python3; do
	command -v "$tool" >/dev/null || { echo "setup: $tool is needed" >&2; exit 1; }
done

# llbench knows this release of the library and no other, so the version is fixed.
version=3.22.1
lib=$dir/npm/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64
if [ ! -e "$lib/libllama.v0.5.0.so" ]; then
	npm install --no-audit --no-fund --ignore-scripts --no-save --prefix "$dir/npm" "@node-llama-cpp/linux-x64@$version" >&2
fi
[ -e "$lib/libllama.v0.5.0.so" ] || { echo "setup: no libllama.v0.5.0.so in $lib" >&2; exit 1; }

python=python3
if ! python3 -c 'import numpy' 2>/dev/null; then
	python=$dir/venv/bin/python
	[ -x "$python" ] || python3 -m venv "$dir/venv"
	"$python" -c 'import numpy' 2>/dev/null || "$python" -m pip install --quiet numpy >&2
fi

gcc -O2 -std=gnu11 -Wall -Wextra -o "$dir/llbench" "$here/llbench.c" -ldl
cat > "$dir/env" <<EOF
LLBENCH='$dir/llbench'
LLAMA_LIB='$lib'
PYTHON='$python'
EOF
echo "$dir/env:"
cat "$dir/env"
