//go:build !noasm

package vec

import "golang.org/x/sys/cpu"

// Sets are the sets of inner loops that this processor runs, the fastest first.
func Sets() []Funcs {
	var sets []Funcs
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL && cpu.X86.HasBMI2 {
		sets = append(sets, avx512())
	}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasF16C {
		sets = append(sets, avx2())
	}
	return append(sets, Go())
}
