#!/bin/sh
# build.sh compiles every kernel here to PTX with clang (Debian: apt-get install clang-19)
# and writes manifest.txt: what was compiled, from what, by what. Run it after changing a
# .cu or .h file, and commit what it writes. NAME_90a.cu is for compute capability 9.0 only,
# whose own instructions are not in later GPUs. "build.sh check" compiles to a temporary
# folder and fails where the result is not what is here.
set -eu
cd "$(dirname "$0")"
clang=${CLANG:-clang-19}
flags="-x cuda --cuda-device-only -nocudainc -nocudalib --cuda-gpu-arch=ARCH --cuda-feature=+ptx80 -O3 -std=c++17 -Wall -Werror -S"
out=.
if [ "${1:-}" = check ]; then
	out=$(mktemp -d)
	trap 'rm -rf "$out"' EXIT
fi
: >"$out/manifest.new"
{
	echo "compiler $($clang --version | sed -n 1p)"
	echo "command clang-19 $flags NAME.cu -o NAME.ptx"
	echo "with sm_90a for ARCH where NAME ends in _90a, else sm_90"
} >>"$out/manifest.new"
for src in *.cu; do
	name=${src%.cu}
	case $name in
	*_90a) arch=sm_90a ;;
	*) arch=sm_90 ;;
	esac
	# shellcheck disable=SC2086 # the flags are words
	$clang $(echo "$flags" | sed "s/ARCH/$arch/") "$src" -o "$out/$name.ptx"
done
for f in *.h *.cu; do echo "$(sha256sum <"$f" | cut -d' ' -f1) $f" >>"$out/manifest.new"; done
for src in *.cu; do
	f=${src%.cu}.ptx
	echo "$(sha256sum <"$out/$f" | cut -d' ' -f1) $f" >>"$out/manifest.new"
done
mv "$out/manifest.new" "$out/manifest.txt"
if [ "$out" != . ]; then
	for f in "$out"/*; do cmp "$f" "./$(basename "$f")"; done
	echo "kern: PTX and manifest are what $clang makes of the sources"
fi
