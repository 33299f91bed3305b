package chart

import (
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"
)

// A sharesPlot draws bars that are divided among parts.
type sharesPlot struct {
	panel Panel
	*Shares
}

const (
	widestBar  = 30.0 // with the gap beside it
	barShare   = 0.74 // of that, the bar
	keySquare  = 7.0
	mostKeys   = 16 // parts that get a key each; more get a ramp
	legendGap  = 8.0
	colorBar   = 8.0
	ladderStep = 10.0
)

func (p sharesPlot) height(float64) float64 { return 112 }

func (p sharesPlot) margin(float64) margin {
	m := margin{
		left:   sizeText*(capHeight+descent) + labelGap + textWidth("100", sizeText) + tickGap + tickLength,
		right:  legendGap + p.legendWidth(),
		top:    4,
		bottom: tickLength + tickGap + sizeText*capHeight + labelGap + sizeText*(capHeight+descent),
	}
	if p.Above != nil {
		m.top += sizeSmall + 1
	}
	return m
}

func (p sharesPlot) legendWidth() float64 {
	w := max(textWidth(p.Legend, sizeSmall), textWidth(p.AboveIs, sizeSmall))
	for _, name := range p.Parts {
		w = max(w, keySquare+3+textWidth(name, sizeSmall))
	}
	return w
}

func (p sharesPlot) draw(c *canvas, r rect, _ bool) {
	slot := min(r.w()/float64(len(p.Bars)), widestBar)
	plot := rect{r.x0, r.y0, r.x0 + slot*float64(len(p.Bars)), r.y1}
	for k := 1; k < len(p.Parts) && p.even() && len(p.Parts) <= mostKeys; k++ {
		y := r.y1 - float64(k)/float64(len(p.Parts))*r.h()
		c.line(0.6, nil, muted, xy{plot.x0, y}, xy{plot.x1, y})
	}
	for i, bar := range p.Share {
		mid := plot.x0 + (float64(i)+0.5)*slot
		p.drawBar(c, rect{mid - slot*barShare/2, r.y0, mid + slot*barShare/2, r.y1}, bar)
	}
	p.drawAbove(c, plot, slot)
	drawNames(c, plot, slot, p.Bars, p.panel.X.Label)
	p.drawPercent(c, plot)
	p.drawLegend(c, plot.x1+legendGap, r)
}

// even reports whether all bars have all parts, so that even shares are the same in each.
func (p sharesPlot) even() bool {
	for _, bar := range p.Share {
		if slices.ContainsFunc(bar, math.IsNaN) {
			return false
		}
	}
	return true
}

// drawBar stacks the parts from the bottom. Each is painted down to the bottom and the
// ones below it over it, so that no hairline shows between them.
func (p sharesPlot) drawBar(c *canvas, r rect, bar []float64) {
	tops := make([]float64, len(bar))
	y := r.y1
	for j, v := range bar {
		if !math.IsNaN(v) {
			y -= v * r.h()
		}
		tops[j] = y
	}
	for j := len(bar) - 1; j >= 0; j-- {
		if bar[j] > 0 {
			c.rect(rect{r.x0, tops[j], r.x1, r.y1}, partColor(j, len(p.Parts)))
		}
	}
	for j := range len(bar) - 1 {
		if len(p.Parts) <= mostKeys && tops[j] < r.y1 && tops[j] > r.y0+0.1 {
			c.line(0.4, nil, paper, xy{r.x0, tops[j]}, xy{r.x1, tops[j]})
		}
	}
}

// drawAbove writes the numbers above the bars: all or, if they are too wide, some.
func (p sharesPlot) drawAbove(c *canvas, r rect, slot float64) {
	if p.Above == nil {
		return
	}
	wide := 0.0
	for _, s := range p.Above {
		wide = max(wide, textWidth(s, sizeSmall))
	}
	every := int(math.Ceil((wide + 2) / slot))
	y := r.y0 - 3.5
	for i, s := range p.Above {
		if i%every == 0 {
			c.text(xy{r.x0 + (float64(i)+0.5)*slot, y}, s, sizeSmall, center, muted)
		}
	}
	c.text(xy{r.x1 + legendGap, y}, p.AboveIs, sizeSmall, left, muted)
}

// drawNames writes names along the bottom: all of them or, if they are too wide, some.
func drawNames(c *canvas, r rect, slot float64, names []string, label string) {
	c.line(strokeFrame, nil, ink, xy{r.x0, r.y1}, xy{r.x1, r.y1})
	wide := 0.0
	for _, n := range names {
		wide = max(wide, textWidth(n, sizeText))
	}
	every := max(1, int(math.Ceil((wide+4)/slot)))
	base := r.y1 + tickLength + tickGap + sizeText*capHeight
	for i, n := range names {
		x := r.x0 + (float64(i)+0.5)*slot
		if i%every == 0 {
			c.line(strokeFrame, nil, ink, xy{x, r.y1}, xy{x, r.y1 + tickLength})
			c.text(xy{x, base}, n, sizeText, center, ink)
		}
	}
	c.text(xy{(r.x0 + r.x1) / 2, base + labelGap + sizeText*capHeight}, label, sizeText, center, ink)
}

func (p sharesPlot) drawPercent(c *canvas, r rect) {
	c.line(strokeFrame, nil, ink, xy{r.x0, r.y0}, xy{r.x0, r.y1})
	for v := 0; v <= 100; v += 25 {
		y := r.y1 - float64(v)/100*r.h()
		c.line(strokeFrame, nil, ink, xy{r.x0 - tickLength, y}, xy{r.x0, y})
		c.middle(xy{r.x0 - tickLength - tickGap, y}, strconv.Itoa(v), sizeText, right, ink)
	}
	x := r.x0 - tickLength - tickGap - textWidth("100", sizeText) - labelGap - sizeText*descent
	c.upward(xy{x, (r.y0 + r.y1) / 2}, withUnit(p.panel.Y.Label, "%"), sizeText, ink)
}

// drawLegend names the parts in the order of the stack.
func (p sharesPlot) drawLegend(c *canvas, x float64, r rect) {
	y := r.y0 + sizeSmall*capHeight + 2
	c.text(xy{x, y}, p.Legend, sizeSmall, left, ink)
	y += 4
	n := len(p.Parts)
	if n > mostKeys {
		bar := rect{x, y, x + colorBar, r.y1}
		drawRamp(c, bar, func(t float64) color.RGBA { return partColor(int(t*float64(n-1)+0.5), n) })
		c.text(xy{bar.x1 + 3, bar.y1}, p.Parts[0], sizeSmall, left, ink)
		c.text(xy{bar.x1 + 3, bar.y0 + sizeSmall*capHeight}, p.Parts[n-1], sizeSmall, left, ink)
		return
	}
	step := min(ladderStep, (r.y1-y)/float64(n))
	side := min(keySquare, step-1)
	for i := n - 1; i >= 0; i-- {
		c.rect(rect{x, y, x + side, y + side}, partColor(i, n))
		c.middle(xy{x + keySquare + 3, y + side/2}, p.Parts[i], sizeSmall, left, ink)
		y += step
	}
}

// Ratio writes a ratio in three characters or so: "0.07", "1.13", "12.5".
func Ratio(v float64) string {
	switch {
	case math.IsNaN(v):
		return ""
	case v == 0:
		return "0"
	case v < 9.995:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.1f", v)
}
