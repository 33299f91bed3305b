package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Types of fields in Thrift's compact protocol.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
)

// maxNesting is how deep the structs and lists of metadata lie in each other.
const maxNesting = 32

// errShort says that metadata go on beyond the bytes that there are.
var errShort = errors.New("it ends in the middle of its metadata")

// A compact reads Thrift's compact protocol from bytes. The first error is kept, and all
// that is read after it is zero. What it reads points into b: it allocates nothing.
type compact struct {
	b     []byte
	at    int
	depth int
	err   error
}

func (t *compact) fail(err error) {
	if t.err == nil {
		t.err = err
	}
	t.at = len(t.b)
}

func (t *compact) byte() byte {
	if t.at >= len(t.b) {
		t.fail(errShort)
		return 0
	}
	t.at++
	return t.b[t.at-1]
}

func (t *compact) uvarint() uint64 {
	v, n := binary.Uvarint(t.b[t.at:])
	switch {
	case n == 0:
		t.fail(errShort)
	case n < 0:
		t.fail(errors.New("its metadata hold a number of more than 64 bits"))
	default:
		t.at += n
	}
	return v
}

// int reads a number of 16, 32 or 64 bits: they are written alike.
func (t *compact) int() int64 {
	u := t.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (t *compact) bytes() []byte {
	n := t.uvarint()
	if n > uint64(len(t.b)-t.at) {
		t.fail(errShort)
		return nil
	}
	t.at += int(n)
	return t.b[t.at-int(n) : t.at]
}

// enter counts a level of nesting, which leave takes back.
func (t *compact) enter() {
	if t.depth++; t.depth > maxNesting {
		t.fail(fmt.Errorf("its metadata are nested more than %d deep", maxNesting))
	}
}

func (t *compact) leave() { t.depth-- }

// structure hands each field of a struct to field, which reads it or not: a field that it
// returns false for is skipped. A Boolean is its kind.
func (t *compact) structure(field func(id int16, kind byte) bool) {
	t.enter()
	defer t.leave()
	for id := int16(0); t.err == nil; {
		head := t.byte()
		kind := head & 15
		if kind == 0 {
			return
		}
		if delta := head >> 4; delta != 0 {
			id += int16(delta)
		} else {
			id = int16(t.int())
		}
		if !field(id, kind) {
			t.skip(kind)
		}
	}
}

// integers reads the fields of a struct that are numbers, each to where into says, and
// skips the others.
func (t *compact) integers(into map[int16]*int64) {
	t.structure(func(id int16, kind byte) bool {
		at := into[id]
		if at == nil || kind < thriftI16 || kind > thriftI64 {
			return false
		}
		*at = t.int()
		return true
	})
}

// list hands the items of a list to item, which reads them. An item has a byte at least,
// so there are no more of them than bytes.
func (t *compact) list(item func(kind byte)) {
	t.enter()
	defer t.leave()
	head := t.byte()
	n := uint64(head >> 4)
	if n == 15 {
		n = t.uvarint()
	}
	if n > uint64(len(t.b)-t.at) {
		t.fail(errShort)
		return
	}
	for ; n > 0 && t.err == nil; n-- {
		item(head & 15)
	}
}

func (t *compact) skip(kind byte) {
	switch kind {
	case thriftTrue, thriftFalse:
	case thriftByte:
		t.byte()
	case thriftI16, thriftI32, thriftI64:
		t.uvarint()
	case thriftDouble:
		if len(t.b)-t.at < 8 {
			t.fail(errShort)
			return
		}
		t.at += 8
	case thriftBinary:
		t.bytes()
	case thriftList, thriftSet:
		t.list(t.skipItem)
	case thriftMap:
		t.skipMap()
	case thriftStruct:
		t.structure(func(int16, byte) bool { return false })
	default:
		t.fail(fmt.Errorf("its metadata have a field of the unknown type %d", kind))
	}
}

// skipItem skips what lies in a list or a map, where a Boolean has a byte of its own.
func (t *compact) skipItem(kind byte) {
	if kind == thriftTrue || kind == thriftFalse {
		kind = thriftByte
	}
	t.skip(kind)
}

func (t *compact) skipMap() {
	t.enter()
	defer t.leave()
	n := t.uvarint()
	if n == 0 {
		return
	}
	kinds := t.byte()
	if n > uint64(len(t.b)-t.at) {
		t.fail(errShort)
	}
	for ; n > 0 && t.err == nil; n-- {
		t.skipItem(kinds >> 4)
		t.skipItem(kinds & 15)
	}
}
