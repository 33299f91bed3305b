package chart

import (
	"image/color"
	"math"
)

// Lengths of the layout in points.
const (
	pointsPerCM = 72 / 2.54
	edge        = 3.0  // white around the picture
	gapX        = 14.0 // between panels
	gapY        = 14.0
	gapLegend   = 7.0
	gapNote     = 6.0
)

func (w Width) points() float64 {
	if w == Double {
		return 17.5 * pointsPerCM
	}
	return 8.5 * pointsPerCM
}

// A margin is the room that a plot's labels need on each side of it.
type margin struct{ left, right, top, bottom float64 }

func (m margin) with(o margin) margin {
	return margin{max(m.left, o.left), max(m.right, o.right), max(m.top, o.top), max(m.bottom, o.bottom)}
}

// A plot is what a panel holds, ready to be laid out.
type plot interface {
	margin(w float64) margin            // in a panel w wide, title not counted
	height(w float64) float64           // of the plot itself if it is w wide
	draw(c *canvas, r rect, outer bool) // outer: nothing stands left of it that has its y label
}

// A cell is a panel in its place.
type cell struct {
	panel    Panel
	plot     plot
	row, col int
}

// A layout is where everything of a chart lies.
type layout struct {
	chart   Chart
	w, h    float64
	legend  legend
	cells   []cell
	columns []margin  // of the plots in each column: left and right
	rows    []margin  // of the plots in each row: top and bottom
	heights []float64 // of the plots in each row
	panelW  float64
	note    []string
}

func newLayout(c Chart) layout {
	l := layout{chart: c, w: c.Width.points()}
	inner := l.w - 2*edge
	l.legend = newLegend(c, inner)
	columns := c.Columns
	if columns == 0 || columns > len(c.Panels) {
		columns = len(c.Panels)
	}
	l.panelW = (inner - float64(columns-1)*gapX) / float64(columns)
	l.columns = make([]margin, columns)
	spans, hottest := newSpans(c), hottest(c)
	for i, p := range c.Panels {
		at := cell{panel: p, plot: newPlot(p, spans, hottest), row: i / columns, col: i % columns}
		if at.col == 0 {
			l.rows = append(l.rows, margin{})
		}
		m := at.plot.margin(l.panelW)
		m.top += l.titleHeight(p)
		l.columns[at.col] = l.columns[at.col].with(m)
		l.rows[at.row] = l.rows[at.row].with(m)
		l.cells = append(l.cells, at)
	}
	l.heights = make([]float64, len(l.rows))
	for _, at := range l.cells {
		m := l.columns[at.col]
		l.heights[at.row] = max(l.heights[at.row], at.plot.height(l.panelW-m.left-m.right))
	}
	if c.Note != "" {
		l.note = wrap(c.Note, sizeSmall, inner)
	}
	l.h = l.total()
	return l
}

func newPlot(p Panel, spans spans, hottest float64) plot {
	switch {
	case p.Lines != nil:
		return newLinesPlot(p, spans)
	case p.Shares != nil:
		return sharesPlot{p, p.Shares}
	case p.Heat != nil:
		return heatPlot{p, p.Heat, hottest}
	}
	return diagramPlot{p.Diagram}
}

// titleWidth is what titles are wrapped to. A diagram's is not in the middle of its panel.
func (l layout) titleWidth() float64 { return l.panelW - 12 }

// titleHeight is that of a panel's title and note, and of the gap under them.
func (l layout) titleHeight(p Panel) float64 {
	h := 0.0
	if p.Title != "" {
		h += float64(len(wrapParts(p.Title, sizeTitle, l.titleWidth()))) * sizeTitle * lineHeight
	}
	if p.Note != "" {
		h += float64(len(wrapParts(p.Note, sizeSmall, l.titleWidth()))) * sizeSmall * lineHeight
	}
	if h > 0 {
		h += 4
	}
	return h
}

func (l layout) total() float64 {
	h := 2*edge + l.legend.height()
	if h > 2*edge {
		h += gapLegend
	}
	for i := range l.rows {
		h += l.rows[i].top + l.heights[i] + l.rows[i].bottom
	}
	h += float64(len(l.rows)-1) * gapY
	if len(l.note) > 0 {
		h += gapNote + float64(len(l.note))*sizeSmall*lineHeight
	}
	return math.Ceil(h)
}

func (l layout) draw(c *canvas) {
	y := edge
	if h := l.legend.height(); h > 0 {
		l.legend.draw(c, xy{edge, y})
		y += h + gapLegend
	}
	for row := range l.rows {
		for _, at := range l.cells {
			if at.row == row {
				l.drawCell(c, at, y)
			}
		}
		y += l.rows[row].top + l.heights[row] + l.rows[row].bottom + gapY
	}
	y += gapNote - gapY + sizeSmall
	for _, line := range l.note {
		c.text(xy{edge, y}, line, sizeSmall, left, muted)
		y += sizeSmall * lineHeight
	}
}

// drawCell draws a panel whose row starts at y.
func (l layout) drawCell(c *canvas, at cell, y float64) {
	x := edge + float64(at.col)*(l.panelW+gapX)
	m, r := l.columns[at.col], l.rows[at.row]
	plot := rect{x + m.left, y + r.top, x + l.panelW - m.right, y + r.top + l.heights[at.row]}
	at.plot.draw(c, plot, at.col == 0)

	own := at.plot.margin(l.panelW)
	ty := plot.y0 - own.top - l.titleHeight(at.panel)
	a, tx := left, plot.x0
	if d := at.panel.Diagram; d != nil {
		a, tx, ty = center, newDrawing(nil, plot, d.Flow).cx, y
	}
	write := func(s string, size float64, col color.RGBA) {
		for _, line := range wrapParts(s, size, l.titleWidth()) {
			c.text(xy{tx, ty + size}, line, size, a, col)
			ty += size * lineHeight
		}
	}
	write(at.panel.Title, sizeTitle, ink)
	write(at.panel.Note, sizeSmall, muted)
}
