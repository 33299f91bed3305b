package main

import (
	"fmt"
	"io"
	"strconv"

	"quadrant/internal/atomicfile"
	"quadrant/reports"
)

func checkFormat(format string) error { return misuse(reports.CheckFormat(format)) }

// table writes t to standard output.
func (a *app) table(t reports.Table, format string) error { return t.Write(a.stdout, format) }

// output lets write fill the file called out, whole or not at all, or standard output where
// none is named.
func (a *app) output(out string, write func(io.Writer) error) error {
	if out == "" {
		return write(a.stdout)
	}
	return atomicfile.Write(out, write)
}

// textColumn and numberColumn are columns of a table.
func textColumn(key, name string) reports.Column { return reports.Column{Key: key, Name: name} }

func numberColumn(key, name string) reports.Column {
	return reports.Column{Key: key, Name: name, Right: true}
}

// count is a whole number with its digits in groups of three.
func count[T int | int64](n T) reports.Cell {
	digits := strconv.FormatInt(int64(n), 10)
	text := ""
	for len(digits) > 3 && digits[len(digits)-4] != '-' {
		text = "," + digits[len(digits)-3:] + text
		digits = digits[:len(digits)-3]
	}
	return reports.Cell{Text: digits + text, Raw: int64(n)}
}

// byteSize is a size with a binary prefix.
func byteSize(n int64) reports.Cell {
	return reports.Cell{Text: reports.Quantity(float64(n), "B").Text, Raw: n}
}

// flopCount is a number of FLOPs: short for people, whole for machines.
func flopCount(n int64) reports.Cell {
	return reports.Cell{Text: fmt.Sprintf("%.4g", float64(n)), Raw: n}
}
