package chart

// spans are the ranges of axes: panels whose axes are equal share one.
type spans map[spanKey]span

type spanKey struct {
	vertical bool
	axis     Axis
}

func newSpans(c Chart) spans {
	values := map[spanKey][]float64{}
	for _, p := range c.Panels {
		if p.Lines == nil {
			continue
		}
		x, y := spanKey{false, p.X}, spanKey{true, p.Y}
		for _, s := range p.Lines.Series {
			for _, pt := range s.Points {
				values[x] = append(values[x], pt.X)
				values[y] = append(values[y], pt.Y, pt.Lo, pt.Hi)
			}
		}
	}
	all := spans{}
	for k, vs := range values {
		all[k] = newSpan(k.axis, vs)
	}
	return all
}

// A linesPlot draws series of points on two axes.
type linesPlot struct {
	series []Series
	x, y   span
	shared bool // its y axis is that of every other panel
}

func newLinesPlot(p Panel, all spans) linesPlot {
	vertical := 0
	for k := range all {
		if k.vertical {
			vertical++
		}
	}
	return linesPlot{p.Lines.Series, all[spanKey{false, p.X}], all[spanKey{true, p.Y}], vertical == 1}
}

const (
	tickLength = 3.0
	tickGap    = 2.5
	labelGap   = 4.0
)

// height keeps plots near the golden section, and low enough to read in a column.
func (p linesPlot) height(w float64) float64 { return min(max(w*0.66, 90), 190) }

func (p linesPlot) margin(w float64) margin {
	ticks, _ := p.yTicks(p.height(w))
	wide := 0.0
	for _, t := range ticks {
		wide = max(wide, textWidth(t.label, sizeText))
	}
	return margin{
		left:   sizeText*(capHeight+descent) + labelGap + wide + tickGap + tickLength,
		right:  6,
		top:    4,
		bottom: tickLength + tickGap + sizeText*capHeight + labelGap + sizeText*(capHeight+descent),
	}
}

func (p linesPlot) yTicks(h float64) ([]tick, string) {
	major, _ := p.y.ticks(int(h / 18))
	return p.y.labels(major)
}

// xTicks returns as many ticks as fit side by side.
func (p linesPlot) xTicks(w float64) ([]tick, []float64, string) {
	for most := 12; ; most-- {
		major, minor := p.x.ticks(most)
		ticks, unit := p.x.labels(major)
		need := 0.0
		for _, t := range ticks {
			need = max(need, textWidth(t.label, sizeText)+6)
		}
		if most <= 2 || need*float64(len(ticks)) <= w {
			return ticks, minor, unit
		}
	}
}

func (p linesPlot) draw(c *canvas, r rect, outer bool) {
	px := func(v float64) float64 { return r.x0 + p.x.at(v)*r.w() }
	py := func(v float64) float64 { return r.y1 - p.y.at(v)*r.h() }
	p.drawX(c, r, px)
	p.drawY(c, r, py, outer)

	// Where lines coincide, dashes lie on what is solid, and hollow marks, which are larger,
	// stand out from under the others.
	for _, dashed := range []bool{false, true} {
		for _, s := range p.series {
			if (s.Look.Dash != Solid) == dashed && s.Look.Dash != NoLine && len(s.Points) > 1 {
				c.line(strokeLine, dashes[s.Look.Dash], s.Look.rgba(), places(s, px, py)...)
			}
		}
	}
	for _, s := range p.series {
		for _, pt := range s.Points {
			if pt.Lo < pt.Hi {
				drawInterval(c, px(pt.X), py(pt.Lo), py(pt.Hi), s.Look)
			}
		}
	}
	for _, hollow := range []bool{true, false} {
		for _, s := range p.series {
			for _, at := range places(s, px, py) {
				if s.Look.Hollow == hollow {
					c.mark(at, s.Look)
				}
			}
		}
	}
}

func places(s Series, px, py func(float64) float64) []xy {
	ps := make([]xy, len(s.Points))
	for i, pt := range s.Points {
		ps[i] = xy{px(pt.X), py(pt.Y)}
	}
	return ps
}

func drawInterval(c *canvas, x, lo, hi float64, look Look) {
	const half = 2.2
	col := look.rgba()
	c.line(strokeBar, nil, col, xy{x, lo}, xy{x, hi})
	c.line(strokeBar, nil, col, xy{x - half, lo}, xy{x + half, lo})
	c.line(strokeBar, nil, col, xy{x - half, hi}, xy{x + half, hi})
}

func (p linesPlot) drawX(c *canvas, r rect, px func(float64) float64) {
	ticks, minor, unit := p.xTicks(r.w())
	for _, t := range ticks {
		x := px(t.v)
		c.line(strokeGrid, nil, grid, xy{x, r.y0}, xy{x, r.y1})
	}
	c.line(strokeFrame, nil, ink, xy{r.x0, r.y1}, xy{r.x1, r.y1})
	for _, v := range minor {
		c.line(strokeFrame, nil, ink, xy{px(v), r.y1}, xy{px(v), r.y1 + tickLength/2})
	}
	base := r.y1 + tickLength + tickGap + sizeText*capHeight
	for _, t := range ticks {
		c.line(strokeFrame, nil, ink, xy{px(t.v), r.y1}, xy{px(t.v), r.y1 + tickLength})
		c.text(xy{px(t.v), base}, t.label, sizeText, center, ink)
	}
	c.text(xy{(r.x0 + r.x1) / 2, base + labelGap + sizeText*capHeight}, withUnit(p.x.axis.Label, unit), sizeText, center, ink)
}

func (p linesPlot) drawY(c *canvas, r rect, py func(float64) float64, outer bool) {
	ticks, unit := p.yTicks(r.h())
	_, minor := p.y.ticks(int(r.h() / 18))
	for _, t := range ticks {
		c.line(strokeGrid, nil, grid, xy{r.x0, py(t.v)}, xy{r.x1, py(t.v)})
	}
	c.line(strokeFrame, nil, ink, xy{r.x0, r.y0}, xy{r.x0, r.y1})
	for _, v := range minor {
		c.line(strokeFrame, nil, ink, xy{r.x0 - tickLength/2, py(v)}, xy{r.x0, py(v)})
	}
	wide := 0.0
	for _, t := range ticks {
		c.line(strokeFrame, nil, ink, xy{r.x0 - tickLength, py(t.v)}, xy{r.x0, py(t.v)})
		c.middle(xy{r.x0 - tickLength - tickGap, py(t.v)}, t.label, sizeText, right, ink)
		wide = max(wide, textWidth(t.label, sizeText))
	}
	if outer || !p.shared {
		x := r.x0 - tickLength - tickGap - wide - labelGap - sizeText*descent
		c.upward(xy{x, (r.y0 + r.y1) / 2}, withUnit(p.y.axis.Label, unit), sizeText, ink)
	}
}

func withUnit(label, unit string) string {
	if unit == "" {
		return label
	}
	return label + " (" + unit + ")"
}
