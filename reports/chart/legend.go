package chart

// A legend is the strip of keys above the panels: it never lies on data.
type legend struct {
	series  []Series
	under   bool    // notes stand under names, not beside them
	notes   float64 // where notes beside names start, counted from the names; 0 is after each
	columns int
	column  float64 // width of one
	row     float64 // height of one
}

const (
	keyWidth = 18.0
	keyGap   = 4.0
	noteGap  = 5.0  // between a name and the note beside it
	gapKeys  = 12.0 // between columns
)

// newLegend collects the series of all panels, each name once, and lays them out in the
// lower of two ways: notes beside names or under them.
func newLegend(c Chart, width float64) legend {
	var all []Series
	seen := map[string]bool{}
	for _, p := range c.Panels {
		if p.Lines == nil {
			continue
		}
		for _, s := range p.Lines.Series {
			if !seen[s.Name] {
				seen[s.Name] = true
				all = append(all, s)
			}
		}
	}
	beside, under := newKeys(all, false, width), newKeys(all, true, width)
	if beside.column > width || under.height() < beside.height() {
		return under
	}
	return beside
}

// newKeys lays keys out in as many columns of equal width as there is room for. Beside
// names, notes start in line if that fits.
func newKeys(all []Series, under bool, width float64) legend {
	l := legend{series: all, under: under, row: sizeText*lineHeight + 0.5}
	if under {
		l.row += sizeSmall*lineHeight + 0.5
	}
	var ragged, names, notes float64 // widths
	for _, s := range all {
		name, note := textWidth(s.Name, sizeText), textWidth(s.Note, sizeSmall)
		names, notes = max(names, name), max(notes, note)
		ragged = max(ragged, name+noteGap+note)
	}
	switch inOrder := names + noteGap + notes; {
	case under:
		l.column = max(names, notes)
	case notes == 0:
		l.column = names
	case keyWidth+keyGap+inOrder <= width:
		l.column, l.notes = inOrder, names+noteGap
	default:
		l.column = ragged
	}
	l.column += keyWidth + keyGap
	n := len(all)
	l.columns = max(1, min(n, int((width+gapKeys)/(l.column+gapKeys))))
	rows := (n + l.columns - 1) / l.columns
	if rows > 0 {
		l.columns = (n + rows - 1) / rows // as even as can be
	}
	if under {
		l.column = min(l.column, width)
	}
	return l
}

func (l legend) height() float64 {
	return float64((len(l.series)+l.columns-1)/l.columns) * l.row
}

// draw writes keys column by column.
func (l legend) draw(c *canvas, at xy) {
	rows := (len(l.series) + l.columns - 1) / l.columns
	for i, s := range l.series {
		x := at.x + float64(i/rows)*(l.column+gapKeys)
		y := at.y + float64(i%rows)*l.row + sizeText*0.6
		if s.Look.Dash != NoLine {
			c.line(strokeLine, dashes[s.Look.Dash], s.Look.rgba(), xy{x, y}, xy{x + keyWidth, y})
		}
		c.mark(xy{x + keyWidth/2, y}, s.Look)
		room := l.column - keyWidth - keyGap
		x += keyWidth + keyGap
		name := shorten(s.Name, sizeText, room)
		c.middle(xy{x, y}, name, sizeText, left, ink)
		if l.under {
			c.text(xy{x, y + sizeText*0.5 + sizeSmall}, shorten(s.Note, sizeSmall, room), sizeSmall, left, muted)
		} else {
			aside := l.notes
			if aside == 0 {
				aside = textWidth(name, sizeText) + noteGap
			}
			c.text(xy{x + aside, y + sizeText*capHeight/2}, s.Note, sizeSmall, left, muted)
		}
	}
}
