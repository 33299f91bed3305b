package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func render(t *testing.T, c Chart, format string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := c.Render(&b, format); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRender(t *testing.T) {
	for width, want := range map[Width]int{Single: 1004, Double: 2067} { // 8.5 and 17.5 cm at 300 dpi
		c := lineChart(width, 1, 3, "model", "note")
		img, err := png.Decode(bytes.NewReader(render(t, c, "png")))
		if err != nil {
			t.Fatal(err)
		}
		if got := img.Bounds().Dx(); got != want {
			t.Errorf("width %d: %d pixels, want %d", width, got, want)
		}
		dark := 0
		for y := range img.Bounds().Dy() {
			for x := range img.Bounds().Dx() {
				if r, g, b, _ := img.At(x, y).RGBA(); r+g+b < 0x10000 {
					dark++
				}
			}
		}
		if dark < 1000 {
			t.Errorf("width %d: %d dark pixels: an empty picture", width, dark)
		}

		svg := render(t, c, "svg")
		d := xml.NewDecoder(bytes.NewReader(svg))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("SVG: %v", err)
			}
		}
		if !bytes.Contains(svg, []byte("@font-face")) {
			t.Error("the SVG has no font in it")
		}
		if pdf := render(t, c, "pdf"); !bytes.HasPrefix(pdf, []byte("%PDF-")) || !bytes.Contains(pdf, []byte("LiberationSans")) {
			t.Errorf("PDF of %d bytes starts %q", len(pdf), pdf[:8])
		}
	}
}

func TestInlineSVG(t *testing.T) {
	svg, err := lineChart(Single, 1, 2, "a <b> & \x00\xffc", "note").InlineSVG()
	if err != nil {
		t.Fatal(err)
	}
	s := string(svg)
	if !strings.HasPrefix(s, "<svg") || strings.Contains(s, "@font-face") || !strings.Contains(s, "Arial") {
		t.Errorf("the SVG starts %.60q, has a font: %v, names others: %v", s, strings.Contains(s, "@font-face"), strings.Contains(s, "Arial"))
	}
	if !strings.Contains(s, "a &lt;b&gt; &amp;  \ufffdc-0") {
		t.Error("the name is not escaped")
	}
}

func TestRenderIsDeterministic(t *testing.T) {
	for name, c := range map[string]Chart{"lines": lineChart(Double, 2, 4, "a", "b"), "heat": expertChart(Double, 6, 8, true), "diagram": diagramChart(2)} {
		for _, format := range []string{"png", "svg"} {
			if !bytes.Equal(render(t, c, format), render(t, c, format)) {
				t.Errorf("%s: two %s of one chart differ", name, format)
			}
		}
	}
}

func TestRenderErrors(t *testing.T) {
	err := lineChart(Single, 1, 1, "a", "").Render(io.Discard, "gif")
	if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), `"gif": want one of png, svg, pdf`) {
		t.Errorf("gif: %v", err)
	}
	change := func(f func(*Chart)) Chart {
		c := lineChart(Single, 1, 2, "a", "")
		f(&c)
		return c
	}
	point := func(f func(*Point)) Chart {
		return change(func(c *Chart) { f(&c.Panels[0].Lines.Series[1].Points[3]) })
	}
	heat, shares := expertChart(Single, 2, 2, true), expertChart(Single, 2, 2, false)
	heat.Panels[0].Heat.Value[1][0] = -1
	shares.Panels[0].Shares.Share[1][0] = 0.9
	for want, c := range map[string]Chart{
		"no panels": {},
		`series "a-1": point 3: y is 0, but a logarithmic axis shows only values above 0`: point(func(p *Point) { p.Y, p.Lo = 0, 0 }),
		`point 3: x is -2, but a logarithmic axis`:                                        point(func(p *Point) { p.X = -2 }),
		`point 3: y is NaN, want a number`:                                                point(func(p *Point) { p.Y = math.NaN() }),
		`does not hold y`:                                                                 point(func(p *Point) { p.Lo = p.Hi }),
		`interval NaN to`:                                                                 point(func(p *Point) { p.Lo = math.NaN() }),
		`x is 16, not above 64 before it`:                                                 point(func(p *Point) { p.X = 16 }),
		`lines without points`:                                                            change(func(c *Chart) { c.Panels[0].Lines.Series = nil }),
		`2 of lines, shares, heat and diagram are set`:                                    change(func(c *Chart) { c.Panels[0].Heat = heat.Panels[0].Heat }),
		`0 of lines, shares`:                                                              {Panels: []Panel{{}}},
		`scale 9 is unknown`:                                                              change(func(c *Chart) { c.Panels[0].Y.Scale = 9 }),
		`width 7 is unknown`:                                                              change(func(c *Chart) { c.Width = 7 }),
		`row "1", column "0": -1`:                                                         heat,
		`bar "1": shares sum to`:                                                          shares,
		`a flow without nodes`:                                                            {Panels: []Panel{{Diagram: &Diagram{}}}},
		`0 of box, add and repeat`:                                                        {Panels: []Panel{{Diagram: &Diagram{Flow: []Node{{}}}}}},
		`3 branches, want 1 or 2`:                                                         {Panels: []Panel{{Diagram: &Diagram{Flow: []Node{{Add: &Add{Branches: make([][]Box, 3)}}}}}}},
	} {
		if err := c.Render(io.Discard, "svg"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

// Points that no line joins may lie anywhere, two at one x; a line may have no marks.
func TestScatter(t *testing.T) {
	c := lineChart(Single, 1, 1, "a", "")
	s := &c.Panels[0].Lines.Series[0]
	joined := bytes.Count(render(t, c, "svg"), []byte("<path"))
	s.Look.Dash = NoLine
	scattered := bytes.Count(render(t, c, "svg"), []byte("<path"))
	if scattered != joined-2 { // the line and its key
		t.Errorf("%d paths joined, %d not, want two fewer", joined, scattered)
	}
	s.Look.Mark = NoMark
	if bare := bytes.Count(render(t, c, "svg"), []byte("<path")); bare >= scattered-len(s.Points) {
		t.Errorf("%d paths with marks, %d without", scattered, bare)
	}
	s.Points[1], s.Points[2] = s.Points[2], s.Points[1]
	s.Points[0].X = s.Points[1].X
	render(t, c, "svg")
}

// An interval may reach to 0 and below on a logarithmic axis: it is drawn to the end.
func TestIntervalBelowALogAxis(t *testing.T) {
	c := lineChart(Single, 1, 1, "a", "")
	c.Panels[0].Lines.Series[0].Points[2].Lo = -1
	if svg := render(t, c, "svg"); bytes.Contains(svg, []byte("NaN")) {
		t.Error("the SVG holds NaN")
	}
}

func TestSave(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.SVG")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := lineChart(Single, 1, 1, "a", "")
	if err := (Chart{}).Save(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("an empty chart: %v", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "old" {
		t.Errorf("after an error the file holds %q", got)
	}
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, render(t, c, "svg")) {
		t.Errorf("the file holds %.20q", got)
	}
	for _, bad := range []string{filepath.Join(dir, "a.gif"), filepath.Join(dir, "a"), filepath.Join(dir, "none", "a.svg")} {
		if err := c.Save(bad); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
	if all, _ := os.ReadDir(dir); len(all) != 1 {
		t.Errorf("files left behind: %v", all)
	}
}
