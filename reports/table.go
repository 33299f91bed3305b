package reports

import (
	"fmt"
	"math"
	"strconv"

	"quadrant/reports/chart"
)

// A Table is numbers in rows, to be written in any format of [Formats].
type Table struct {
	Caption string
	Columns []Column
	Rows    [][]Cell // as many cells in each as there are columns
}

// A Column says what stands below it.
type Column struct {
	Key   string // for machines, in CSV and JSON: "median_s"
	Name  string // for people
	Unit  string // after the name, in brackets; "" is none
	Right bool   // align to the right: numbers
}

// A Cell is a value as a person reads it and as it is. The zero Cell is empty.
type Cell struct {
	Text string
	Raw  any // string, int, int64, float64, bool or nil, in base units
}

// Text returns the cell of a string.
func Text(s string) Cell { return Cell{s, s} }

// Int returns the cell of a whole number.
func Int[T int | int64](n T) Cell { return Cell{strconv.FormatInt(int64(n), 10), int64(n)} }

// Number returns the cell of a number, written with a number of decimals.
func Number(v float64, decimals int) Cell {
	return Cell{strconv.FormatFloat(v, 'f', decimals, 64), v}
}

// Quantity returns the cell of a number in a base unit, written in three digits with the
// prefix that fits: 0.0123 "s" is 12.3 ms.
func Quantity(v float64, unit string) Cell { return Cell{chart.Quantity(v, unit), v} }

// check returns the first thing that keeps t from being written.
func (t Table) check() error {
	keys := map[string]bool{}
	for i, c := range t.Columns {
		if c.Key == "" || keys[c.Key] {
			return fmt.Errorf("reports: table %q: column %d has key %q, want one of its own", t.Caption, i, c.Key)
		}
		keys[c.Key] = true
	}
	for i, row := range t.Rows {
		if len(row) != len(t.Columns) {
			return fmt.Errorf("reports: table %q: row %d has %d cells for %d columns", t.Caption, i, len(row), len(t.Columns))
		}
		for j, cell := range row {
			switch v := cell.Raw.(type) {
			case nil, string, int, int64, bool:
			case float64:
				if math.IsNaN(v) || math.IsInf(v, 0) {
					return fmt.Errorf("reports: table %q: row %d, column %q is %v, want a number or an empty cell", t.Caption, i, t.Columns[j].Key, v)
				}
			default:
				return fmt.Errorf("reports: table %q: row %d, column %q has a raw value of type %T", t.Caption, i, t.Columns[j].Key, v)
			}
		}
	}
	return nil
}

// heading is a column's name with its unit.
func (c Column) heading() string {
	if c.Unit == "" {
		return c.Name
	}
	return c.Name + " (" + c.Unit + ")"
}
