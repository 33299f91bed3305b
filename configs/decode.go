package configs

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// decode reads one YAML document into the struct that v points to. It is stricter than
// a YAML library: every field must be known, occur once and have a value of exactly its
// type (goccy/go-yaml, whose parser this uses, takes 3.7 for the integer 3 even with
// Strict). Errors are one line, of the form line:column: field: what is wrong.
//
// Aliases, tags and merge keys are not read: files say what they mean in place.
func decode(data []byte, v any) error {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		var e yaml.Error
		if errors.As(err, &e) && e.GetToken() != nil {
			p := e.GetToken().Position
			return fmt.Errorf("%d:%d: not YAML: %s", p.Line, p.Column, oneLine(e.GetMessage()))
		}
		return fmt.Errorf("1:1: not YAML: %s", oneLine(err.Error()))
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return errors.New("1:1: is empty")
	}
	if len(file.Docs) > 1 {
		return fmt.Errorf("1:1: has %d YAML documents, want 1", len(file.Docs))
	}
	return value(file.Docs[0].Body, reflect.ValueOf(v).Elem(), "")
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// value sets v, found at path in the document, to what node says.
func value(node ast.Node, v reflect.Value, path string) error {
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		scalar, ok := node.(ast.ScalarNode)
		if !ok || node.Type() == ast.NullType {
			return mismatch(node, path, "text")
		}
		if err := t.UnmarshalText([]byte(scalar.GetToken().Value)); err != nil {
			return fail(node, path, "%w", err)
		}
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return value(node, v.Elem(), path)
	case reflect.Struct:
		return structure(node, v, path)
	case reflect.Slice:
		return list(node, v, path)
	case reflect.String:
		switch n := node.(type) {
		case *ast.StringNode:
			v.SetString(n.Value)
			return nil
		case *ast.LiteralNode:
			v.SetString(strings.TrimSpace(n.Value.Value))
			return nil
		}
		return mismatch(node, path, "text")
	case reflect.Bool:
		n, ok := node.(*ast.BoolNode)
		if !ok {
			return mismatch(node, path, "true or false")
		}
		v.SetBool(n.Value)
		return nil
	case reflect.Int, reflect.Int64:
		return integer(node, v, path)
	case reflect.Float32, reflect.Float64:
		return float(node, v, path)
	}
	panic(fmt.Sprintf("configs: %s: a field of type %s cannot be read", path, v.Type()))
}

func structure(node ast.Node, v reflect.Value, path string) error {
	m, ok := node.(ast.MapNode)
	if !ok {
		return mismatch(node, path, "fields")
	}
	fields := map[string]int{}
	var names []string
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		fields[name] = i
		names = append(names, name)
	}
	for it := m.MapRange(); it.Next(); {
		name := it.Key().GetToken().Value
		i, known := fields[name]
		if !known {
			return fail(it.Key(), path, "field %q is unknown, want one of %s", name, strings.Join(names, ", "))
		}
		if err := value(it.Value(), v.Field(i), strings.TrimPrefix(path+"."+name, ".")); err != nil {
			return err
		}
	}
	return nil
}

func list(node ast.Node, v reflect.Value, path string) error {
	n, ok := node.(*ast.SequenceNode)
	if !ok {
		return mismatch(node, path, "a list")
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Values), len(n.Values)))
	for i, item := range n.Values {
		if err := value(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	return nil
}

func integer(node ast.Node, v reflect.Value, path string) error {
	n, ok := node.(*ast.IntegerNode)
	if !ok {
		return mismatch(node, path, "a whole number")
	}
	var i int64
	switch n := n.Value.(type) {
	case int64:
		i = n
	case uint64:
		i = int64(min(n, math.MaxInt64)) // more is no size of anything, and Validate says so
	}
	if v.OverflowInt(i) {
		return fail(node, path, "%d is too large", i)
	}
	v.SetInt(i)
	return nil
}

func float(node ast.Node, v reflect.Value, path string) error {
	switch n := node.(type) {
	case *ast.FloatNode, *ast.IntegerNode:
	case *ast.StringNode: // the parser takes 1e-5 for text, as YAML 1.1 did
		if n.Token.Type != token.StringType {
			return mismatch(node, path, "a number") // quoted
		}
	default:
		return mismatch(node, path, "a number")
	}
	f, err := strconv.ParseFloat(node.GetToken().Value, v.Type().Bits())
	if errors.Is(err, strconv.ErrRange) {
		return fail(node, path, "%s is too large", node.GetToken().Value)
	}
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return mismatch(node, path, "a number")
	}
	v.SetFloat(f)
	return nil
}

// mismatch says that node is not what the field at path wants.
func mismatch(node ast.Node, path, want string) error {
	switch node.Type() {
	case ast.NullType:
		return fail(node, path, "has no value, want %s", want)
	case ast.MappingType, ast.MappingValueType:
		return fail(node, path, "has fields, want %s", want)
	case ast.SequenceType:
		return fail(node, path, "is a list, want %s", want)
	case ast.AliasType, ast.AnchorType, ast.TagType:
		return fail(node, path, "is a YAML alias, anchor or tag, which are not read here, want %s", want)
	}
	return fail(node, path, "have %q, want %s", node.GetToken().Value, want)
}

// fail places an error.
func fail(node ast.Node, path, format string, args ...any) error {
	p := node.GetToken().Position
	if path != "" {
		path += ": "
	}
	return fmt.Errorf("%d:%d: %s%w", p.Line, p.Column, path, fmt.Errorf(format, args...))
}
