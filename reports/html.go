package reports

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"quadrant/reports/chart"
	"quadrant/results"
)

// A Page is figures and tables with what is needed to judge and to repeat them.
type Page struct {
	Title   string
	Command string           // that draws this page again: "quadrant figure --in results.jsonl"
	Sources []string         // the files that the results are from
	Results []results.Result // what the figures were made of: the page lists machines and models
	Figures []PageFigure
	Tables  []Table
}

// A PageFigure is a figure on a page, or the reason why it is missing.
type PageFigure struct {
	Figure Figure
	Chart  Chart
	Err    error    // of Figure.Make
	Files  []string // the picture in other formats, relative to the page
}

//go:embed page.html
var pageHTML string

// WriteIndex writes the page as one HTML file that needs no other and no network.
func WriteIndex(w io.Writer, p Page) error {
	view, err := newPageView(p)
	if err != nil {
		return err
	}
	t, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return fmt.Errorf("reports: page: %w", err)
	}
	return t.Execute(w, view)
}

// A pageView is a page in the words of its template.
type pageView struct {
	Title, Command   string
	Sources          []string
	Machines, Models tableView
	Figures          []figureView
	Tables           []tableView
	Missing          []missingView
}

type figureView struct {
	Name, Title, Caption string
	Wide                 bool
	SVG                  template.HTML
	Files                []string
	Tables               []tableView
}

type tableView struct {
	Caption string
	Columns []Column
	Heads   []string
	Rows    [][]Cell
}

type missingView struct{ Title, Reason string }

func newPageView(p Page) (pageView, error) {
	v := pageView{Title: p.Title, Command: p.Command, Sources: p.Sources}
	for _, f := range p.Figures {
		if f.Err != nil {
			v.Missing = append(v.Missing, missingView{f.Figure.Title, strings.TrimPrefix(f.Err.Error(), "reports: ")})
			continue
		}
		fv, err := newFigureView(f)
		if err != nil {
			return v, err
		}
		v.Figures = append(v.Figures, fv)
	}
	v.Machines, v.Models = viewOf(machinesTable(p.Results)), viewOf(modelsTable(p.Results))
	for _, t := range p.Tables {
		if err := t.check(); err != nil {
			return v, err
		}
		v.Tables = append(v.Tables, viewOf(t))
	}
	return v, nil
}

func newFigureView(f PageFigure) (figureView, error) {
	c := f.Chart
	v := figureView{Name: f.Figure.Name, Title: c.Title, Caption: c.Caption, Wide: c.Width == chart.Double, Files: f.Files}
	for _, t := range Numbers(c) {
		v.Tables = append(v.Tables, viewOf(t))
	}
	c.Note = "" // the caption under it says the same
	svg, err := c.InlineSVG()
	if err != nil {
		return v, fmt.Errorf("reports: %s: %w", f.Figure.Name, err)
	}
	v.SVG = template.HTML(svg) // drawn by us, its texts escaped
	return v, nil
}

func viewOf(t Table) tableView { return tableView{t.Caption, t.Columns, t.headings(), t.Rows} }

// machinesTable has a row for each environment in which something was measured.
func machinesTable(rs []results.Result) Table {
	t := Table{Columns: []Column{
		{Key: "device", Name: "Device"}, {Key: "cpu", Name: "CPU"}, {Key: "host", Name: "Host"},
		{Key: "cores", Name: "Cores", Right: true}, {Key: "threads", Name: "Threads", Right: true},
		{Key: "os", Name: "System"}, {Key: "go", Name: "Go"}, {Key: "commit", Name: "Commit"},
		{Key: "date", Name: "Date"}, {Key: "load", Name: "Load before", Right: true}, {Key: "results", Name: "Results", Right: true},
	}}
	for _, g := range group(rs, func(r results.Result) results.Env {
		e := r.Env
		e.Time, e.Load = "", 0
		return e
	}) {
		e := g[0].Env
		least, most := e.Load, e.Load
		for _, r := range g {
			least, most = min(least, r.Env.Load), max(most, r.Env.Load)
		}
		load := fmt.Sprintf("%.1f", most)
		if least != most {
			load = fmt.Sprintf("%.1f to %.1f", max(least, 0), most)
		}
		if most < 0 {
			load = "unknown"
		}
		t.Rows = append(t.Rows, []Cell{
			Text(e.Device), Text(e.CPU), Text(e.Host), Int(e.Cores), Int(e.Threads), Text(e.OS), Text(e.Go),
			Text(shortCommit(g[0])), Text(dates(g)), {load, most}, Int(len(g)),
		})
	}
	return t
}

// modelsTable has a row for each model measured.
func modelsTable(rs []results.Result) Table {
	t := Table{Columns: []Column{
		{Key: "model", Name: "Model"}, {Key: "family", Name: "Family"},
		{Key: "params_total", Name: "Parameters", Right: true}, {Key: "params_active", Name: "Active per token", Right: true},
		{Key: "dtype", Name: "Type"}, {Key: "weights", Name: "Weights"},
	}}
	for _, l := range lines(rs) {
		if l.model.name == "" { // measurements of operations
			continue
		}
		var own []results.Result
		for _, r := range rs {
			if modelOf(r) == l.model {
				own = append(own, r)
			}
		}
		f, _ := familyOf(l.model.family)
		t.Rows = append(t.Rows, []Cell{
			Text(l.model.name), Text(f.title), {count(l.model.total), l.model.total}, {count(l.model.active), l.model.active},
			Text(list(own, "not recorded", byDType)), Text(l.model.weights),
		})
	}
	return t
}
