package chart

import "fmt"

// A diagramPlot draws a flow from the bottom to the top.
type diagramPlot struct{ *Diagram }

const (
	boxText   = 7.5
	boxDetail = 6.2
	arrowGap  = 9.0 // between boxes: an arrow
	headSize  = 3.2
	forkGap   = 5.0 // from a box to where a branch leaves
	sumRadius = 4.2
	framePad  = 5.0
	skipRoom  = 9.0 // right of the boxes for the stream that goes past them
	manyStep  = 2.2
)

func (p diagramPlot) margin(float64) margin { return margin{top: 2} }

func (p diagramPlot) height(w float64) float64 {
	d := newDrawing(nil, rect{0, 0, w, 0}, p.Flow)
	return -d.draw(p.Flow)
}

func (p diagramPlot) draw(c *canvas, r rect, _ bool) {
	newDrawing(c, r, p.Flow).draw(p.Flow)
}

// A drawing draws a flow, or only measures it if it has no canvas.
type drawing struct {
	c          *canvas
	x0, x1, cx float64 // the boxes' sides, and the stream in their middle
	bottom     float64
}

func newDrawing(c *canvas, r rect, flow []Node) drawing {
	d := drawing{c: c, x0: r.x0 + framePad, x1: r.x1 - framePad - skipRoom, bottom: r.y1}
	d.x0 += timesRoom(flow)
	if most := 110.0; d.x1-d.x0 > most { // one panel alone
		mid := (r.x0 + r.x1) / 2
		d.x0, d.x1 = mid-most/2, mid+most/2
	}
	d.cx = (d.x0 + d.x1) / 2
	return d
}

// timesRoom is the room left of the frames of a flow for how often they repeat.
func timesRoom(flow []Node) float64 {
	room := 0.0
	for _, n := range flow {
		if n.Repeat != nil {
			room = max(room, textWidth(timesOf(*n.Repeat), sizeText)+3, timesRoom(n.Repeat.Flow))
		}
	}
	return room
}

func timesOf(r Repeat) string { return fmt.Sprintf("%d ×", r.Times) }

// draw returns the top of what it drew.
func (d drawing) draw(flow []Node) float64 {
	y := d.flow(flow, d.bottom, 0)
	d.arrow(xy{d.cx, y}, xy{d.cx, y - arrowGap})
	return y - arrowGap
}

// flow draws nodes upward from y, where the stream arrives, and returns where it leaves.
func (d drawing) flow(nodes []Node, y float64, depth int) float64 {
	for _, n := range nodes {
		switch {
		case n.Box != nil:
			y = d.boxAbove(*n.Box, d.x0, d.x1, y)
		case n.Add != nil && len(n.Add.Branches) == 1:
			y = d.addOne(n.Add.Branches[0], y)
		case n.Add != nil:
			y = d.addTwo(n.Add.Branches[0], n.Add.Branches[1], y)
		default:
			y = d.repeat(*n.Repeat, y, depth)
		}
	}
	return y
}

// boxAbove draws an arrow up from y and the box that it leads to, and returns its top.
func (d drawing) boxAbove(b Box, x0, x1, y float64) float64 {
	mid := (x0 + x1) / 2
	d.arrow(xy{mid, y}, xy{mid, y - arrowGap})
	y -= arrowGap
	room := x1 - x0 - 5
	detail := wrapParts(b.Detail, boxDetail, room)
	h := 7 + boxText*capHeight
	if len(detail) > 0 {
		h += 2.2 + float64(len(detail))*boxDetail*1.2
	}
	r := rect{x0, y - h, x1, y}
	if d.c != nil {
		d.drawBox(b, detail, r, room)
	}
	if b.Many {
		return r.y0 - 2*manyStep
	}
	return r.y0
}

func (d drawing) drawBox(b Box, detail []string, r rect, room float64) {
	inside, edge := b.Tint.tint(), mix(b.Tint.rgba(), okabeIto[Black], 0.25)
	if b.Many {
		for k := 2.0; k > 0; k-- {
			s := k * manyStep
			d.c.box(rect{r.x0 + s, r.y0 - s, r.x1 + s, r.y1 - s}, 2, inside, edge)
		}
	}
	d.c.box(r, 2, inside, edge)
	size := boxText
	if w := textWidth(b.Text, size); w > room {
		size = max(size*room/w, sizeCell)
	}
	mid := (r.x0 + r.x1) / 2
	y := r.y0 + 3.5 + boxText*capHeight
	d.c.text(xy{mid, y}, shorten(b.Text, size, room+2), size, center, ink)
	y += 2.2 + boxDetail*0.2
	for _, line := range detail {
		y += boxDetail * 1.2
		d.c.text(xy{mid, y - boxDetail*0.35}, line, boxDetail, center, muted)
	}
}

