package python

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// An Object is a dict: its fields in the order in which they were put there.
type Object []Field

// A Field is an entry of an Object.
type Field struct {
	Name  string
	Value any
}

// Get returns the value of the field called name, or nil.
func (o Object) Get(name string) any {
	for _, f := range o {
		if f.Name == name {
			return f.Value
		}
	}
	return nil
}

// A JSON writes values as json.dumps does. The zero JSON is json.dumps(v,
// ensure_ascii=False).
type JSON struct {
	ASCII  bool // ensure_ascii
	Indent int  // spaces of a level, 0 for one line
}

// Dumps returns the JSON of v: nil, a bool, string, int, int64, float64, json.Number,
// Object, or a slice of strings, ints, float64s, Objects or any of these.
func (j JSON) Dumps(v any) (string, error) {
	w := jsonWriter{JSON: j}
	w.value(v, 0)
	return w.String(), w.err
}

type jsonWriter struct {
	JSON
	bytes.Buffer
	err error
}

func (w *jsonWriter) value(v any, depth int) {
	switch v := v.(type) {
	case nil:
		w.WriteString("null")
	case bool:
		w.WriteString(strconv.FormatBool(v))
	case string:
		w.text(v)
	case int:
		w.WriteString(strconv.Itoa(v))
	case int64:
		w.WriteString(strconv.FormatInt(v, 10))
	case json.Number:
		w.WriteString(number(v))
	case float64:
		w.WriteString(Float(v))
	case Object:
		list(w, v, depth, '{', '}', func(f Field) { w.text(f.Name); w.WriteString(": "); w.value(f.Value, depth+1) })
	case []any:
		list(w, v, depth, '[', ']', func(e any) { w.value(e, depth+1) })
	case []string:
		list(w, v, depth, '[', ']', func(e string) { w.text(e) })
	case []int:
		list(w, v, depth, '[', ']', func(e int) { w.value(e, depth+1) })
	case []float64:
		list(w, v, depth, '[', ']', func(e float64) { w.value(e, depth+1) })
	case []Object:
		list(w, v, depth, '[', ']', func(e Object) { w.value(e, depth+1) })
	default:
		w.err = fmt.Errorf("python: no JSON for a %T", v)
	}
}

func list[T any](w *jsonWriter, items []T, depth int, open, end byte, item func(T)) {
	w.WriteByte(open)
	for i, e := range items {
		switch {
		case i > 0 && w.Indent == 0:
			w.WriteString(", ")
		case i > 0:
			w.WriteByte(',')
		}
		w.line(depth + 1)
		item(e)
	}
	if len(items) > 0 {
		w.line(depth)
	}
	w.WriteByte(end)
}

func (w *jsonWriter) line(depth int) {
	if w.Indent > 0 {
		w.WriteByte('\n')
		w.WriteString(strings.Repeat(" ", depth*w.Indent))
	}
}

// escapes are the characters that have short ones.
var escapes = map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\f': `\f`, '\b': `\b`}

func (w *jsonWriter) text(s string) {
	w.WriteByte('"')
	for _, r := range s {
		short, ok := escapes[r]
		switch {
		case ok:
			w.WriteString(short)
		case r < ' ' || w.ASCII && r > '~' && r <= 0xffff:
			fmt.Fprintf(w, `\u%04x`, r)
		case w.ASCII && r > 0xffff: // two surrogates
			r -= 0x10000
			fmt.Fprintf(w, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			w.WriteRune(r)
		}
	}
	w.WriteByte('"')
}

// number is a number read from JSON, as Python writes it again.
func number(n json.Number) string {
	if !strings.ContainsAny(string(n), ".eE") {
		return string(n)
	}
	f, err := n.Float64()
	if err != nil {
		return string(n)
	}
	return Float(f)
}

// Float is json.dumps(f), and repr(f) of a finite f: the shortest digits that give f again, with an exponent below 1e-4
// and from 1e16 on.
func Float(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	if a := math.Abs(f); f != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
