//go:build !noasm

package vec

import (
	"math"
	"unsafe"
)

// strips calls do for vectors of channels from at on: with 1 for as many vectors as a strip has,
// with 0 for one, of cols channels. It returns how many channels it was called for; Go does the
// rest.
func (a *assembled) strips(channels int, do func(wide, at, cols int)) int {
	at := 0
	for ; at+a.strip*a.lanes <= channels; at += a.strip * a.lanes {
		do(1, at, a.lanes)
	}
	for ; at+a.lanes <= channels; at += a.lanes {
		do(0, at, a.lanes)
	}
	if a.masks && at < channels {
		do(0, at, channels-at)
		at = channels
	}
	return at
}

func (a *assembled) convStrips(c ConvArgs) {
	if c.Tokens == 0 {
		return
	}
	at := a.strips(c.Channels, func(wide, at, cols int) {
		a.conv[wide](&c.Y[at], &c.X[at], &c.Past[at], c.LDY, c.LDX, c.LDPast, &c.W[at], c.Tokens, cols)
	})
	if at < c.Channels {
		conv(c.from(at))
	}
}

func (a *assembled) scanInStrips(s StretchArgs) {
	if s.Tokens == 0 {
		return
	}
	at := a.strips(s.Channels, func(wide, at, cols int) {
		a.scanIn[wide](&s.Work[at], &s.Dt[at], &s.X[at], s.LDT, s.LDX, &s.Bias[at], s.Tokens, cols)
	})
	if at < s.Channels {
		scanIn(s.from(at))
	}
}

func (a *assembled) scanOutStrips(s StretchArgs) {
	if s.Tokens == 0 {
		return
	}
	y := s.part(StretchY)
	at := a.strips(s.Channels, func(wide, at, cols int) {
		a.scanOut[wide](&s.Dst[at], &y[at], &s.X[at], element(s.Z, at), s.LDDst, s.LDX, s.LDZ, element(s.Skip, at), s.Tokens, cols)
	})
	if at < s.Channels {
		scanOut(s.from(at))
	}
}

// element is where x[i] lies, nil where x is absent.
func element(x []float32, i int) *float32 {
	if x == nil {
		return nil
	}
	return &x[i]
}

// scan512 takes whole blocks of channels with at most a vector of states.
func scan512(s ScanArgs) {
	if s.Channels < ScanBlock || s.States > 16 || s.LDH != s.States || s.LDA != s.States || s.LDB != s.LDC || s.Tokens == 0 {
		scan(s)
		return
	}
	var a [ScanBlock * ScanBlock]float32
	copy(a[:ScanBlock*s.States], s.A)
	scaleAVX512(&a[0], math.Log2E, s.States)
	// Addresses are numbers here, for they run past the end of what they are asked for.
	var soon [2 * len(s.Soon)]int
	for i, rows := range s.Soon {
		soon[2*i] = int(uintptr(unsafe.Pointer(&a)))
		if rows.X != nil {
			soon[2*i], soon[2*i+1] = int(uintptr(unsafe.Pointer(&rows.X[0]))), 4*rows.LD
		}
	}
	scanAVX512(&s.Y[0], &s.DT[0], &s.DU[0], &s.H[0], &a[0], &s.B[0], &s.C[0], s.LDY, s.LDB, s.Tokens, s.States, &soon[0])
}

// scan256 takes channel by channel with sixteen states.
func scan256(s ScanArgs) {
	if s.States != 16 || s.LDB != s.LDC || s.Tokens == 0 {
		scan(s)
		return
	}
	for _, rows := range s.Soon {
		if rows.X != nil {
			ask(&rows.X[0], rows.LD, s.Tokens, 1)
		}
	}
	for ch := range s.Channels {
		scanAVX2(&s.Y[ch], &s.DT[ch], &s.DU[ch], &s.H[ch*s.LDH], &s.A[ch*s.LDA], &s.B[0], &s.C[0], s.LDY, s.LDB, s.Tokens)
	}
}
