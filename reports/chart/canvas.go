package chart

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"
	"strings"
	"sync"

	"golang.org/x/text/encoding/charmap"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgpdf"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Formats are the names of the formats that a chart can be drawn in, which are also the
// extensions of their files.
func Formats() []string { return []string{"png", "svg", "pdf"} }

// ErrFormat says that a chart cannot be drawn in the format asked for.
var ErrFormat = errors.New("unknown picture format")

// dpi is the resolution of PNG.
const dpi = 300

// A canvas is drawn on in points from its top left corner.
type canvas struct {
	vg     vg.CanvasWriterTo
	w, h   float64
	encode func(string) string // what the canvas wants of text; nil is UTF-8
}

// newCanvas returns a white canvas of w by h points. linked has an SVG name its font,
// with others of the same widths to take its place, instead of carrying it.
func newCanvas(format string, w, h float64, linked bool) (*canvas, error) {
	c := &canvas{w: w, h: h}
	width, height := vg.Length(w), vg.Length(h)
	switch format {
	case "png":
		c.vg = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(dpi))}
	case "svg":
		c.vg = vgsvg.NewWith(vgsvg.UseWH(width, height), vgsvg.EmbedFonts(!linked))
	case "pdf":
		c.vg, c.encode = vgpdf.New(width, height), windows1252
	default:
		return nil, fmt.Errorf("chart: %w %q: want one of %s", ErrFormat, format, strings.Join(Formats(), ", "))
	}
	c.rect(rect{0, 0, w, h}, paper)
	return c, nil
}

func (c *canvas) writeTo(w io.Writer) error {
	_, err := c.vg.WriteTo(w)
	return err
}

// face is the one font of all pictures.
var face = sync.OnceValue(func() font.Face {
	return font.NewCache(liberation.Collection()).Lookup(font.Font{Typeface: "Liberation", Variant: "Sans"}, 1)
})

func sized(size float64) font.Face {
	f := face()
	f.Font.Size = vg.Length(size)
	return f
}

// textWidth is the width of s in points.
func textWidth(s string, size float64) float64 {
	f := sized(size)
	return float64(f.Width(s))
}

// Of the font, in parts of its size.
const (
	capHeight = 0.729
	descent   = 0.212
)

// An xy is a place in points from the top left corner.
type xy struct{ x, y float64 }

// A rect is a part of the canvas. y1 is below y0.
type rect struct{ x0, y0, x1, y1 float64 }

func (r rect) w() float64 { return r.x1 - r.x0 }
func (r rect) h() float64 { return r.y1 - r.y0 }

func (c *canvas) pt(p xy) vg.Point { return vg.Point{X: vg.Length(p.x), Y: vg.Length(c.h - p.y)} }

func (c *canvas) path(ps []xy, closed bool) vg.Path {
	var path vg.Path
	for i, p := range ps {
		if i == 0 {
			path.Move(c.pt(p))
		} else {
			path.Line(c.pt(p))
		}
	}
	if closed {
		path.Close()
	}
	return path
}

func (c *canvas) pen(width float64, dash []float64, col color.RGBA) {
	c.vg.SetColor(col)
	c.vg.SetLineWidth(vg.Length(width))
	pattern := make([]vg.Length, len(dash))
	for i, d := range dash {
		pattern[i] = vg.Length(d)
	}
	c.vg.SetLineDash(pattern, 0)
}

// line strokes a line through ps.
func (c *canvas) line(width float64, dash []float64, col color.RGBA, ps ...xy) {
	c.pen(width, dash, col)
	c.vg.Stroke(c.path(ps, false))
}

// outline strokes the edge of a polygon.
func (c *canvas) outline(width float64, dash []float64, col color.RGBA, ps ...xy) {
	c.pen(width, dash, col)
	c.vg.Stroke(c.path(ps, true))
}

// fill fills a polygon.
func (c *canvas) fill(col color.RGBA, ps ...xy) {
	c.vg.SetColor(col)
	c.vg.Fill(c.path(ps, true))
}

func (r rect) corners() []xy { return []xy{{r.x0, r.y0}, {r.x1, r.y0}, {r.x1, r.y1}, {r.x0, r.y1}} }

// rect fills a rectangle.
func (c *canvas) rect(r rect, col color.RGBA) { c.fill(col, r.corners()...) }

// rounded returns the path of a rectangle with round corners. It starts and ends in the
// middle of the top and is not closed: to close it, vgpdf adds a line of almost no length,
// whose joint sticks out.
func (c *canvas) rounded(r rect, radius float64) vg.Path {
	const k = 0.5523 // of a quarter circle by a cubic curve
	q := radius * (1 - k)
	start := xy{(r.x0 + r.x1) / 2, r.y0}
	var p vg.Path
	p.Move(c.pt(start))
	last := start
	line := func(to xy) {
		if math.Abs(to.x-last.x)+math.Abs(to.y-last.y) > 1e-6 { // a circle has no straight part
			p.Line(c.pt(to))
		}
	}
	for _, s := range [][4]xy{
		{{r.x1 - radius, r.y0}, {r.x1 - q, r.y0}, {r.x1, r.y0 + q}, {r.x1, r.y0 + radius}},
		{{r.x1, r.y1 - radius}, {r.x1, r.y1 - q}, {r.x1 - q, r.y1}, {r.x1 - radius, r.y1}},
		{{r.x0 + radius, r.y1}, {r.x0 + q, r.y1}, {r.x0, r.y1 - q}, {r.x0, r.y1 - radius}},
		{{r.x0, r.y0 + radius}, {r.x0, r.y0 + q}, {r.x0 + q, r.y0}, {r.x0 + radius, r.y0}},
	} {
		line(s[0])
		p.CubeTo(c.pt(s[1]), c.pt(s[2]), c.pt(s[3]))
		last = s[3]
	}
	line(start)
	return p
}

