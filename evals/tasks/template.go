package tasks

import (
	"encoding/json"
	"fmt"
	"strings"
)

// A template is text with expressions in double braces, in the part of Jinja that tasks of
// the harness are mostly written in: fields, indices and slices, string and list literals,
// +, the methods and filters listed below. It runs no code and reads nothing but a record.
//
// Values are string, json.Number, bool, nil, []any and map[string]any.
type template struct{ parts []part }

type part struct {
	text string
	expr expr // nil for text
}

// An expr is evaluated in a record.
type expr func(r record) (any, error)

// parseTemplate reads a template.
func parseTemplate(source string) (template, error) {
	var t template
	for rest := source; rest != ""; {
		at := strings.Index(rest, "{")
		for at >= 0 && at+1 < len(rest) && rest[at+1] != '{' && rest[at+1] != '%' && rest[at+1] != '#' {
			next := strings.Index(rest[at+1:], "{")
			if next < 0 {
				at = -1
				break
			}
			at += 1 + next
		}
		if at < 0 || at+1 >= len(rest) {
			t.parts = append(t.parts, part{text: rest})
			break
		}
		if rest[at+1] != '{' {
			return t, fmt.Errorf("%q: statements and comments ({%% … %%}, {# … #}) are not read, only {{ expressions }}", cut(rest[at:]))
		}
		if at > 0 {
			t.parts = append(t.parts, part{text: rest[:at]})
		}
		p := parser{rest: rest[at+2:]}
		e, err := p.whole()
		if err != nil {
			return t, fmt.Errorf("%q: %w", cut(rest[at:]), err)
		}
		t.parts, rest = append(t.parts, part{expr: e}), p.rest
	}
	return t, nil
}

func cut(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

// value is what the template comes to: the value of its expression where it is nothing
// else, otherwise text.
func (t template) value(r record) (any, error) {
	if len(t.parts) == 1 && t.parts[0].expr != nil {
		return t.parts[0].expr(r)
	}
	var b strings.Builder
	for _, p := range t.parts {
		if p.expr == nil {
			b.WriteString(p.text)
			continue
		}
		v, err := p.expr(r)
		if err != nil {
			return nil, err
		}
		s, err := asText(v)
		if err != nil {
			return nil, err
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

func asText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case json.Number:
		return string(v), nil
	case bool:
		return map[bool]string{true: "True", false: "False"}[v], nil
	}
	return "", fmt.Errorf("%s is no text", kindOf(v))
}
