package tasks

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

func at(of, index expr, r record) (any, error) {
	v, err1 := of(r)
	i, err2 := index(r)
	if err := first(err1, err2); err != nil {
		return nil, err
	}
	if o, ok := v.(map[string]any); ok {
		name, _ := i.(string)
		inner, ok := o[name]
		if !ok {
			return nil, r.failf(name, "is missing")
		}
		return inner, nil
	}
	items, _, err := sequence(v)
	if err != nil {
		return nil, err
	}
	n, err := position(i, len(items))
	if err != nil {
		return nil, err
	}
	if n < 0 || n >= len(items) {
		return nil, fmt.Errorf("%s: index %d of %d items", r.where, n, len(items))
	}
	return items[n], nil
}

func slice(of, lo, hi expr, r record) (any, error) {
	v, err := of(r)
	if err != nil {
		return nil, err
	}
	items, text, err := sequence(v)
	if err != nil {
		return nil, err
	}
	bounds := [2]int{0, len(items)}
	for k, e := range []expr{lo, hi} {
		if e == nil {
			continue
		}
		i, err := e(r)
		if err == nil {
			bounds[k], err = position(i, len(items))
		}
		if err != nil {
			return nil, err
		}
		bounds[k] = min(max(bounds[k], 0), len(items))
	}
	items = items[bounds[0]:max(bounds[0], bounds[1])]
	if !text {
		return append([]any{}, items...), nil
	}
	var b strings.Builder
	for _, c := range items {
		s, _ := c.(string)
		b.WriteString(s)
	}
	return b.String(), nil
}

// sequence is the items of a list or the characters of a text.
func sequence(v any) (items []any, text bool, err error) {
	switch v := v.(type) {
	case []any:
		return v, false, nil
	case string:
		items = make([]any, 0, utf8.RuneCountInString(v))
		for _, c := range v {
			items = append(items, string(c))
		}
		return items, true, nil
	}
	return nil, false, fmt.Errorf("%s has no items", kindOf(v))
}

// position is an index, from the end where it is negative.
func position(v any, n int) (int, error) {
	number, ok := v.(json.Number)
	if !ok {
		return 0, fmt.Errorf("%s is no index", kindOf(v))
	}
	i, err := strconv.Atoi(string(number))
	if i < 0 {
		i += n
	}
	return i, err
}
