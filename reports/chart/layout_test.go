package chart

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
)

// A written is a text of an SVG and the rectangle that it covers.
type written struct {
	text string
	rect
}

// writtenIn reads the texts of an SVG as this package writes it: lying, or standing after
// a translation and a turn.
func writtenIn(t *testing.T, svg string, height float64) (all []written) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	var at []string // transforms of open groups
	var open *written
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			attr := map[string]string{}
			for _, a := range e.Attr {
				attr[a.Name.Local] = a.Value
			}
			if e.Name.Local == "g" {
				at = append(at, attr["transform"])
			}
			if e.Name.Local == "text" {
				open = place(t, attr, at, height)
			}
		case xml.EndElement:
			if e.Name.Local == "g" {
				at = at[:len(at)-1]
			}
			if e.Name.Local == "text" {
				all, open = append(all, *open), nil
			}
		case xml.CharData:
			if open != nil {
				open.text += string(e)
				open.fit()
			}
		}
	}
}

// place returns a text without extent at its base: x1 - x0 is the size, negative if it
// stands.
func place(t *testing.T, attr map[string]string, at []string, height float64) *written {
	x, err1 := strconv.ParseFloat(attr["x"], 64)
	y, err2 := strconv.ParseFloat(attr["y"], 64)
	_, style, _ := strings.Cut(attr["style"], "font-size:")
	number, _, _ := strings.Cut(style, "px")
	size, err3 := strconv.ParseFloat(number, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatalf("text %v", attr)
	}
	switch len(at) {
	case 1:
		return &written{rect: rect{x, height + y, x + size, height + y}}
	case 3:
		var dx, dy float64
		if _, err := fmt.Sscanf(at[1], "translate(%f, %f)", &dx, &dy); err != nil || at[2] != "rotate(90)" {
			t.Fatalf("transforms %q", at)
		}
		return &written{rect: rect{dx, height - dy - x, dx - size, height - dy - x}}
	}
	t.Fatalf("transforms %q", at)
	return nil
}

// fit gives w the extent of its text.
func (w *written) fit() {
	size := w.x1 - w.x0
	if size > 0 {
		w.rect = rect{w.x0, w.y0 - size*capHeight, w.x0 + textWidth(w.text, size), w.y0 + size*descent}
		return
	}
	size = -size
	w.rect = rect{w.x0 - size*capHeight, w.y0 - textWidth(w.text, size), w.x0 + size*descent, w.y0}
}

func (r rect) overlap(o rect) float64 {
	w, h := min(r.x1, o.x1)-max(r.x0, o.x0), min(r.y1, o.y1)-max(r.y0, o.y0)
	return max(w, 0) * max(h, 0)
}

// Every text lies on the canvas and none on another.
func TestTextsLieFree(t *testing.T) {
	for name, c := range sampleCharts() {
		l := newLayout(c)
		svg, err := c.InlineSVG()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		texts := writtenIn(t, string(svg), l.h)
		if len(texts) == 0 {
			t.Errorf("%s: no text", name)
		}
		for i, a := range texts {
			if a.x0 < 0 || a.y0 < 0 || a.x1 > l.w+0.5 || a.y1 > l.h {
				t.Errorf("%s: %q lies at %.1f, outside %.0f by %.0f", name, a.text, a.rect, l.w, l.h)
			}
			for _, b := range texts[:i] {
				if o := a.overlap(b.rect); o > 0.5 {
					t.Errorf("%s: %q at %.1f lies on %q at %.1f", name, a.text, a.rect, b.text, b.rect)
				}
			}
		}
	}
}

// What is drawn stays on the canvas: the numbers of SVG are finite, and small.
func TestNoStrayNumbers(t *testing.T) {
	for name, c := range sampleCharts() {
		svg, err := c.InlineSVG()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, bad := range []string{"NaN", "Inf"} {
			if strings.Contains(string(svg), bad) {
				t.Errorf("%s: the SVG holds %s", name, bad)
			}
		}
		l := newLayout(c)
		for path := range strings.SplitSeq(string(svg), `<path d="`) {
			if !strings.HasPrefix(path, "M") {
				continue
			}
			coords := strings.FieldsFunc(path[:strings.Index(path, `"`)], func(r rune) bool { return strings.ContainsRune("MLCZ,", r) })
			for _, s := range coords {
				if v, err := strconv.ParseFloat(s, 64); err != nil || v < -1 || v > max(l.w, l.h)+1 {
					t.Fatalf("%s: %q in a path of a canvas of %.0f by %.0f", name, s, l.w, l.h)
				}
			}
		}
	}
}

// The legend is above the data, whatever the names are.
func TestLegendLeavesData(t *testing.T) {
	for name, c := range sampleCharts() {
		l := newLayout(c)
		if l.legend.columns > 0 && float64(l.legend.columns)*l.legend.column+float64(l.legend.columns-1)*gapKeys > l.w-2*edge+1e-6 {
			t.Errorf("%s: %d columns of %.0f in %.0f", name, l.legend.columns, l.legend.column, l.w)
		}
		for _, row := range l.heights {
			if row < lowestCell {
				t.Errorf("%s: a plot is %.1f high", name, row)
			}
		}
		if math.IsNaN(l.h) || l.h > 20*72 {
			t.Errorf("%s: %.0f high", name, l.h)
		}
	}
}

func TestWrapAndShorten(t *testing.T) {
	const size = 10
	for _, s := range []string{"", "word", "several words of text", "averyverylongwordthatfitsnowhere", "äöü日本語" + strings.Repeat("é", 40)} {
		for _, width := range []float64{0.1, 20, 60, 1000} {
			joined := ""
			for _, line := range wrap(s, size, width) {
				if w := textWidth(line, size); w > width && len([]rune(line)) > 1 {
					t.Errorf("%q in %v: %q is %v wide", s, width, line, w)
				}
				joined += strings.ReplaceAll(line, " ", "")
			}
			if want := strings.ReplaceAll(s, " ", ""); joined != want {
				t.Errorf("%q in %v: the lines hold %q", s, width, joined)
			}
			if got := shorten(s, size, width); textWidth(got, size) > width && got != "…" {
				t.Errorf("%q in %v is shortened to %q", s, width, got)
			}
		}
	}
	if got := shorten("transformer-340m", size, 60); !strings.HasPrefix(got, "tran") || !strings.HasSuffix(got, "40m") {
		t.Errorf("shortened to %q", got)
	}
	if got := wrapParts("8 experts, top-1, hidden 3072", size, 90); len(got) != 2 || got[0] != "8 experts, top-1," {
		t.Errorf("parts %q", got)
	}
}
