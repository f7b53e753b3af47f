#!/usr/bin/env bash
# What the CUDA plugin reaches on this machine's GPU: kernels as shares of its memory's bandwidth, then tokens per
# second of whole models beside the processor's. bash plugins/cuda/bench.sh BIN, with troupe and plugins/cuda built there.
set -euo pipefail
bin=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

"$bin/plugins/cuda" --describe
if "$bin/plugins/cuda" --describe | grep -q "score 0"; then
	echo "no GPU to measure" >&2
	exit 1
fi
command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,driver_version,clocks.max.mem,memory.total,pcie.link.gen.max --format=csv

printf '\n== kernels, shapes of Grok-1\n'
sh "$here/with.sh" go test -tags cuda -run '^$' -bench . -count 3 "$here/library"

for model in "" "--preset bench-memory"; do
	printf '\n== decode and prefill, %s\n' "${model:-the demo model}"
	# shellcheck disable=SC2086 # two words, or none
	"$bin/troupe" bench $model --plugin "$bin/plugins/cuda" --kernels plugin:cuda
	# shellcheck disable=SC2086
	"$bin/troupe" bench $model
done
