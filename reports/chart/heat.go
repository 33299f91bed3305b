package chart

import (
	"image/color"
	"math"
)

// A heatPlot draws a matrix of ratios as colours.
type heatPlot struct {
	panel Panel
	*Heat
	most float64 // the ratio at the red end; its inverse is at the blue one
}

const (
	widestCell  = 34.0
	highestCell = 13.0
	lowestCell  = 4.0
	tallest     = 230.0 // plot
	lowestBar   = 60.0
)

// hottest is the ratio at the red end of all heat panels of c: a power of two, so that it
// is a tick of the colour bar.
func hottest(c Chart) float64 {
	most := 2.0
	for _, p := range c.Panels {
		if p.Heat == nil {
			continue
		}
		for _, row := range p.Heat.Value {
			for _, v := range row {
				if v > most {
					most = math.Exp2(math.Ceil(math.Log2(v)))
				}
			}
		}
	}
	return most
}

// place is where on the colour bar v lies, from 0 to 1. What is below 1/most is there too.
func (p heatPlot) place(v float64) float64 {
	if v <= 0 {
		return 0
	}
	return min(max(0.5+0.5*math.Log(v)/math.Log(p.most), 0), 1)
}

// cellHeight is the height of a row.
func (p heatPlot) cellHeight() float64 {
	return max(min(highestCell, tallest/float64(len(p.Rows))), lowestCell)
}

// height leaves room for the colour bar, which reaches below a plot of few rows.
func (p heatPlot) height(float64) float64 {
	return max(float64(len(p.Rows))*p.cellHeight(), lowestBar-p.margin(0).bottom)
}

func (p heatPlot) margin(float64) margin {
	wide := 0.0
	for _, n := range p.Rows {
		wide = max(wide, textWidth(n, sizeText))
	}
	return margin{
		left:   sizeText*(capHeight+descent) + labelGap + wide + tickGap,
		right:  legendGap + colorBar + 3 + textWidth("0.25", sizeSmall) + 4 + sizeSmall,
		top:    4,
		bottom: tickLength + tickGap + sizeText*capHeight + labelGap + sizeText*(capHeight+descent),
	}
}

func (p heatPlot) draw(c *canvas, r rect, _ bool) {
	w := min(r.w()/float64(len(p.Columns)), widestCell)
	h := p.cellHeight()
	plot := rect{r.x0, r.y0, r.x0 + w*float64(len(p.Columns)), r.y0 + h*float64(len(p.Rows))}
	size := p.cellText(w, h)
	for i, row := range p.Value {
		for j, v := range row {
			at := rect{plot.x0 + float64(j)*w, plot.y1 - float64(i+1)*h, plot.x0 + float64(j+1)*w, plot.y1 - float64(i)*h}
			p.drawValue(c, at, v, size)
		}
	}
	every := max(1, int(math.Ceil((sizeText+1)/h)))
	wide := 0.0
	for i, n := range p.Rows {
		wide = max(wide, textWidth(n, sizeText))
		if i%every == 0 {
			c.middle(xy{plot.x0 - tickGap, plot.y1 - (float64(i)+0.5)*h}, n, sizeText, right, ink)
		}
	}
	c.upward(xy{plot.x0 - tickGap - wide - labelGap - sizeText*descent, (plot.y0 + plot.y1) / 2}, p.panel.Y.Label, sizeText, ink)
	drawNames(c, plot, w, p.Columns, p.panel.X.Label)
	p.drawBar(c, plot)
}

// cellText is the size of the numbers in cells of w by h, 0 if none is legible.
func (p heatPlot) cellText(w, h float64) float64 {
	widest := 0.0
	for _, row := range p.Value {
		for _, v := range row {
			widest = max(widest, textWidth(Ratio(v), 1))
		}
	}
	size := min(sizeSmall+0.5, (w-2)/widest, h/1.15)
	if size < sizeCell-0.5 {
		return 0
	}
	return size
}

func (p heatPlot) drawValue(c *canvas, r rect, v, size float64) {
	const gap = 0.3
	r = rect{r.x0 + gap, r.y0 + gap, r.x1 - gap, r.y1 - gap}
	if math.IsNaN(v) {
		c.line(strokeGrid, nil, muted, xy{r.x0, r.y1}, xy{r.x1, r.y0})
		return
	}
	col := ramp(diverging, p.place(v))
	c.rect(r, col)
	if size > 0 {
		on := ink
		if dark(col) {
			on = paper
		}
		c.middle(xy{(r.x0 + r.x1) / 2, (r.y0 + r.y1) / 2}, Ratio(v), size, center, on)
	}
}

// drawBar draws the colour bar right of the plot. Its lower end is a tip: smaller ratios,
// down to 0, have its colour.
func (p heatPlot) drawBar(c *canvas, r rect) {
	const tip = 5
	h := max(r.h(), lowestBar)
	bar := rect{r.x1 + legendGap, r.y0, r.x1 + legendGap + colorBar, r.y0 + h - tip}
	drawRamp(c, bar, func(t float64) color.RGBA { return ramp(diverging, t) })
	c.fill(diverging[0], xy{bar.x0, bar.y1 - 0.2}, xy{bar.x1, bar.y1 - 0.2}, xy{(bar.x0 + bar.x1) / 2, bar.y1 + tip})
	octaves := int(math.Round(math.Log2(p.most)))
	step := 1
	for float64(2*(octaves/step)+1)*(sizeSmall+2) > bar.h() {
		step++
	}
	for k := -octaves / step * step; k <= octaves; k += step {
		v := math.Exp2(float64(k))
		y := bar.y1 - p.place(v)*bar.h()
		c.line(strokeFrame, nil, ink, xy{bar.x1, y}, xy{bar.x1 + 2, y})
		c.middle(xy{bar.x1 + 4, y}, number(v), sizeSmall, left, ink)
	}
	c.upward(xy{bar.x1 + 4 + textWidth("0.25", sizeSmall) + 3 + sizeSmall*capHeight, (bar.y0 + bar.y1) / 2}, p.Legend, sizeSmall, ink)
}

// drawRamp fills r with colours from the bottom, t from 0 to 1. Each step reaches to the
// top, so that no hairline shows between them.
func drawRamp(c *canvas, r rect, at func(t float64) color.RGBA) {
	const steps = 96
	for i := range steps {
		y := r.y1 - r.h()*float64(i)/steps
		c.rect(rect{r.x0, r.y0, r.x1, y}, at((float64(i)+0.5)/steps))
	}
}
