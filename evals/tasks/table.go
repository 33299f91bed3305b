package tasks

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// A Baseline is another's scores in a task, for a column of their own.
type Baseline struct {
	Name  string
	Score func(task string, m Metric) (float64, bool)
}

// Table is the table that the harness prints, in Markdown, with a column for each
// baseline.
func Table(runs []TaskRun, baselines ...Baseline) string {
	header := []string{"Tasks", "Version", "Filter", "n-shot", "Metric", "", "Value", "", "Stderr"}
	right := []bool{false, true, false, true, false, false, true, false, true}
	for _, b := range baselines {
		header, right = append(header, b.Name), append(right, true)
	}
	var rows [][]string
	for _, r := range runs {
		name, version := r.Task.Name, fmt.Sprintf("%.4g", r.Task.Version)
		for _, s := range r.Scores {
			arrow := "↓"
			if s.Metric.HigherIsBetter() {
				arrow = "↑"
			}
			stderr := "N/A"
			if !math.IsNaN(s.StdErr) {
				stderr = fmt.Sprintf("%.4f", s.StdErr)
			}
			row := []string{name, version, filter, fmt.Sprint(r.Shots), string(s.Metric), arrow, fmt.Sprintf("%.4f", s.Value), "±", stderr}
			for _, b := range baselines {
				cell := ""
				if v, ok := b.Score(r.Task.Name, s.Metric); ok {
					cell = fmt.Sprintf("%.4f", v)
				}
				row = append(row, cell)
			}
			rows = append(rows, row)
			name, version = "", "" // once for a task
		}
	}
	return markdown(header, right, rows)
}

// markdown lays a table out as the harness's library does: headers in the middle.
func markdown(header []string, right []bool, rows [][]string) string {
	width := make([]int, len(header))
	for i, h := range header {
		width[i] = max(3, utf8.RuneCountInString(h))
		for _, row := range rows {
			width[i] = max(width[i], utf8.RuneCountInString(row[i]))
		}
	}
	var b strings.Builder
	line := func(cell func(i int) string) {
		for i := range header {
			b.WriteString("|" + cell(i))
		}
		b.WriteString("|\n")
	}
	line(func(i int) string {
		room := width[i] - utf8.RuneCountInString(header[i])
		return strings.Repeat(" ", room/2) + header[i] + strings.Repeat(" ", room-room/2)
	})
	line(func(i int) string {
		if right[i] {
			return strings.Repeat("-", width[i]-1) + ":"
		}
		return strings.Repeat("-", width[i])
	})
	for _, row := range rows {
		line(func(i int) string {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(row[i]))
			if right[i] {
				return pad + row[i]
			}
			return row[i] + pad
		})
	}
	return b.String()
}
