package tasks

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"quadrant/internal/python"
)

// A function is a method of a value, or a filter.
type function struct {
	arguments int
	call      func(v any, args []any) (any, error)
}

// methods and filters are all there are.
var (
	methods = map[string]function{
		"strip": onText(python.Strip), "lstrip": onText(python.LStrip), "rstrip": onText(python.RStrip),
		"lower": onText(strings.ToLower), "upper": onText(strings.ToUpper), "capitalize": onText(python.Capitalize),
		"replace": {2, replace}, "split": {1, splitText}, "index": {1, indexOf}, "join": {1, func(v any, args []any) (any, error) { return join(args[0], []any{v}) }},
	}
	filters = map[string]function{
		"trim": onText(python.Strip), "lower": onText(strings.ToLower), "upper": onText(strings.ToUpper), "capitalize": onText(python.Capitalize),
		"replace": {2, replace}, "join": {1, join}, "first": {0, func(v any, _ []any) (any, error) { return end(v, 0) }},
		"last": {0, func(v any, _ []any) (any, error) { return end(v, -1) }}, "length": {0, length}, "string": {0, func(v any, _ []any) (any, error) { return asText(v) }}, "int": {0, toInt},
	}
)

func onText(f func(string) string) function {
	return function{0, func(v any, _ []any) (any, error) {
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("%s is no text", kindOf(v))
		}
		return f(s), nil
	}}
}

func texts(vs ...any) ([]string, error) {
	all := make([]string, len(vs))
	for i, v := range vs {
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("%s is no text", kindOf(v))
		}
		all[i] = s
	}
	return all, nil
}

func replace(v any, args []any) (any, error) {
	s, err := texts(append([]any{v}, args...)...)
	if err != nil {
		return nil, err
	}
	return strings.ReplaceAll(s[0], s[1], s[2]), nil
}

func splitText(v any, args []any) (any, error) {
	s, err := texts(v, args[0])
	if err != nil {
		return nil, err
	}
	if s[1] == "" {
		return nil, fmt.Errorf("an empty separator")
	}
	var all []any
	for _, item := range strings.Split(s[0], s[1]) {
		all = append(all, item)
	}
	return all, nil
}

func join(v any, args []any) (any, error) {
	items, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("%s is no list", kindOf(v))
	}
	s, err := texts(append(append([]any{}, items...), args[0])...)
	if err != nil {
		return nil, err
	}
	return strings.Join(s[:len(items)], s[len(items)]), nil
}

// indexOf is where a list has its argument first.
func indexOf(v any, args []any) (any, error) {
	items, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("%s is no list", kindOf(v))
	}
	want, err := asText(args[0])
	if err != nil {
		return nil, err
	}
	for i, item := range items {
		if text, err := asText(item); err == nil && text == want {
			return json.Number(strconv.Itoa(i)), nil
		}
	}
	return nil, fmt.Errorf("%q is not among the %d items", want, len(items))
}

func end(v any, i int) (any, error) {
	items, _, err := sequence(v)
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, fmt.Errorf("there are no items")
	}
	return items[(i+len(items))%len(items)], nil
}

func length(v any, _ []any) (any, error) {
	items, _, err := sequence(v)
	return json.Number(strconv.Itoa(len(items))), err
}

func toInt(v any, _ []any) (any, error) {
	s, err := asText(v)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(python.Strip(s))
	if err != nil {
		return nil, fmt.Errorf("%q is no whole number", s)
	}
	return json.Number(strconv.Itoa(n)), nil
}
