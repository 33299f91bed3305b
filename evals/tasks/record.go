package tasks

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// A record is one item of a data file: an object whose values are nil, bool, string,
// json.Number, []any or map[string]any.
type record struct {
	where  string // "valid.jsonl:17"
	prefix string // of its fields' names, where it is part of a record: "choices."
	fields map[string]any
}

// failf is an error about a field.
func (r record) failf(field, format string, args ...any) error {
	return fmt.Errorf("%s: field %q %s", r.where, r.prefix+field, fmt.Sprintf(format, args...))
}

func (r record) wrong(field, want string) error {
	v, ok := r.fields[field]
	if !ok {
		return r.failf(field, "is missing")
	}
	return r.failf(field, "is %s, want %s", kindOf(v), want)
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case string:
		return fmt.Sprintf("the string %.40q", v)
	case json.Number:
		return "the number " + string(v)
	case []any:
		return fmt.Sprintf("a list of %d", len(v))
	}
	return "an object"
}

func (r record) str(field string) (string, error) {
	s, ok := r.fields[field].(string)
	if !ok {
		return "", r.wrong(field, "a string")
	}
	return s, nil
}

func (r record) list(field string) ([]any, error) {
	l, ok := r.fields[field].([]any)
	if !ok {
		return nil, r.wrong(field, "a list")
	}
	return l, nil
}

func (r record) strs(field string) ([]string, error) {
	items, err := r.list(field)
	if err != nil {
		return nil, err
	}
	all := make([]string, len(items))
	for i, item := range items {
		s, ok := item.(string)
		if !ok {
			return nil, r.failf(field, "has %s as item %d, want a string", kindOf(item), i)
		}
		all[i] = s
	}
	return all, nil
}

func (r record) object(field string) (record, error) {
	o, ok := r.fields[field].(map[string]any)
	if !ok {
		return record{}, r.wrong(field, "an object")
	}
	return record{r.where, r.prefix + field + ".", o}, nil
}

// choice is the index of one of n, written as a number or in a string.
func (r record) choice(field string, n int) (int, error) {
	text := ""
	switch v := r.fields[field].(type) {
	case string:
		text = v
	case json.Number:
		text = string(v)
	default:
		return 0, r.wrong(field, "a number")
	}
	i, err := strconv.Atoi(text)
	if err != nil || i < 0 || i >= n {
		return 0, r.failf(field, "is %q, want 0 to %d", text, n-1)
	}
	return i, nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

var errEmpty = errors.New("holds no records")
