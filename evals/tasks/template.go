package tasks

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
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

// A parser reads an expression up to the braces after it.
type parser struct{ rest string }

func (p *parser) space() { p.rest = strings.TrimLeft(p.rest, " \t\n") }

// take reads s if it comes next.
func (p *parser) take(s string) bool {
	p.space()
	if !strings.HasPrefix(p.rest, s) {
		return false
	}
	p.rest = p.rest[len(s):]
	return true
}

func (p *parser) want(s string) error {
	if !p.take(s) {
		return fmt.Errorf("want %q before %q", s, cut(p.rest))
	}
	return nil
}

func (p *parser) whole() (expr, error) {
	e, err := p.sum(0)
	if err == nil {
		err = p.want("}}")
	}
	return e, err
}

// deepest is how far expressions may be nested.
const deepest = 50

func (p *parser) sum(depth int) (expr, error) {
	if depth > deepest {
		return nil, fmt.Errorf("the expression is nested too deeply")
	}
	left, err := p.postfix(depth)
	for err == nil && p.take("+") {
		var right expr
		if right, err = p.postfix(depth); err == nil {
			left = plus(left, right)
		}
	}
	return left, err
}

func plus(left, right expr) expr {
	return func(r record) (any, error) {
		a, err1 := left(r)
		b, err2 := right(r)
		if err := first(err1, err2); err != nil {
			return nil, err
		}
		switch x := a.(type) {
		case string:
			if y, ok := b.(string); ok {
				return x + y, nil
			}
		case []any:
			if y, ok := b.([]any); ok {
				return append(append([]any{}, x...), y...), nil
			}
		case json.Number:
			if y, ok := b.(json.Number); ok {
				i, err1 := strconv.Atoi(string(x))
				j, err2 := strconv.Atoi(string(y))
				if err1 == nil && err2 == nil {
					return json.Number(strconv.Itoa(i + j)), nil
				}
			}
		}
		return nil, fmt.Errorf("%s and %s do not add", kindOf(a), kindOf(b))
	}
}

// postfix is a primary with fields, indices, methods and filters after it.
func (p *parser) postfix(depth int) (expr, error) {
	e, err := p.primary(depth)
	for err == nil {
		switch {
		case p.take("."):
			before := *p
			name := p.name()
			if p.take("(") {
				*p = before
				e, err = p.call(e, depth, methods, "method")
			} else {
				e, err = member(e, name), nil
			}
		case p.take("["):
			e, err = p.index(e, depth)
		case p.take("|"):
			e, err = p.call(e, depth, filters, "filter")
		default:
			return e, nil
		}
	}
	return nil, err
}

func (p *parser) primary(depth int) (expr, error) {
	p.space()
	switch c := p.peek(); {
	case c == '\'' || c == '"':
		s, err := p.quoted(c)
		return constant(s), err
	case c == '-' || '0' <= c && c <= '9':
		n := 1
		for n < len(p.rest) && '0' <= p.rest[n] && p.rest[n] <= '9' {
			n++
		}
		text := p.rest[:n]
		p.rest = p.rest[n:]
		_, err := strconv.Atoi(text)
		return constant(json.Number(text)), err
	case c == '[':
		p.rest = p.rest[1:]
		items, err := p.list("]", depth)
		return func(r record) (any, error) { return evaluate(items, r) }, err
	case c == '(':
		p.rest = p.rest[1:]
		e, err := p.sum(depth + 1)
		if err == nil {
			err = p.want(")")
		}
		return e, err
	}
	name := p.name()
	if name == "" {
		return nil, fmt.Errorf("want an expression before %q", cut(p.rest))
	}
	return func(r record) (any, error) {
		v, ok := r.fields[name]
		if !ok {
			return nil, r.failf(name, "is missing")
		}
		return v, nil
	}, nil
}

func constant(v any) expr { return func(record) (any, error) { return v, nil } }

func (p *parser) peek() byte {
	if p.rest == "" {
		return 0
	}
	return p.rest[0]
}

func (p *parser) name() string {
	p.space()
	n := 0
	for n < len(p.rest) && (p.rest[n] == '_' || 'a' <= p.rest[n]|0x20 && p.rest[n]|0x20 <= 'z' || n > 0 && '0' <= p.rest[n] && p.rest[n] <= '9') {
		n++
	}
	name := p.rest[:n]
	p.rest = p.rest[n:]
	return name
}

func (p *parser) quoted(quote byte) (string, error) {
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == quote:
			p.rest = p.rest[i+1:]
			return b.String(), nil
		case c == '\\' && i+1 < len(p.rest):
			i++
			plain, ok := map[byte]byte{'n': '\n', 't': '\t', '\\': '\\', '\'': '\'', '"': '"'}[p.rest[i]]
			if !ok {
				return "", fmt.Errorf(`\%c in a string`, p.rest[i])
			}
			b.WriteByte(plain)
		default:
			b.WriteByte(c)
		}
	}
	return "", fmt.Errorf("a string without its end: %q", cut(p.rest))
}

// list reads expressions up to end.
func (p *parser) list(end string, depth int) ([]expr, error) {
	var items []expr
	for !p.take(end) {
		if len(items) > 0 {
			if err := p.want(","); err != nil {
				return nil, err
			}
		}
		e, err := p.sum(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, e)
	}
	return items, nil
}

func evaluate(items []expr, r record) ([]any, error) {
	all := make([]any, len(items))
	for i, e := range items {
		v, err := e(r)
		if err != nil {
			return nil, err
		}
		all[i] = v
	}
	return all, nil
}

func member(e expr, name string) expr {
	return func(r record) (any, error) {
		v, err := e(r)
		if err != nil {
			return nil, err
		}
		o, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s: %s has no field %q", r.where, kindOf(v), name)
		}
		if v, ok = o[name]; !ok {
			return nil, r.failf(name, "is missing")
		}
		return v, nil
	}
}

// index reads what stands in brackets: an index, a key or a slice.
func (p *parser) index(of expr, depth int) (expr, error) {
	var lo, hi expr
	var err error
	if !p.take(":") {
		if lo, err = p.sum(depth + 1); err != nil {
			return nil, err
		}
		if p.take("]") {
			return func(r record) (any, error) { return at(of, lo, r) }, nil
		}
		if err := p.want(":"); err != nil {
			return nil, err
		}
	}
	if !p.take("]") {
		if hi, err = p.sum(depth + 1); err == nil {
			err = p.want("]")
		}
	}
	return func(r record) (any, error) { return slice(of, lo, hi, r) }, err
}

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

// call reads a name with its arguments.
func (p *parser) call(of expr, depth int, known map[string]function, what string) (expr, error) {
	name := p.name()
	f, ok := known[name]
	if !ok {
		return nil, fmt.Errorf("%s %q is not one of those that are read", what, name)
	}
	var args []expr
	if p.take("(") {
		var err error
		if args, err = p.list(")", depth); err != nil {
			return nil, err
		}
	}
	if len(args) != f.arguments {
		return nil, fmt.Errorf("%s %s has %d arguments, want %d", what, name, len(args), f.arguments)
	}
	return func(r record) (any, error) {
		v, err1 := of(r)
		values, err2 := evaluate(args, r)
		if err := first(err1, err2); err != nil {
			return nil, err
		}
		out, err := f.call(v, values)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", r.where, name, err)
		}
		return out, nil
	}, nil
}
