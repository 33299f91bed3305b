//go:build !noasm

package vec

import "golang.org/x/sys/cpu"

// Sets are the sets of inner loops that this processor runs, the fastest first.
func Sets() []Funcs {
	var sets []Funcs
	if hasAVX512() {
		sets = append(sets, avx512())
	}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasF16C {
		sets = append(sets, avx2())
	}
	return append(sets, Go())
}

// Rounding are sets of inner loops that this processor runs and that round activations: no
// part of Sets, for what they compute is something else.
func Rounding() (sets []Funcs) {
	if hasAVX512() && tilesPermitted() {
		sets = append(sets, amx())
	}
	if hasAVX512() && cpu.X86.HasAVX512BF16 {
		sets = append(sets, avx512BF16())
	}
	return sets
}

func hasAVX512() bool {
	return cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL && cpu.X86.HasBMI2
}
