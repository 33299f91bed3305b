package tasks

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"quadrant/internal/python"
)

// An ownDoc makes a Doc of a record.
type ownDoc struct {
	output                    Output
	text, target              field
	choices                   []field // one that is a list, or one for each choice
	list                      bool    // choices is a list in the file
	targetDelim, exampleDelim string
}

// A field says how a part of a question follows from a record: the value of the record's
// field of that name, or a template.
type field struct {
	name string
	template
}

func parseField(v any) (field, error) {
	s := ""
	switch v := v.(type) {
	case string:
		s = v
	case nil:
		return field{}, errors.New("is missing")
	case uint64, int64, int:
		s = fmt.Sprint(v)
	default:
		return field{}, fmt.Errorf("is %v, want a field's name or a template", v)
	}
	if strings.HasPrefix(s, "!function") {
		return field{}, fmt.Errorf("%q: Python functions are not run: write a template", s)
	}
	t, err := parseTemplate(s)
	return field{s, t}, err
}

func (f field) value(r record) (any, error) {
	if v, ok := r.fields[f.name]; ok {
		return v, nil
	}
	return f.template.value(r)
}

func parseChoices(v any, output Output) ([]field, bool, error) {
	if output == LogLikelihood {
		return nil, false, nil
	}
	items, list := v.([]any)
	if !list {
		f, err := parseField(v)
		return []field{f}, false, err
	}
	var all []field
	for _, item := range items {
		f, err := parseField(fmt.Sprint(item))
		if err != nil {
			return nil, true, err
		}
		f.name = "" // choices are text, whatever fields there are
		all = append(all, f)
	}
	if len(all) < 2 {
		return nil, true, fmt.Errorf("%d choices: want at least 2", len(all))
	}
	return all, true, nil
}

// doc makes a question of a record.
func (o ownDoc) doc(r record) (Doc, error) {
	textValue, err1 := o.text.value(r)
	targetValue, err2 := o.target.value(r)
	if err := first(err1, err2); err != nil {
		return Doc{}, err
	}
	text, err1 := asText(textValue)
	target, err2 := asText(targetValue)
	if err := first(err1, err2); err != nil {
		return Doc{}, fmt.Errorf("%s: doc_to_text or doc_to_target: %w", r.where, err)
	}
	d := Doc{Fields: ordered(r.fields), Target: target}
	if o.output == LogLikelihood {
		d.Requests = []Request{{text, target}}
		d.Example = text + o.targetDelim + target + o.exampleDelim
		return d, nil
	}
	choices, err := o.choicesOf(r)
	if err != nil {
		return Doc{}, err
	}
	if d.Gold = slices.Index(choices, target); d.Gold < 0 {
		if d.Gold, err = strconv.Atoi(target); err != nil || d.Gold < 0 || d.Gold >= len(choices) {
			return Doc{}, fmt.Errorf("%s: doc_to_target: %q is none of %d choices, nor the index of one", r.where, target, len(choices))
		}
	}
	for _, c := range choices {
		d.Requests = append(d.Requests, Request{text, o.targetDelim + c})
		d.Lengths = append(d.Lengths, len([]rune(c)))
	}
	d.Example = text + o.targetDelim + choices[d.Gold] + o.exampleDelim
	return d, nil
}

func (o ownDoc) choicesOf(r record) ([]string, error) {
	var values []any
	for _, f := range o.choices {
		v, err := f.value(r)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	if !o.list {
		items, ok := values[0].([]any)
		if !ok {
			return nil, fmt.Errorf("%s: doc_to_choice: %s is no list", r.where, kindOf(values[0]))
		}
		values = items
	}
	choices := make([]string, len(values))
	for i, v := range values {
		var err error
		if choices[i], err = asText(v); err != nil {
			return nil, fmt.Errorf("%s: doc_to_choice: %w", r.where, err)
		}
	}
	if len(choices) < 2 {
		return nil, fmt.Errorf("%s: doc_to_choice: %d choices, want at least 2", r.where, len(choices))
	}
	return choices, nil
}

// ordered is fields by name: a record does not keep the file's order.
func ordered(fields map[string]any) python.Object {
	var o python.Object
	for name, v := range fields {
		o = append(o, python.Field{Name: name, Value: plainValue(v)})
	}
	slices.SortFunc(o, func(a, b python.Field) int { return strings.Compare(a.Name, b.Name) })
	return o
}

func plainValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return ordered(v)
	case []any:
		all := make([]any, len(v))
		for i, item := range v {
			all[i] = plainValue(item)
		}
		return all
	}
	return v
}
