package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// rowCases are calls of what norms, rotations, convolutions and the edges of scans are made of,
// on the same numbers for every set. What a call may write, and room around it, it returns.
var rowCases = []struct {
	name string
	run  func(f Funcs, r numbers) [][]float32
}{
	{"norms", func(f Funcs, r numbers) (all [][]float32) {
		for _, n := range []int{1, 7, 8, 16, 41, 130} {
			x, y := r.some(n+3), r.some(n+3)
			c, cc := f.AddMoments(x[:n], r.some(n), 0.5)
			again, squares := f.Moments(x[:n], 0.5)
			if again != c || squares != cc {
				panic(fmt.Sprintf("%s: AddMoments %v, %v, Moments %v, %v", f.Name, c, cc, again, squares))
			}
			f.Normalize(y[:n], x[:n], r.some(n), 0.5, 1.5)
			all = append(all, x, y, []float32{c, cc})
		}
		return all
	}},
	{"Rotate", func(f Funcs, r numbers) (all [][]float32) {
		for _, n := range []int{1, 8, 15, 16, 37} {
			x := r.some(2*n + 3)
			f.Rotate(x[:n], x[n:2*n], r.some(n), r.some(n))
			all = append(all, x)
		}
		return all
	}},
	{"Conv", func(f Funcs, r numbers) (all [][]float32) {
		for _, channels := range stripWidths {
			for _, tokens := range []int{0, 1, 2, 5} {
				y := r.some(5*67 + 1)
				f.Conv(ConvArgs{
					Y: y, LDY: 67, X: r.some(5 * 66), LDX: 66, Past: r.some(3 * 65), LDPast: 65,
					W: r.some((ConvTaps + 1) * StripChannels), Tokens: tokens, Channels: channels,
				})
				all = append(all, y)
			}
		}
		return all
	}},
	{"ScanIn and ScanOut", func(f Funcs, r numbers) (all [][]float32) {
		for i, channels := range stripWidths {
			for _, tokens := range []int{0, 1, 5, ScanStretch} {
				all = append(all, stretch(f, r, channels, tokens, i%2 == 0, i%3 == 0)...)
			}
		}
		return all
	}},
}

// stripWidths are channels around vectors and strips.
var stripWidths = []int{1, 7, 8, 15, 16, 17, 32, 47, 63, 64}

func stretch(f Funcs, r numbers, channels, tokens int, skip, gate bool) [][]float32 {
	const ld = StripChannels + 3
	s := StretchArgs{
		Work: r.some(StretchParts * StretchSize), Dst: r.some(ScanStretch * ld), Dt: r.some(ScanStretch * ld), X: r.some(ScanStretch * ld),
		LDDst: ld, LDT: ld, LDX: ld, Bias: r.some(StripChannels), Tokens: tokens, Channels: channels,
	}
	if skip {
		s.Skip = r.some(StripChannels)
	}
	if gate {
		s.Z, s.LDZ = r.some(ScanStretch*ld), ld
	}
	f.ScanIn(s)
	f.ScanOut(s)
	all := [][]float32{s.Dst}
	for part := range StretchParts { // beyond the channels it is unspecified
		for t := range tokens {
			all = append(all, s.Work[part*StretchSize+t*StripChannels:][:channels])
		}
	}
	return all
}

// TestRows compares every function of rowCases of every set with plain Go, which the
// conformance of the device to its reference covers, and wants nothing around a result to change.
func TestRows(t *testing.T) {
	for _, set := range Sets() {
		for _, c := range rowCases {
			t.Run(fmt.Sprintf("%s/%s", set.Name, c.name), func(t *testing.T) {
				fresh := func() numbers { return numbers{rand.New(rand.NewPCG(5, 9))} }
				sameAsGo(t, c.run(set, fresh()), c.run(Go(), fresh()))
			})
		}
	}
}

// decayed is exp(x) as Scan has it: states of 1 without input.
func decayed(set Funcs, x []float32) []float32 {
	const n = ScanBlock
	h, a, one, zero := make([]float32, n*n), make([]float32, n*n), make([]float32, n), make([]float32, n)
	copy(a, x)
	for i := range h {
		h[i], one[i%n] = 1, 1
	}
	set.Scan(ScanArgs{
		Y: make([]float32, n), DT: one, DU: zero, LDY: n, H: h, LDH: n, A: a, LDA: n, B: zero, C: zero, LDB: n, LDC: n,
		Tokens: 1, Channels: n, States: n,
	})
	return h[:len(x)]
}

// TestDecay compares the exponential in Scan with float64 over all of float32. A factor before
// it may cost as much as rounding dt·a does.
func TestDecay(t *testing.T) {
	for _, set := range Sets() {
		worst, at := 0.0, float32(0)
		for from := -104.0; from < 88; from += 0.19 {
			x := make([]float32, ScanBlock*ScanBlock)
			for i := range x {
				x[i] = float32(from + float64(i)/1000)
			}
			for i, got := range decayed(set, x) {
				want := math.Exp(float64(x[i]))
				allowed := want*(2e-7+math.Abs(float64(x[i]))*0x1p-23) + 0x1p-149
				if e := math.Abs(float64(got)-want) / allowed; !(e <= worst) {
					worst, at = e, x[i]
				}
			}
		}
		t.Logf("%s: %.2f of what is allowed, at %v", set.Name, worst, at)
		if !(worst <= 1) {
			t.Errorf("%s: exp(%v) is off by %.2f times what is allowed", set.Name, at, worst)
		}
	}
}

// Decays beyond what float32 holds are 0 and +Inf, and a NaN stays one.
func TestDecayLimits(t *testing.T) {
	inf := float32(math.Inf(1))
	x := []float32{0, -inf, inf, -1e30, 1e30, -1e-30, float32(math.NaN())}
	want := []float32{1, 0, inf, 0, inf, 1}
	for _, set := range Sets() {
		got := decayed(set, x)
		for i, w := range want {
			if got[i] != w {
				t.Errorf("%s: exp(%v) is %v, want %v", set.Name, x[i], got[i], w)
			}
		}
		if nan := got[len(want)]; nan == nan {
			t.Errorf("%s: exp(NaN) is %v, want NaN", set.Name, nan)
		}
	}
}
