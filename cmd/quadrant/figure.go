package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"quadrant/internal/atomicfile"
	"quadrant/reports"
	"quadrant/reports/chart"
	"quadrant/results"
)

func newFigure(a *app) *cobra.Command {
	var files, formats []string
	var out string
	var list bool
	cmd := &cobra.Command{
		Use:   "figure [NAME ...]",
		Short: "Draw figures from files of results",
		Long: `Draws figures from results and nothing else, so that a figure can be redrawn on any
machine from the file that it was measured into. Without names it draws every figure
that the results hold something for.

Figures:
` + figureDocs(),
		Example: `  quadrant figure --results quadrant-out/results.jsonl --out figures
  quadrant figure fig5-latency --results runs.jsonl --results others.jsonl --formats svg`,
		RunE: func(_ *cobra.Command, names []string) error {
			if list {
				_, err := io.WriteString(a.stdout, figureDocs())
				return err
			}
			figures, err := figuresNamed(names)
			if err != nil {
				return misuse(err)
			}
			for _, f := range formats {
				if !slices.Contains(chart.Formats(), f) {
					return misusef("--formats %q: want some of %s", f, strings.Join(chart.Formats(), ", "))
				}
			}
			if len(files) == 0 {
				return misusef("no results named: --results takes the files that were measured into")
			}
			var rs []results.Result
			for _, name := range files {
				more, err := results.ReadFile(name)
				if err != nil {
					return fmt.Errorf("results: %w", err)
				}
				rs = append(rs, more...)
			}
			return a.drawFigures(results.Latest(rs), figures, len(names) > 0, out, formats)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&files, "results", nil, "files of results; may be given several times")
	f.StringVar(&out, "out", "figures", "folder to draw into")
	f.StringSliceVar(&formats, "formats", chart.Formats(), "files to draw of each figure, by comma")
	f.BoolVar(&list, "list", false, "list the figures")
	return cmd
}

func figureDocs() (s string) {
	for _, f := range reports.Figures {
		s += fmt.Sprintf("  %-22s %s\n", f.Name, f.Title)
	}
	return s
}

func figuresNamed(names []string) ([]reports.Figure, error) {
	if len(names) == 0 {
		return reports.Figures, nil
	}
	var figures []reports.Figure
	for _, name := range names {
		f, ok := reports.FigureNamed(name)
		if !ok {
			return nil, fmt.Errorf("figure %q is unknown: 'quadrant figure --list' lists them", name)
		}
		figures = append(figures, f)
	}
	return figures, nil
}

// drawFigures draws the figures into out and names their files. Where not all must be
// drawn, those that the results hold nothing for are passed over, but for the last hope.
func (a *app) drawFigures(rs []results.Result, figures []reports.Figure, all bool, out string, formats []string) error {
	if err := os.MkdirAll(out, 0o777); err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	drawn := 0
	for _, f := range figures {
		c, err := f.Make(rs)
		if errors.Is(err, reports.ErrNoData) && !all {
			a.log.Info("not drawn", "figure", f.Name, "why", err)
			continue
		}
		if err != nil {
			return err
		}
		files, err := saveFigure(f, c, out, formats)
		if err != nil {
			return err
		}
		drawn++
		for _, name := range files {
			fmt.Fprintln(a.stdout, filepath.Join(out, name))
		}
	}
	if drawn == 0 {
		return fmt.Errorf("none of %d results is of a metric that a figure shows", len(rs))
	}
	return nil
}

// saveFigure writes a figure's files into the folder out and returns their names.
func saveFigure(f reports.Figure, c reports.Chart, out string, formats []string) ([]string, error) {
	var files []string
	for _, format := range formats {
		name := f.Name + "." + format
		if err := c.Save(filepath.Join(out, name)); err != nil {
			return nil, err
		}
		files = append(files, name)
	}
	return files, nil
}

// report draws every figure that rs hold something for, and the page that shows them.
func (a *app) report(rs []results.Result, out string) error {
	page := reports.Page{
		Title:   "Quadrant: four architectures, measured",
		Command: fmt.Sprintf("quadrant figure --results %s --out %s", filepath.Join(out, resultsName), out),
		Sources: []string{resultsName},
		Results: rs,
	}
	for _, f := range reports.Figures {
		c, err := f.Make(rs)
		pf := reports.PageFigure{Figure: f, Chart: c, Err: err}
		switch {
		case errors.Is(err, reports.ErrNoData): // the page says what is missing
		case err != nil:
			return err
		default:
			if pf.Files, err = saveFigure(f, c, out, chart.Formats()); err != nil {
				return err
			}
		}
		page.Figures = append(page.Figures, pf)
	}
	page.Tables = append(page.Tables, reports.LatencyTable(rs))
	balance, err := reports.BalanceTable(rs)
	switch {
	case err == nil:
		page.Tables = append(page.Tables, balance)
	case !errors.Is(err, reports.ErrNoData):
		return err
	}
	if scores, err := reports.ScoreTable(rs); err == nil {
		page.Tables = append(page.Tables, scores)
	} else if !errors.Is(err, reports.ErrNoData) {
		return err
	}
	if chance, err := reports.ChanceTable(rs); err == nil {
		page.Tables = append(page.Tables, chance)
	} else if !errors.Is(err, reports.ErrNoData) {
		return err
	}
	training, err := reports.TrainingTable(rs)
	switch {
	case err == nil:
		page.Tables = append(page.Tables, training)
	case !errors.Is(err, reports.ErrNoData):
		return err
	}
	if answers, err := reports.AnswersTable(rs, literature); err == nil {
		page.Tables = append(page.Tables, answers)
	} else if !errors.Is(err, reports.ErrNoData) {
		return err
	}
	return atomicfile.Write(filepath.Join(out, "index.html"), func(w io.Writer) error {
		return reports.WriteIndex(w, page)
	})
}
