package reports

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// ErrFormat says that a table cannot be written in the format asked for.
var ErrFormat = errors.New("unknown table format")

// A tableFormat is a way to write a table that has been checked.
type tableFormat struct {
	name  string
	write func(Table, io.Writer) error
}

var tableFormats = []tableFormat{
	{"table", Table.writeTerminal},
	{"md", Table.writeMarkdown},
	{"csv", Table.writeCSV},
	{"json", Table.writeJSON},
	{"jsonl", Table.writeJSONL},
}

// Formats names the formats of tables, for help: table is for terminals; csv, json and
// jsonl hold raw values in base units under the columns' keys.
func Formats() string {
	var names []string
	for _, f := range tableFormats {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

// CheckFormat returns an error that wraps [ErrFormat] unless format is one of [Formats]: a
// command asks before it measures for an hour.
func CheckFormat(format string) error {
	for _, f := range tableFormats {
		if f.name == format {
			return nil
		}
	}
	return fmt.Errorf("%w %q: want one of %s", ErrFormat, format, Formats())
}

// Write writes t in a format of [Formats].
func (t Table) Write(w io.Writer, format string) error {
	if err := CheckFormat(format); err != nil {
		return err
	}
	if err := t.check(); err != nil {
		return err
	}
	var b bytes.Buffer
	for _, f := range tableFormats {
		if f.name == format {
			if err := f.write(t, &b); err != nil {
				return fmt.Errorf("reports: table %q as %s: %w", t.Caption, format, err)
			}
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (t Table) headings() []string {
	var names []string
	for _, c := range t.Columns {
		names = append(names, c.heading())
	}
	return names
}

func (t Table) writeTerminal(w io.Writer) error {
	if t.Caption != "" {
		fmt.Fprintf(w, "%s\n\n", t.Caption)
	}
	var b bytes.Buffer
	align := make(tw.Alignment, len(t.Columns))
	for i, c := range t.Columns {
		align[i] = tw.AlignLeft
		if c.Right {
			align[i] = tw.AlignRight
		}
	}
	out := tablewriter.NewTable(&b,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders: tw.BorderNone,
			Symbols: tw.NewSymbols(tw.StyleLight),
			Settings: tw.Settings{
				Separators: tw.SeparatorsNone,
				Lines:      tw.Lines{ShowTop: tw.Off, ShowBottom: tw.Off, ShowHeaderLine: tw.On, ShowFooterLine: tw.Off},
			},
		})),
		tablewriter.WithHeaderAutoFormat(tw.Off), // it would write ACC NORM for acc_norm
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithAlignment(align),
		tablewriter.WithPadding(tw.Padding{Right: "  ", Overwrite: true}),
	)
	out.Header(t.headings())
	for _, row := range t.Rows {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = oneLine(c.Text)
		}
		if err := out.Append(cells); err != nil {
			return err
		}
	}
	if err := out.Render(); err != nil {
		return err
	}
	for line := range strings.Lines(b.String()) {
		fmt.Fprintln(w, strings.TrimRight(line, " \n"))
	}
	return nil
}

// oneLine is s without line breaks, which end a cell.
func oneLine(s string) string { return strings.Join(strings.FieldsFunc(s, isBreak), " ") }

func isBreak(r rune) bool { return r == '\n' || r == '\r' }

func (t Table) writeMarkdown(w io.Writer) error {
	escape := strings.NewReplacer(`\`, `\\`, "|", `\|`, "<", "&lt;", "*", `\*`, "_", `\_`, "`", "\\`")
	if t.Caption != "" {
		fmt.Fprintf(w, "%s\n\n", escape.Replace(oneLine(t.Caption)))
	}
	line := func(cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }
	var heads, rules []string
	for i, h := range t.headings() {
		heads = append(heads, escape.Replace(oneLine(h)))
		rules = append(rules, map[bool]string{true: "---:", false: ":---"}[t.Columns[i].Right])
	}
	line(heads)
	line(rules)
	for _, row := range t.Rows {
		var cells []string
		for _, c := range row {
			cells = append(cells, escape.Replace(oneLine(c.Text)))
		}
		line(cells)
	}
	return nil
}

func (t Table) writeCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	var record []string
	for _, c := range t.Columns {
		record = append(record, c.Key)
	}
	out.Write(record) // errors are kept for Error
	for _, row := range t.Rows {
		record = record[:0]
		for _, c := range row {
			record = append(record, plain(c.Raw))
		}
		out.Write(record)
	}
	out.Flush()
	return out.Error()
}

// plain writes a raw value in full.
func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(v)
}

// object is a row as a JSON object whose keys are in the order of the columns.
func (t Table) object(row []Cell) ([]byte, error) {
	var b bytes.Buffer
	for i, c := range row {
		key, err := json.Marshal(t.Columns[i].Key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(c.Raw)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s%s:%s", map[bool]string{true: "{", false: ","}[i == 0], key, value)
	}
	if len(row) == 0 {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func (t Table) writeJSON(w io.Writer) error {
	for i, row := range t.Rows {
		o, err := t.object(row)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s%s", map[bool]string{true: "[\n  ", false: ",\n  "}[i == 0], o)
	}
	if len(t.Rows) == 0 {
		fmt.Fprint(w, "[")
	}
	_, err := fmt.Fprint(w, "\n]\n")
	return err
}

func (t Table) writeJSONL(w io.Writer) error {
	for _, row := range t.Rows {
		o, err := t.object(row)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\n", o)
	}
	return nil
}
