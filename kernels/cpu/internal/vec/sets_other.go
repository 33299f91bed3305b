//go:build !amd64 || noasm

package vec

// Sets are the sets of inner loops that this processor runs, the fastest first.
func Sets() []Funcs { return []Funcs{Go()} }

// Rounding are sets of inner loops that this processor runs and that round activations.
func Rounding() []Funcs { return nil }