// addOne draws a branch on the stream's way and the stream passing it on the right.
func (d drawing) addOne(branch []Box, y float64) float64 {
	fork := y - forkGap
	d.segment(xy{d.cx, y}, xy{d.cx, fork})
	y = fork
	for _, b := range branch {
		y = d.boxAbove(b, d.x0, d.x1, y)
	}
	d.arrow(xy{d.cx, y}, xy{d.cx, y - arrowGap})
	sum := y - arrowGap - sumRadius
	skip := d.x1 + skipRoom - 2
	d.segment(xy{d.cx, fork}, xy{skip, fork}, xy{skip, sum}, xy{d.cx + sumRadius + headSize, sum})
	d.arrow(xy{d.cx + sumRadius + headSize, sum}, xy{d.cx + sumRadius, sum})
	d.plus(sum)
	return sum - sumRadius
}

// addTwo draws two branches on both sides of the stream.
func (d drawing) addTwo(one, two []Box, y float64) float64 {
	const aside = 5.0
	fork := y - forkGap
	half := d.x1 - d.cx + 1
	l0, l1, r0, r1 := d.cx-half, d.cx-aside, d.cx+aside, d.cx+half
	d.segment(xy{d.cx, y}, xy{d.cx, fork})
	d.segment(xy{(l0 + l1) / 2, fork}, xy{(r0 + r1) / 2, fork})
	yl, yr := fork, fork
	for _, b := range one {
		yl = d.boxAbove(b, l0, l1, yl)
	}
	for _, b := range two {
		yr = d.boxAbove(b, r0, r1, yr)
	}
	sum := min(yl, yr) - arrowGap
	d.arrow(xy{d.cx, fork}, xy{d.cx, sum + sumRadius})
	for _, s := range []struct{ x, y, side float64 }{{(l0 + l1) / 2, yl, -1}, {(r0 + r1) / 2, yr, 1}} {
		at := xy{d.cx + s.side*(sumRadius+headSize), sum}
		d.segment(xy{s.x, s.y}, xy{s.x, sum}, at)
		d.arrow(at, xy{d.cx + s.side*sumRadius, sum})
	}
	d.plus(sum)
	return sum - sumRadius
}

// repeat frames a flow and writes how often it repeats on its left.
func (d drawing) repeat(r Repeat, y float64, depth int) float64 {
	inset := float64(depth) * 2
	bottom := y - framePad
	d.segment(xy{d.cx, y}, xy{d.cx, bottom})
	top := d.flow(r.Flow, bottom, depth+1)
	d.segment(xy{d.cx, top}, xy{d.cx, top - framePad})
	top -= framePad
	if d.c != nil {
		frame := rect{d.x0 - framePad + inset, top, d.x1 + skipRoom + framePad - 2 - inset, bottom}
		d.c.frame(frame, 4, 0.7, []float64{2.5, 1.8}, muted)
		d.c.middle(xy{frame.x0 - 2.5 - inset, (top + bottom) / 2}, timesOf(r), sizeText, right, ink)
	}
	return top
}

func (d drawing) segment(ps ...xy) {
	if d.c != nil {
		d.c.line(0.8, nil, ink, ps...)
	}
}

// arrow draws a line with a head at its end, upward or to a side.
func (d drawing) arrow(from, to xy) {
	if d.c == nil {
		return
	}
	dx, dy := sign(to.x-from.x), sign(to.y-from.y)
	foot := xy{to.x - dx*headSize, to.y - dy*headSize}
	d.segment(from, foot)
	const half = headSize * 0.5
	d.c.fill(ink, to, xy{foot.x + dy*half, foot.y + dx*half}, xy{foot.x - dy*half, foot.y - dx*half})
}

func sign(v float64) float64 {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	}
	return 0
}

// plus draws the sign of a sum on the stream.
func (d drawing) plus(y float64) {
	if d.c == nil {
		return
	}
	d.c.disc(xy{d.cx, y}, sumRadius, paper, 0.8, ink)
	const half = 2.2
	d.c.line(0.8, nil, ink, xy{d.cx - half, y}, xy{d.cx + half, y})
	d.c.line(0.8, nil, ink, xy{d.cx, y - half}, xy{d.cx, y + half})
}
