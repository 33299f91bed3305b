package reports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"quadrant/reports/chart"
	"quadrant/results"
)

// A family is one of the architectures compared: what it is called and how its lines
// look, in every figure the same. Colours go by the sequence mixer; dense ones are dashed
// with hollow marks, those with experts are solid.
type family struct {
	name  string // in results
	title string
	look  chart.Look
	marks []chart.Mark // of its first model, its second, …
}

// families are in the order that figures show them.
var families = []family{
	{"transformer", "Dense transformer", chart.Look{Color: chart.Sky, Dash: chart.Dashed, Hollow: true}, []chart.Mark{chart.Circle, chart.Down, chart.Square, chart.Pentagon}},
	{"mamba", "Dense Mamba", chart.Look{Color: chart.Orange, Dash: chart.Dashed, Hollow: true}, []chart.Mark{chart.Triangle, chart.Diamond, chart.Pentagon, chart.Square}},
	{"transformer-moe", "Transformer-MoE", chart.Look{Color: chart.Blue}, []chart.Mark{chart.Square, chart.Pentagon, chart.Circle, chart.Triangle}},
	{"mamba-moe", "Mamba-MoE", chart.Look{Color: chart.Vermillion}, []chart.Mark{chart.Diamond, chart.Down, chart.Triangle, chart.Circle}},
	{"hybrid", "Hybrid", chart.Look{Color: chart.Green, Dash: chart.DashDot}, []chart.Mark{chart.Pentagon, chart.Circle, chart.Square, chart.Diamond}},
}

// familyOf returns the family called name and its place in the order. One that is not in
// the table has its own name and is last.
func familyOf(name string) (family, int) {
	for i, f := range families {
		if f.name == name {
			return f, i
		}
	}
	return family{name, name, chart.Look{Color: chart.Gray, Dash: chart.Dotted}, []chart.Mark{chart.Cross, chart.Triangle, chart.Square, chart.Circle}}, len(families)
}

// A model is what makes results those of one line.
type model struct {
	name, family, weights string
	total, active         int64
}

func modelOf(r results.Result) model {
	s := r.Subject
	return model{s.Model, s.Family, s.Weights, s.Total, s.Active}
}

// A line is a model as figures show it.
type line struct {
	model model
	name  string // unlike that of any other line
	note  string
	look  chart.Look
}

// lines returns the models of rs in the order of families and sizes.
func lines(rs []results.Result) []line {
	var all []line
	for _, g := range group(rs, modelOf) {
		all = append(all, line{model: modelOf(g[0])})
	}
	slices.SortFunc(all, func(a, b line) int {
		_, i := familyOf(a.model.family)
		_, j := familyOf(b.model.family)
		return cmp.Or(cmp.Compare(i, j), cmp.Compare(a.model.total, b.model.total),
			cmp.Compare(a.model.name, b.model.name), cmp.Compare(a.model.weights, b.model.weights),
			cmp.Compare(a.model.active, b.model.active), cmp.Compare(a.model.family, b.model.family))
	})
	before := map[string]int{} // lines of each family
	for i := range all {
		m := all[i].model
		f, _ := familyOf(m.family)
		all[i].look = f.variant(before[m.family])
		before[m.family]++
		all[i].note = strings.TrimPrefix(f.title+", "+shortSize(m), ", ")
		all[i].name = unlike(m, all)
	}
	return all
}

// variant is the look of the k-th model of a family: the same colour, darker or lighter,
// with another mark.
func (f family) variant(k int) chart.Look {
	l := f.look
	l.Shade = k
	l.Mark = f.marks[k%len(f.marks)]
	return l
}

// unlike is m's name with what tells it from other models of the same name.
func unlike(m model, all []line) string {
	weights, params := false, false
	for _, o := range all {
		if o.model.name != m.name || o.model == m {
			continue
		}
		if o.model.weights != m.weights {
			weights = true
		} else {
			params = true
		}
	}
	name := m.name
	if weights {
		name += ", " + m.weights
	}
	if params {
		name += fmt.Sprintf(" (%d parameters, %d active)", m.total, m.active)
	}
	return name
}

// size is a model's number of weights in words.
func size(m model) string {
	switch {
	case m.total == 0:
		return "size not recorded"
	case m.active == 0 || m.active == m.total:
		return count(m.total) + " parameters"
	}
	return count(m.total) + " parameters, " + count(m.active) + " active"
}

// shortSize is size as the paper writes it: total, or active/total.
func shortSize(m model) string {
	switch {
	case m.total == 0:
		return "size not recorded"
	case m.active == 0 || m.active == m.total:
		return count(m.total)
	}
	return count(m.active) + "/" + count(m.total)
}

// count writes a number in three digits: 44.1M, 1.46B.
func count(n int64) string {
	for _, u := range []struct {
		factor float64
		name   string
	}{{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "k"}} {
		if v := float64(n) / u.factor; v >= 0.9995 {
			switch {
			case v < 9.995:
				return fmt.Sprintf("%.2f%s", v, u.name)
			case v < 99.95:
				return fmt.Sprintf("%.1f%s", v, u.name)
			}
			return fmt.Sprintf("%.0f%s", v, u.name)
		}
	}
	return fmt.Sprint(n)
}

// series makes one series for each line that has results here; points makes its points.
func series(all []line, rs []results.Result, points func([]results.Result) ([]chart.Point, error)) ([]chart.Series, error) {
	var ss []chart.Series
	for _, l := range all {
		own := slices.DeleteFunc(slices.Clone(rs), func(r results.Result) bool { return modelOf(r) != l.model })
		if len(own) == 0 {
			continue
		}
		ps, err := points(own)
		if err != nil {
			return nil, err
		}
		if len(ps) > 0 {
			ss = append(ss, chart.Series{Name: l.name, Note: l.note, Look: l.look, Points: ps})
		}
	}
	return ss, nil
}
