package tasks

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

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
