package parquet

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A source gives values one after the other: bool, int32, int64, float32, float64 or
// []byte, which is part of the page.
type source func() (any, error)

// source reads the values of a page, n at most, in an encoding.
func (c Column) source(encoding int64, data []byte, n int64, dict *dictionary) (source, error) {
	switch {
	case encoding == encodingPlain:
		return c.plain(data), nil
	case encoding == encodingDict || encoding == encodingPlainDict:
		return dict.source(data)
	case encoding == encodingRLE && c.Kind == Bool:
		b, _, err := sized(data)
		h := &hybrid{b: b, width: 1}
		return func() (any, error) {
			v, err := h.next()
			return v != 0, err
		}, err
	case encoding == encodingDelta && (c.Kind == Int32 || c.Kind == Int64):
		d, err := newDeltas(data, n)
		return func() (any, error) {
			v, err := d.next()
			if c.Kind == Int32 {
				return int32(v), err
			}
			return v, err
		}, err
	case encoding == encodingDeltaBytes && c.Kind == Bytes:
		return delta(data, n)
	case encoding == encodingDeltaFront && (c.Kind == Bytes || c.Kind == FixedBytes):
		return c.front(data, n)
	case encoding == encodingSplit && c.width() > 0:
		return c.split(data)
	}
	return nil, fmt.Errorf("encoding %d of %v values is not supported", encoding, c.Kind)
}

// width is the bytes of a value that is not a list of bytes, or 0.
func (c Column) width() int {
	switch c.Kind {
	case Int32, Float:
		return 4
	case Int64, Double:
		return 8
	case Int96:
		return 12
	case FixedBytes:
		return c.length
	}
	return 0
}

func (c Column) plain(data []byte) source {
	switch c.Kind {
	case Bool:
		at := uint64(0)
		return func() (any, error) {
			v, ok := bitsAt(data, at, 1)
			if at++; !ok {
				return nil, errValues
			}
			return v != 0, nil
		}
	case Bytes:
		return func() (v any, err error) {
			v, data, err = sized(data)
			return v, err
		}
	}
	n := c.width()
	return func() (any, error) {
		if len(data) < n {
			return nil, errValues
		}
		v := c.value(data[:n:n])
		data = data[n:]
		return v, nil
	}
}

// value is the value of a fixed length that b holds.
func (c Column) value(b []byte) any {
	switch c.Kind {
	case Int32:
		return int32(binary.LittleEndian.Uint32(b))
	case Int64:
		return int64(binary.LittleEndian.Uint64(b))
	case Float:
		return math.Float32frombits(binary.LittleEndian.Uint32(b))
	case Double:
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return b
}

// delta reads byte arrays whose lengths come first.
func delta(data []byte, n int64) (source, error) {
	lengths, err := newDeltas(data, n)
	if err != nil {
		return nil, err
	}
	data, err = lengths.after()
	return func() (any, error) {
		n, err := lengths.next()
		if err != nil || n < 0 || n > int64(len(data)) {
			return nil, errValues
		}
		v := data[:n:n]
		data = data[n:]
		return v, nil
	}, err
}

// front reads byte arrays that begin like those before them.
func (c Column) front(data []byte, n int64) (source, error) {
	shared, err := newDeltas(data, n)
	if err != nil {
		return nil, err
	}
	if data, err = shared.after(); err != nil {
		return nil, err
	}
	rests, err := delta(data, n)
	var last []byte
	return func() (any, error) {
		n, err := shared.next()
		if err != nil {
			return nil, err
		}
		rest, err := rests()
		if err != nil {
			return nil, err
		}
		if n < 0 || n > int64(len(last)) {
			return nil, fmt.Errorf("a value shares %d bytes with one of %d", n, len(last))
		}
		last = append(last[:n:n], rest.([]byte)...)
		if c.Kind == FixedBytes && len(last) != c.length {
			return nil, fmt.Errorf("a value of %d bytes where all have %d", len(last), c.length)
		}
		return last, nil
	}, err
}

// split reads values whose first bytes come first, then all second ones.
func (c Column) split(data []byte) (source, error) {
	width := c.width()
	n, at := len(data)/width, 0
	return func() (any, error) {
		if at == n {
			return nil, errValues
		}
		b := make([]byte, width)
		for i := range b {
			b[i] = data[i*n+at]
		}
		at++
		return c.value(b), nil
	}, nil
}

// maxDictionary is the bytes of the dictionary of a column.
const maxDictionary = 128 << 20

// A dictionary is the distinct values of a chunk, which its pages number.
type dictionary struct {
	column Column
	data   []byte
	begins []uint32 // of byte arrays, the bytes of their lengths included
	values int
}

func newDictionary(c Column, h header, data []byte) (*dictionary, error) {
	if h.encoding != encodingPlain && h.encoding != encodingPlainDict {
		return nil, fmt.Errorf("a dictionary in encoding %d", h.encoding)
	}
	if len(data) > maxDictionary {
		return nil, fmt.Errorf("a dictionary of %d bytes, at most %d are read", len(data), maxDictionary)
	}
	d := &dictionary{column: c, data: data, values: int(h.values)}
	switch width := c.width(); {
	case width > 0 && d.values > len(data)/width:
		return nil, errValues
	case width > 0:
		return d, nil
	case c.Kind != Bytes:
		return nil, fmt.Errorf("a dictionary of %v values", c.Kind)
	case d.values > len(data)/4:
		return nil, errValues
	}
	d.begins = make([]uint32, d.values)
	rest := data
	for i := range d.begins {
		d.begins[i] = uint32(len(data) - len(rest))
		var err error
		if _, rest, err = sized(rest); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// source reads the numbers of values: how many bits they have, then they.
func (d *dictionary) source(data []byte) (source, error) {
	switch {
	case d == nil:
		return nil, fmt.Errorf("values of a dictionary that is not there")
	case len(data) == 0: // all are null
		return func() (any, error) { return nil, errValues }, nil
	case data[0] > 32:
		return nil, fmt.Errorf("a dictionary numbered with %d bits", data[0])
	}
	h := &hybrid{b: data[1:], width: uint(data[0])}
	return func() (any, error) {
		i, err := h.next()
		if err != nil {
			return nil, err
		}
		return d.at(i)
	}, nil
}

func (d *dictionary) at(i uint64) (any, error) {
	if i >= uint64(d.values) {
		return nil, fmt.Errorf("value %d of a dictionary of %d", i, d.values)
	}
	if d.begins != nil {
		v, _, err := sized(d.data[d.begins[i]:])
		return v, err
	}
	n := d.column.width()
	return d.column.value(d.data[int(i)*n:][:n:n]), nil
}
