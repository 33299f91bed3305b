package reports

import (
	"cmp"
	"fmt"
	"math"
	"strings"

	"quadrant/reports/chart"
)

// Numbers are the values that a chart shows: one table for all its lines, one for each
// panel of shares or of a heat map. A diagram has none.
func Numbers(c Chart) []Table {
	var tables []Table
	var lines []chart.Panel
	for _, p := range c.Panels {
		switch {
		case p.Lines != nil:
			lines = append(lines, p)
		case p.Shares != nil:
			tables = append(tables, sharesTable(p))
		case p.Heat != nil:
			tables = append(tables, heatTable(p))
		}
	}
	if len(lines) > 0 {
		tables = append(tables, linesTable(lines))
	}
	return tables
}

// key is a label in the form of a column's key.
func key(words ...string) string {
	s := strings.ToLower(strings.Join(words, " "))
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9')
	}), "_")
}

// linesTable has a row for each point; panels have the axes of the first.
func linesTable(panels []chart.Panel) Table {
	x, y := panels[0].X, panels[0].Y
	of := cmp.Or(panels[0].Lines.Of, "Model")
	t := Table{Columns: []Column{
		{Key: key(of), Name: of},
		{Key: key(x.Label), Name: x.Label, Right: true},
		{Key: key(y.Label, y.Unit), Name: y.Label, Right: true},
	}}
	sampled, several := false, len(panels) > 1
	for _, p := range panels {
		for _, s := range p.Lines.Series {
			for _, pt := range s.Points {
				sampled = sampled || pt.N > 0
			}
		}
	}
	if sampled {
		t.Columns = append(t.Columns,
			Column{Key: "low_" + y.Unit, Name: "From", Right: true}, Column{Key: "high_" + y.Unit, Name: "To", Right: true},
			Column{Key: "coverage", Name: "Coverage", Right: true}, Column{Key: "runs", Name: "Runs", Right: true})
	}
	if several {
		t.Columns = append([]Column{{Key: "setting", Name: "Setting"}}, t.Columns...)
	}
	for _, p := range panels {
		for _, s := range p.Lines.Series {
			for _, pt := range s.Points {
				row := []Cell{Text(s.Name), {fmt.Sprintf("%.6g", pt.X), pt.X}, Quantity(pt.Y, y.Unit)}
				if sampled {
					row = append(row, Quantity(pt.Lo, y.Unit), Quantity(pt.Hi, y.Unit), Cell{percent(pt.Coverage), pt.Coverage}, Int(pt.N))
				}
				if several {
					row = append([]Cell{Text(p.Title)}, row...)
				}
				t.Rows = append(t.Rows, row)
			}
		}
	}
	return t
}

// sharesTable has a row for each bar.
func sharesTable(p chart.Panel) Table {
	s := p.Shares
	t := Table{Caption: p.Title, Columns: []Column{{Key: key(p.X.Label), Name: p.X.Label, Right: true}}}
	for _, part := range s.Parts {
		t.Columns = append(t.Columns, Column{Key: key(s.Legend, part), Name: s.Legend + " " + part, Unit: "%", Right: true})
	}
	for i, bar := range s.Bars {
		row := []Cell{Text(bar)}
		for _, v := range s.Share[i] {
			row = append(row, ifNumber(v, Cell{fmt.Sprintf("%.1f", 100*v), v}))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// heatTable has a row for each row of the heat map, from the top.
func heatTable(p chart.Panel) Table {
	h := p.Heat
	t := Table{Caption: p.Title, Columns: []Column{{Key: key(p.Y.Label), Name: p.Y.Label, Right: true}}}
	for _, c := range h.Columns {
		t.Columns = append(t.Columns, Column{Key: key(p.X.Label, c), Name: p.X.Label + " " + c, Right: true})
	}
	for i := len(h.Rows) - 1; i >= 0; i-- {
		row := []Cell{Text(h.Rows[i])}
		for _, v := range h.Value[i] {
			row = append(row, ifNumber(v, Cell{chart.Ratio(v), v}))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func ifNumber(v float64, c Cell) Cell {
	if math.IsNaN(v) {
		return Cell{}
	}
	return c
}