// box fills a rectangle with round corners and strokes its edge.
func (c *canvas) box(r rect, radius float64, inside, edge color.RGBA) {
	p := c.rounded(r, radius)
	c.vg.SetColor(inside)
	c.vg.Fill(p)
	c.pen(strokeFrame, nil, edge)
	c.vg.Stroke(p)
}

// frame strokes the edge of a rectangle with round corners.
func (c *canvas) frame(r rect, radius, width float64, dash []float64, col color.RGBA) {
	c.pen(width, dash, col)
	c.vg.Stroke(c.rounded(r, radius))
}

// disc fills a circle, and rings it if edge is above 0.
func (c *canvas) disc(at xy, radius float64, inside color.RGBA, edge float64, ring color.RGBA) {
	p := c.rounded(rect{at.x - radius, at.y - radius, at.x + radius, at.y + radius}, radius)
	c.vg.SetColor(inside)
	c.vg.Fill(p)
	if edge > 0 {
		c.pen(edge, nil, ring)
		c.vg.Stroke(p)
	}
}

// mark draws a shape that stands for a point.
func (c *canvas) mark(at xy, look Look) {
	col, r := look.rgba(), 2.0
	inside, edge := col, 0.0
	if look.Hollow {
		inside, edge, r = paper, 0.9, 2.4
	}
	if look.Mark == NoMark {
		return
	}
	if look.Mark == Circle {
		c.disc(at, r, inside, edge, col)
		return
	}
	if look.Mark == Cross {
		const d = 1.7
		c.line(1.2, nil, col, xy{at.x - d, at.y - d}, xy{at.x + d, at.y + d})
		c.line(1.2, nil, col, xy{at.x - d, at.y + d}, xy{at.x + d, at.y - d})
		return
	}
	ps := regular(at, r, look.Mark)
	c.fill(inside, ps...)
	if edge > 0 {
		c.outline(edge, nil, col, ps...)
	}
}

// regular returns the corners of a mark of about the area of a circle of radius r.
func regular(at xy, r float64, m Mark) []xy {
	n, turn, grow := 4, math.Pi/4, 1.26 // Square
	switch m {
	case Triangle:
		n, turn, grow = 3, -math.Pi/2, 1.45
	case Down:
		n, turn, grow = 3, math.Pi/2, 1.45
	case Diamond:
		turn, grow = 0, 1.35
	case Pentagon:
		n, turn, grow = 5, -math.Pi/2, 1.18
	}
	ps := make([]xy, n)
	for i := range ps {
		sin, cos := math.Sincos(turn + 2*math.Pi*float64(i)/float64(n))
		ps[i] = xy{at.x + r*grow*cos, at.y + r*grow*sin}
	}
	return ps
}

// An align says which part of a text lies at the place given.
type align int

const (
	left align = iota
	center
	right
)

// text writes s with its baseline at y.
func (c *canvas) text(at xy, s string, size float64, a align, col color.RGBA) {
	s = printable(s)
	if s == "" {
		return
	}
	f := sized(size)
	at.x -= float64(a) / 2 * float64(f.Width(s))
	c.vg.SetColor(col)
	c.vg.FillString(f, c.pt(at), c.encoded(s))
}

func (c *canvas) encoded(s string) string {
	if c.encode == nil {
		return s
	}
	return c.encode(s)
}

// windows1252 is s in the code page that vgpdf embeds its font with. What that lacks
// becomes a question mark.
func windows1252(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if code, ok := charmap.Windows1252.EncodeRune(r); ok {
			b = append(b, code)
		} else {
			b = append(b, '?')
		}
	}
	return string(b)
}

// middle writes s with its capitals' middle at y.
func (c *canvas) middle(at xy, s string, size float64, a align, col color.RGBA) {
	c.text(xy{at.x, at.y + size*capHeight/2}, s, size, a, col)
}

// upward writes s from below to above, its baseline on x and its middle at y.
func (c *canvas) upward(at xy, s string, size float64, col color.RGBA) {
	s = printable(s)
	if s == "" {
		return
	}
	f := sized(size)
	c.vg.Push()
	c.vg.Translate(c.pt(at))
	c.vg.Rotate(math.Pi / 2)
	c.vg.SetColor(col)
	c.vg.FillString(f, vg.Point{X: -f.Width(s) / 2}, c.encoded(s))
	c.vg.Pop()
}

// linkFonts makes the SVG text name fonts that are as wide as the one it was laid out in.
func linkFonts(svg []byte) []byte {
	return bytes.ReplaceAll(svg, []byte("font-family:Liberation Sans;"), []byte("font-family:'Liberation Sans',Arimo,Arial,Helvetica,sans-serif;"))
}
