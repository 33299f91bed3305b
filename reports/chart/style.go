package chart

import (
	"image/color"
	"math"
)

// Sizes of text in points, at the width that the picture is printed.
const (
	sizeText  = 8.0 // axes, legend
	sizeTitle = 8.5 // panels
	sizeSmall = 6.5 // fine print, notes
	sizeCell  = 6.0 // numbers in cells, the smallest
)

// Widths of strokes in points.
const (
	strokeLine  = 1.2
	strokeBar   = 0.8
	strokeFrame = 0.6
	strokeGrid  = 0.4
)

var (
	ink   = color.RGBA{0x1a, 0x1a, 0x1a, 0xff}
	muted = color.RGBA{0x5c, 0x5c, 0x5c, 0xff}
	grid  = color.RGBA{0xe2, 0xe2, 0xe2, 0xff}
	paper = color.RGBA{0xff, 0xff, 0xff, 0xff}
)

// A Color is one of the palette of Okabe and Ito (2008), which people with any kind of
// colour vision can tell apart.
type Color int

const (
	Black Color = iota
	Blue
	Sky
	Orange
	Vermillion
	Green
	Purple
	Gray
)

var okabeIto = [...]color.RGBA{
	Black:      {0x1a, 0x1a, 0x1a, 0xff},
	Blue:       {0x00, 0x72, 0xb2, 0xff},
	Sky:        {0x56, 0xb4, 0xe9, 0xff},
	Orange:     {0xe6, 0x9f, 0x00, 0xff},
	Vermillion: {0xd5, 0x5e, 0x00, 0xff},
	Green:      {0x00, 0x9e, 0x73, 0xff},
	Purple:     {0xcc, 0x79, 0xa7, 0xff},
	Gray:       {0x8c, 0x8c, 0x8c, 0xff},
}

func (c Color) rgba() color.RGBA {
	if c < 0 || int(c) >= len(okabeIto) {
		return okabeIto[Black]
	}
	return okabeIto[c]
}

// tint is c on paper, thin enough to write on.
func (c Color) tint() color.RGBA { return mix(paper, c.rgba(), 0.22) }

// A Mark is the shape drawn at each point.
type Mark int

const (
	Circle Mark = iota
	Square
	Triangle
	Diamond
	Down // a triangle on its tip
	Pentagon
	Cross
	NoMark
)

// A Dash is the pattern of a line.
type Dash int

const (
	Solid Dash = iota
	Dashed
	Dotted
	DashDot
	NoLine // marks only: points that no line joins, in any order
)

var dashes = [...][]float64{
	Solid:   nil,
	Dashed:  {4, 2},
	Dotted:  {1.2, 1.6},
	DashDot: {5, 1.6, 1.2, 1.6},
}

// A Look is how a series is drawn. Colour, dash and mark all differ between series that
// belong apart, so that a picture survives a grey printer.
type Look struct {
	Color  Color
	Shade  int // 0 is the colour itself, 1 darker, 2 lighter, 3 darker still, …
	Mark   Mark
	Dash   Dash
	Hollow bool // the mark is an outline
}

func (l Look) rgba() color.RGBA {
	c := l.Color.rgba()
	switch step := float64((l.Shade + 1) / 2); {
	case l.Shade <= 0:
		return c
	case l.Shade%2 == 1:
		return mix(c, okabeIto[Black], min(0.35*step, 0.8))
	default:
		return mix(c, paper, min(0.4*step, 0.7))
	}
}

// mix is a with a share t of b.
func mix(a, b color.RGBA, t float64) color.RGBA {
	f := func(a, b uint8) uint8 { return uint8(math.Round(float64(a)*(1-t) + float64(b)*t)) }
	return color.RGBA{f(a.R, b.R), f(a.G, b.G), f(a.B, b.B), 0xff}
}

// dark reports whether white text reads better on c than black.
func dark(c color.RGBA) bool {
	lin := func(v uint8) float64 { return math.Pow(float64(v)/255, 2.2) }
	return 0.2126*lin(c.R)+0.7152*lin(c.G)+0.0722*lin(c.B) < 0.22
}

// ramp is the colour at t, from 0 to 1, along stops at equal distances.
func ramp(stops []color.RGBA, t float64) color.RGBA {
	at := min(max(t, 0), 1) * float64(len(stops)-1)
	i := min(int(at), len(stops)-2)
	return mix(stops[i], stops[i+1], at-float64(i))
}

// diverging is ColorBrewer's RdBu, from blue (less) over white to red (more).
var diverging = []color.RGBA{
	{0x05, 0x30, 0x61, 0xff}, {0x21, 0x66, 0xac, 0xff}, {0x43, 0x93, 0xc3, 0xff}, {0x92, 0xc5, 0xde, 0xff},
	{0xd1, 0xe5, 0xf0, 0xff}, {0xf7, 0xf7, 0xf7, 0xff}, {0xfd, 0xdb, 0xc7, 0xff}, {0xf4, 0xa5, 0x82, 0xff},
	{0xd6, 0x60, 0x4d, 0xff}, {0xb2, 0x18, 0x2b, 0xff}, {0x67, 0x00, 0x1f, 0xff},
}

// sequential is viridis, whose lightness rises evenly.
var sequential = []color.RGBA{
	{0x44, 0x01, 0x54, 0xff}, {0x48, 0x28, 0x78, 0xff}, {0x3e, 0x49, 0x89, 0xff}, {0x31, 0x68, 0x8e, 0xff},
	{0x26, 0x82, 0x8e, 0xff}, {0x1f, 0x9e, 0x89, 0xff}, {0x35, 0xb7, 0x79, 0xff}, {0x6e, 0xce, 0x58, 0xff},
	{0xb5, 0xde, 0x2b, 0xff}, {0xfd, 0xe7, 0x25, 0xff},
}

// partColor is the colour of part i of n in a stack.
func partColor(i, n int) color.RGBA {
	if n < 2 {
		return ramp(sequential, 0.4)
	}
	return ramp(sequential, float64(i)/float64(n-1))
}
