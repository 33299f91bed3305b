#!/bin/bash
# gpu-run.sh checks and times Quadrant on a machine with an NVIDIA GPU. It needs neither Go
# nor the CUDA toolkit there, only what build-cuda.sh makes elsewhere:
#
#	kernels/cuda/build-cuda.sh build -ldflags '-s -w' -o dist/ ./cmd/quadrant
#	kernels/cuda/build-cuda.sh test -c -ldflags '-s -w' -o dist/cuda.test ./kernels/cuda
#
#	kernels/cuda/gpu-run.sh [FOLDER OF THE TWO [FOLDER TO WRITE]]
#
# It prints as it goes, writes logs and results as JSON lines, and ends within nine minutes
# with a short table. The exit code is 1 if anything failed.
set -u
here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "${1:-dist}" && pwd) || exit 2
out=${2:-gpu-out}
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 2
cd "$out" || exit 2
gpu=${QUADRANT_CUDA_DEVICE:-0}
export QUADRANT_CUDA_DEVICE=$gpu CUDA_CACHE_PATH=${CUDA_CACHE_PATH:-${TMPDIR:-/tmp}/quadrant-compiled}
began=$SECONDS
limit=${LIMIT_SECONDS:-520}
summary=$out/summary.txt
: >"$summary"
failed=0

left() { echo $((limit - SECONDS + began)); }
say() { printf '[%3d s] %s\n' $((SECONDS - began)) "$*"; }
note() { say "$*"; echo "$*" >>"$summary"; }

# run NAME SECONDS COMMAND...: with a time limit, its output in NAME.log.
run() {
	local name=$1 most=$2 from=$SECONDS code
	shift 2
	[ "$(left)" -lt 10 ] && { note "SKIPPED $name: no time left"; failed=1; return 1; }
	[ "$(left)" -lt "$most" ] && most=$(left)
	say "$name"
	timeout -k 5 "$most" "$@" >"$name.log" 2>&1
	code=$?
	if [ $code = 0 ]; then
		note "ok      $name ($((SECONDS - from)) s)"
	else
		note "FAILED  $name: exit code $code after $((SECONDS - from)) s; see $name.log"
		failed=1
	fi
	return $code
}

# check NAME PATTERN SECONDS: tests of the GPU, one line for each op or model.
check() {
	local name=$1
	run "$name" "$3" "$bin/cuda.test" -test.v -test.run "$2" -test.timeout "$3s" && set -- ok || set -- failed
	grep -E '^    --- ' "$name.log" | sed 's/^    --- //' | sort
	if [ "$1" = failed ]; then
		grep -vE '^ *(=== |--- PASS)' "$name.log" | head -n 60
		return 1
	fi
}

nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.mem,power.draw,temperature.gpu --format=csv 2>/dev/null
run devices 60 "$bin/quadrant" devices
cat devices.log

check models '^TestGPU(Models|ChangesThreads)$' 120
check conformance '^TestGPUConformance$' 200 ||
	# An invalid access ends all work of its process: look at each op that failed by itself.
	for op in $(sed -nE 's/^    --- FAIL: TestGPUConformance\/([^ ]+).*/\1/p' conformance.log); do
		check "conformance-$op" "^TestGPUConformance\$/^$op\$" 40
	done

generate() { # DEVICE TYPE
	run "generate-$2-${1%:*}" 60 "$bin/quadrant" generate --device "$1" --dtype "$2" \
		--model tiny-mamba-moe --prompt 'Call me' --max-tokens 48 --ignore-eos
}
for dtype in f32 bf16; do
	generate cpu $dtype && generate "cuda:$gpu" $dtype || continue
	tail -n 1 "generate-$dtype-cuda.log"
	if cmp -s <(sed '$d' "generate-$dtype-cpu.log") <(sed '$d' "generate-$dtype-cuda.log"); then
		note "ok      $dtype: the GPU generates what the CPU does"
	else
		note "note    $dtype: the GPU generates other tokens than the CPU (rounding decides between likely ones)"
	fi
done
run logits 60 "$bin/quadrant" logits --device "cuda:$gpu" --model tiny-transformer-moe --ids 72,101,108,108,111 --out logits.safetensors
run balance 60 "$bin/quadrant" balance --device "cuda:$gpu" --model tiny-mamba-moe --corpus "$here/gpu-run.sh" --tokens 2048 --out results.jsonl

# latency NAME SECONDS MODELS TYPE TOKENS REPEATS
latency() {
	run "latency-$1" "$2" "$bin/quadrant" latency --device "cuda:$gpu" --models "$3" --dtype "$4" --prompt 128 --gen "$5" \
		--repeats "$6" --out results.jsonl --format md
	grep -s '^|' "latency-$1.log"
}
latency small-f32 100 mamba-130m,pythia-160m f32 64 3
latency small-bf16 100 mamba-130m,pythia-160m bf16 64 3
latency matched-bf16 160 matched-transformer-340m,matched-mamba-340m,matched-transformer-moe-340m,blackmamba-1.5b bf16 64 3

if command -v ptxas >/dev/null && [ -d "$here/kern" ]; then
	say "registers and spills, by ptxas"
	for f in "$here"/kern/*.ptx; do ptxas -arch=sm_90 -v -o /dev/null "$f"; done >ptxas.log 2>&1
	sed -nE "s/.*Compiling entry function '([^']*)'.*/\1/p; s/^ptxas info *: (Used.*)/    \1/p; /[1-9][0-9]* bytes spill/p" ptxas.log
fi

echo
say "written to $out"
cat "$summary"
grep -hs '^|' latency-*.log | awk 'NR < 3 || !/^\| (Model|[:-])/'
exit $failed
