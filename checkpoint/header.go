package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

const metadataKey = "__metadata__"

// An entry is a tensor of a header, with the place of its bytes in the data.
type entry struct {
	Tensor
	begin, end int64
}

// parseHeader reads {"__metadata__": {...}, name: {"dtype", "shape", "data_offsets"}, ...}.
// It knows nothing of the file behind it.
func parseHeader(header []byte) ([]entry, map[string]string, error) {
	if !utf8.Valid(header) {
		return nil, nil, errors.New("header is not UTF-8")
	}
	var entries []entry
	var metadata map[string]string
	r := reader{json.NewDecoder(bytes.NewReader(header))}
	r.UseNumber()
	err := r.object("header", func(name string) error {
		if name == metadataKey {
			var err error
			metadata, err = r.stringMap(name)
			return err
		}
		e, err := r.entry(name)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	end := r.InputOffset()
	if rest := bytes.TrimLeft(header[end:], " \t\r\n"); len(rest) > 0 {
		return nil, nil, fmt.Errorf("header: %d bytes follow the JSON that ends at byte %d", len(rest), end)
	}
	return entries, metadata, nil
}

// A reader reads JSON of a known form piece by piece, as encoding/json would let the
// last of several equal names win.
type reader struct{ *json.Decoder }

func (r reader) entry(name string) (entry, error) {
	e := entry{Tensor: Tensor{Name: name, Shape: []int{}}}
	what := fmt.Sprintf("tensor %q", name)
	var dtype, shape, offsets bool
	err := r.object(what, func(field string) (err error) {
		switch field {
		case "dtype":
			dtype = true
			e.DType, err = r.string(what + ": dtype")
		case "shape":
			shape = true
			err = r.list(what+": shape", func() error {
				d, err := r.int(what + ": shape")
				if err == nil && len(e.Shape) == maxDims {
					err = fmt.Errorf("%s: shape has more than %d dimensions", what, maxDims)
				}
				e.Shape = append(e.Shape, int(d))
				return err
			})
		case "data_offsets":
			offsets = true
			var n int
			err = r.list(what+": data_offsets", func() error {
				v, err := r.int(what + ": data_offsets")
				e.begin, e.end = e.end, v
				n++
				return err
			})
			if err == nil && n != 2 {
				err = fmt.Errorf("%s: data_offsets has %d numbers, want 2", what, n)
			}
		default:
			err = fmt.Errorf("%s: field %q is unknown, want dtype, shape, data_offsets", what, field)
		}
		return err
	})
	switch {
	case err != nil:
	case !dtype:
		err = fmt.Errorf("%s: dtype is missing", what)
	case !shape:
		err = fmt.Errorf("%s: shape is missing", what)
	case !offsets:
		err = fmt.Errorf("%s: data_offsets is missing", what)
	}
	return e, err
}

// object reads an object, calling field for the value of each name.
func (r reader) object(what string, field func(name string) error) error {
	if err := r.delim(what, '{', "an object"); err != nil {
		return err
	}
	seen := map[string]bool{}
	for r.More() {
		name, err := r.string(what)
		if err != nil {
			return err
		}
		if seen[name] {
			return fmt.Errorf("%s: name %q occurs twice", what, name)
		}
		seen[name] = true
		if err := field(name); err != nil {
			return err
		}
	}
	return r.delim(what, '}', "the object's end")
}

// list reads an array, calling item for each value.
func (r reader) list(what string, item func() error) error {
	if err := r.delim(what, '[', "a list"); err != nil {
		return err
	}
	for r.More() {
		if err := item(); err != nil {
			return err
		}
	}
	return r.delim(what, ']', "the list's end")
}

// maxNesting is how deep values of unknown form may be nested.
const maxNesting = 100

// parseObject reads a JSON object of any form: values are nil, bool, json.Number, string,
// []any and map[string]any.
func parseObject(text []byte) (map[string]any, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("it is not UTF-8")
	}
	r := reader{json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))))}
	r.UseNumber()
	token, err := r.next("it")
	if err != nil {
		return nil, err
	}
	if token != json.Delim('{') {
		return nil, unexpected("it", token, "an object")
	}
	v, err := r.rest("it", token, 0)
	if err != nil {
		return nil, err
	}
	if _, err := r.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("something follows the object that ends at byte %d", r.InputOffset())
	}
	return v.(map[string]any), nil
}

// rest reads what remains of a value that begins with token.
func (r reader) rest(what string, token json.Token, depth int) (any, error) {
	open, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth == maxNesting {
		return nil, fmt.Errorf("%s is nested more than %d deep", what, maxNesting)
	}
	object, items := map[string]any{}, []any{}
	for r.More() {
		name, inner := "", what
		if open == '{' {
			var err error
			if name, err = r.string(what); err != nil {
				return nil, err
			}
			if _, twice := object[name]; twice {
				return nil, fmt.Errorf("%s: name %.100q occurs twice", what, name)
			}
			inner = fmt.Sprintf("%.60q", name)
		}
		token, err := r.next(inner)
		if err != nil {
			return nil, err
		}
		v, err := r.rest(inner, token, depth+1)
		if err != nil {
			return nil, err
		}
		if open == '{' {
			object[name] = v
		} else {
			items = append(items, v)
		}
	}
	if _, err := r.next(what); err != nil {
		return nil, err
	}
	if open == '{' {
		return object, nil
	}
	return items, nil
}

func (r reader) stringMap(what string) (map[string]string, error) {
	m := map[string]string{}
	err := r.object(what, func(name string) (err error) {
		m[name], err = r.string(fmt.Sprintf("%s: %q", what, name))
		return err
	})
	return m, err
}

func (r reader) string(what string) (string, error) {
	token, err := r.next(what)
	s, ok := token.(string)
	if err == nil && !ok {
		err = unexpected(what, token, "a string")
	}
	return s, err
}

// int reads a whole number from 0 to the largest int.
func (r reader) int(what string) (int64, error) {
	token, err := r.next(what)
	if err != nil {
		return 0, err
	}
	if number, ok := token.(json.Number); ok {
		if n, err := strconv.ParseInt(number.String(), 10, strconv.IntSize); err == nil && n >= 0 {
			return n, nil
		}
	}
	return 0, unexpected(what, token, "a whole number from 0 to 2^63-1")
}

func (r reader) delim(what string, want json.Delim, name string) error {
	token, err := r.next(what)
	if err == nil && token != want {
		err = unexpected(what, token, name)
	}
	return err
}

// next returns the next token; a header that ends early is an error.
func (r reader) next(what string) (json.Token, error) {
	token, err := r.Token()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("%s: the JSON ends too early, at byte %d", what, r.InputOffset())
	case err != nil:
		return nil, fmt.Errorf("%s: not JSON at byte %d: %w", what, r.InputOffset(), err)
	}
	return token, nil
}

func unexpected(what string, token json.Token, want string) error {
	switch t := token.(type) {
	case string:
		return fmt.Errorf("%s: have the string %.40q, want %s", what, t, want)
	case nil:
		return fmt.Errorf("%s: have null, want %s", what, want)
	default:
		return fmt.Errorf("%s: have %.40v, want %s", what, t, want)
	}
}
