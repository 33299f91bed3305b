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
# with a short table. The exit code is 1 if anything failed. STEPS chooses among its steps, which
# are: devices models conformance agree kernels library latency paper peers registers.
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
steps=${STEPS:-devices models conformance agree kernels library latency paper peers registers}

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

chosen() { case " $steps " in *" $1 "*) ;; *) return 1 ;; esac; }

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

# Registers, shared memory and spills, by the toolkit's ptxas where there is one: on the processor,
# while the GPU does the rest.
registers() {
	for f in "$here"/kern/*.ptx; do
		case $f in *_90a.ptx) echo "sm_90a $f" ;; *) echo "sm_90 $f" ;; esac
	done | xargs -P 8 -L 1 sh -c 'timeout 240 ptxas -arch="$0" -v -o /dev/null "$1" 2>"$(basename "$1").ptxas" || echo "ptxas fails: $1" >>"$(basename "$1").ptxas"'
}
if chosen registers && command -v ptxas >/dev/null && [ -d "$here/kern" ]; then
	registers &
	compiling=$!
fi

if chosen devices; then
	nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.mem,power.draw,temperature.gpu --format=csv 2>/dev/null
	run devices 60 "$bin/quadrant" devices
	cat devices.log
fi

chosen models && check models '^TestGPU(Models|Steps|ChangesThreads|Library)$' 120
if chosen conformance; then
	check conformance '^TestGPUConformance$' 200 ||
		# An invalid access ends all work of its process: look at each op that failed by itself.
		for op in $(sed -nE 's/^    --- FAIL: TestGPUConformance\/([^ ]+).*/\1/p' conformance.log); do
			check "conformance-$op" "^TestGPUConformance\$/^$op\$" 40
		done
fi

generate() { # DEVICE TYPE
	run "generate-$2-${1%:*}" 60 "$bin/quadrant" generate --device "$1" --dtype "$2" \
		--model tiny-mamba-moe --prompt 'Call me' --max-tokens 48 --ignore-eos
}
agree() {
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
}
chosen agree && agree

# kernels NAME SECONDS DEVICE FLAGS...: operations one by one.
kernels() {
	local name=$1 most=$2 device=$3
	shift 3
	run "kernels-$name" "$most" "$bin/quadrant" bench-kernels --device "$device" --repeats 3 --sample 3ms --format md --out "kernels.jsonl" "$@"
	grep -s '^|' "kernels-$name.log"
}
chosen kernels && kernels own 100 "cuda:$gpu/bf16"
if chosen library; then
	kernels library 60 "cuda:$gpu/bf16+cublaslt" --ops matmul --dtype bf16,f32
	chosen kernels || kernels beside 60 "cuda:$gpu/bf16" --ops matmul --dtype bf16,f32
fi

# latency NAME SECONDS MODELS TYPE TOKENS REPEATS
latency() {
	run "latency-$1" "$2" "$bin/quadrant" latency --device "cuda:$gpu" --models "$3" --dtype "$4" --prompt 128 --gen "$5" \
		--repeats "$6" --out results.jsonl --format md
	grep -s '^|' "latency-$1.log"
}
chosen latency && latency small 100 mamba-130m,pythia-160m,transformer-moe-130m,mamba-moe-130m bf16 64 3
if chosen paper; then
	latency paper 140 matched-transformer-340m,matched-mamba-340m,matched-transformer-moe-340m,blackmamba-1.5b bf16 64 3
	latency paper-large 60 blackmamba-2.8b bf16 64 3
fi

if chosen peers && python3 -c 'import torch, transformers' 2>/dev/null; then
	run peers 150 python3 "$here/gpu-peers.py" --repeats 3
	grep -s '^{' peers.log | tee -a peers.jsonl | cut -c 1-100
	python3 - <<'END' | tee peers.md
import json, statistics
print("| Peer | Model | Step | Prompt | A token |\n|---|---|---|---|---|")
for line in open("peers.jsonl"):
    r = json.loads(line)
    if "error" in r:
        print(f"| | {r['model']} | {r['error']} | | |")
    else:
        print(f"| {r['peer']} | {r['model']} | {r['step']} | {1e3 * statistics.median(r['prefill_s']):.2f} ms | {1e6 * statistics.median(r['token_s']):.0f} µs |")
END
fi

if [ -n "${compiling:-}" ]; then
	say "registers and spills, by ptxas"
	wait "$compiling"
	# kernel, registers, bytes of static shared memory, of stack and of spills
	awk -F"'" '/Compiling entry/ { kernel = $2 }
		/bytes spill stores/ { split($0, w, /[ ,]+/); stack = w[2]; spilled = w[6] }
		/ Used [0-9]+ registers/ {
			match($0, /Used [0-9]+/); registers = substr($0, RSTART + 5, RLENGTH - 5)
			shared = match($0, /[0-9]+ bytes smem/) ? substr($0, RSTART, RLENGTH) + 0 : 0
			print "| " kernel " | " registers " | " shared " | " stack " | " spilled " |"
		}' ./*.ptxas | sort >registers.md
	grep -hE 'fails|C7508|C7510' ./*.ptxas
	if grep -qvE '\| 0 \|$' registers.md; then
		note "note    kernels that spill registers (kernel, registers, shared memory, stack, spilled):"
		grep -vE '\| 0 \|$' registers.md | tee -a "$summary"
	else
		note "ok      none of $(wc -l <registers.md) kernels spills registers"
	fi
fi

echo
say "written to $out"
cat "$summary"
grep -hs '^|' latency-*.log | awk 'NR < 3 || !/^\| (Model|[:-])/'
[ -f peers.md ] && cat peers.md
exit $failed
