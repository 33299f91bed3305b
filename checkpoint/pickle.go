package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// Limits of a pickle, far beyond those of real checkpoints: the pickle of one with 100,000
// tensors has about 20 MB and makes 600,000 objects.
const (
	maxPickle  = 64 << 20 // bytes
	maxObjects = 1 << 20  // dicts, lists, tuples, storages, tensors
	maxItems   = 1 << 22  // in dicts, lists and tuples, taken together
	maxStack   = 1 << 20
	maxMarks   = 1000
	maxMemo    = 1 << 21
)

// A machine carries out a pickle (CPython's Lib/pickle.py) that names nothing but globals.
// Each operation allocates at most what its operands in the pickle measure, or moves values
// from the stack into one object, so memory is bounded by the limits above.
type machine struct {
	data    []byte
	at      int
	stack   []any
	marks   []int // heights of the stack
	memo    map[uint32]any
	objects int
	items   int
}

// unpickle returns the value that a pickle makes. It may contain itself.
func unpickle(data []byte) (any, error) {
	if len(data) > maxPickle {
		return nil, fmt.Errorf("the pickle has %d bytes, want at most %d", len(data), maxPickle)
	}
	m := &machine{data: data, memo: map[uint32]any{}}
	for {
		at := m.at
		op, err := m.byte()
		if err == nil && op == opStop {
			v, err := m.pop()
			if err != nil {
				return nil, fmt.Errorf("byte %d of the pickle: %w", at, err)
			}
			return v, nil
		}
		if err == nil {
			err = m.step(op)
		}
		if err != nil {
			return nil, fmt.Errorf("byte %d of the pickle: %w", at, err)
		}
	}
}

// step carries out one operation.
func (m *machine) step(op byte) error {
	switch op {
	case opProto:
		n, err := m.byte()
		if err == nil && (n < 2 || n > 5) {
			err = fmt.Errorf("protocol %d, want 2 to 5", n)
		}
		return err
	case opFrame: // its length serves readers of streams
		_, err := m.take(8)
		return err
	case opGlobal, opStackGlobal:
		return m.global(op)
	case opBinPut, opLongBinPut, opMemoize, opBinGet, opLongBinGet:
		return m.memory(op)
	case opMark:
		if len(m.marks) == maxMarks {
			return fmt.Errorf("more than %d open marks", maxMarks)
		}
		m.marks = append(m.marks, len(m.stack))
		return nil
	case opNone:
		return m.push(nil)
	case opNewTrue, opNewFalse:
		return m.push(op == opNewTrue)
	case opBinInt, opBinInt1, opBinInt2, opLong1, opBinFloat:
		return m.number(op)
	case opBinUnicode, opShortUnicode, opBinUnicode8, opBinBytes, opShortBinBytes, opBinBytes8:
		return m.text(op)
	case opEmptyDict:
		return m.make(new(dict))
	case opEmptyList:
		return m.make(new(list))
	case opEmptyTuple, opTuple, opTuple1, opTuple2, opTuple3:
		return m.tuple(op)
	case opBinPersID, opReduce, opBuild:
		return m.call(op)
	case opSetItem, opSetItems, opAppend, opAppends:
		return m.fill(op)
	}
	return refuseOp(op)
}

func (m *machine) global(op byte) error {
	var names [2]string
	for i := range names {
		if op == opGlobal {
			n := bytes.IndexByte(m.data[m.at:], '\n')
			if n < 0 {
				return errTooShort
			}
			names[i] = string(m.data[m.at : m.at+n])
			m.at += n + 1
			continue
		}
		v, err := m.pop()
		if err != nil {
			return err
		}
		s, ok := v.(string)
		if !ok {
			return fmt.Errorf("STACK_GLOBAL of %s, want a string", describe(v))
		}
		names[1-i] = s
	}
	g, err := findGlobal(names[0], names[1])
	if err != nil {
		return err
	}
	return m.push(g)
}

// memory keeps the top of the stack under a number, or fetches what was kept.
func (m *machine) memory(op byte) error {
	var index uint32
	switch op {
	case opBinPut, opBinGet:
		b, err := m.byte()
		if err != nil {
			return err
		}
		index = uint32(b)
	case opLongBinPut, opLongBinGet:
		b, err := m.take(4)
		if err != nil {
			return err
		}
		index = le32(b)
	case opMemoize:
		index = uint32(len(m.memo))
	}
	if op == opBinGet || op == opLongBinGet {
		v, ok := m.memo[index]
		if !ok {
			return fmt.Errorf("memo %d was never written", index)
		}
		return m.push(v)
	}
	if len(m.memo) == maxMemo {
		return fmt.Errorf("more than %d memos", maxMemo)
	}
	if err := m.needs(1); err != nil {
		return err
	}
	m.memo[index] = m.stack[len(m.stack)-1]
	return nil
}

func (m *machine) number(op byte) error {
	n := map[byte]int{opBinInt: 4, opBinInt1: 1, opBinInt2: 2, opBinFloat: 8}[op]
	if op == opLong1 {
		b, err := m.byte()
		if err != nil {
			return err
		}
		n = int(b)
	}
	b, err := m.take(n)
	if err != nil {
		return err
	}
	switch {
	case op == opBinFloat:
		return m.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
	case n > 8:
		return m.push(bigInt(b))
	}
	var v int64
	for i := range b {
		v |= int64(b[i]) << (8 * i)
	}
	if signed := op == opBinInt || op == opLong1; signed && n > 0 && n < 8 && b[n-1] >= 0x80 {
		v -= 1 << (8 * n)
	}
	return m.push(v)
}

func (m *machine) text(op byte) error {
	var length uint64
	switch op {
	case opShortUnicode, opShortBinBytes:
		b, err := m.byte()
		if err != nil {
			return err
		}
		length = uint64(b)
	case opBinUnicode, opBinBytes:
		b, err := m.take(4)
		if err != nil {
			return err
		}
		length = uint64(le32(b))
	case opBinUnicode8, opBinBytes8:
		b, err := m.take(8)
		if err != nil {
			return err
		}
		length = binary.LittleEndian.Uint64(b)
	}
	if length > uint64(len(m.data)) {
		return errTooShort
	}
	b, err := m.take(int(length))
	if err != nil {
		return err
	}
	if op == opBinBytes || op == opShortBinBytes || op == opBinBytes8 {
		return m.push(b)
	}
	if !utf8.Valid(b) { // Python keeps lone surrogates; no name of a tensor has them
		return fmt.Errorf("the string %.40q is not UTF-8", b)
	}
	return m.push(string(b))
}

func (m *machine) tuple(op byte) (err error) {
	var items []any
	switch op {
	case opTuple:
		items, err = m.popMark()
	case opTuple1, opTuple2, opTuple3:
		items, err = m.popItems(int(op-opTuple1) + 1)
	}
	if err != nil {
		return err
	}
	return m.make(tuple(items))
}

// call carries out what stands for calls in a pickle.
func (m *machine) call(op byte) error {
	arg, err := m.pop()
	if err != nil {
		return err
	}
	if op == opBinPersID {
		s, err := newStorage(arg)
		if err != nil {
			return err
		}
		return m.make(s)
	}
	if err := m.needs(1); err != nil {
		return err
	}
	top := m.stack[len(m.stack)-1]
	if op == opBuild { // a state dict's _metadata, versions of modules
		if _, ok := top.(*dict); !ok {
			return fmt.Errorf("BUILD on %s, want a dict", describe(top))
		}
		return nil
	}
	m.drop(1)
	g, ok := top.(*global)
	if !ok || g.call == nil {
		return fmt.Errorf("a call of %s, which is no function", describe(top))
	}
	args, ok := arg.(tuple)
	if !ok {
		return fmt.Errorf("a call of %s with %s, want a tuple of arguments", g.name, describe(arg))
	}
	v, err := g.call(args)
	if err != nil {
		return fmt.Errorf("%s: %w", g.name, err)
	}
	return m.make(v)
}

// fill adds items to a dict or a list.
func (m *machine) fill(op byte) error {
	var items []any
	var err error
	switch op {
	case opSetItem:
		items, err = m.popItems(2)
	case opAppend:
		items, err = m.popItems(1)
	default:
		items, err = m.popMark()
	}
	if err == nil {
		err = m.needs(1)
	}
	if err != nil {
		return err
	}
	top := m.stack[len(m.stack)-1]
	if op == opAppend || op == opAppends {
		l, ok := top.(*list)
		if !ok {
			return fmt.Errorf("appending to %s, want a list", describe(top))
		}
		l.items = append(l.items, items...)
		return nil
	}
	d, ok := top.(*dict)
	if !ok || len(items)%2 != 0 {
		return fmt.Errorf("setting %d items of %s, want pairs and a dict", len(items), describe(top))
	}
	for i := 0; i < len(items); i += 2 {
		if err := d.set(items[i], items[i+1]); err != nil {
			return err
		}
	}
	return nil
}

var errTooShort = errors.New("the pickle ends too early")

// take returns the next n bytes of the pickle.
func (m *machine) take(n int) ([]byte, error) {
	if n > len(m.data)-m.at {
		return nil, errTooShort
	}
	b := m.data[m.at : m.at+n : m.at+n]
	m.at += n
	return b, nil
}

func (m *machine) byte() (byte, error) {
	b, err := m.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (m *machine) push(v any) error {
	if len(m.stack) == maxStack {
		return fmt.Errorf("more than %d values on the stack", maxStack)
	}
	m.stack = append(m.stack, v)
	return nil
}

// make pushes an object that is new.
func (m *machine) make(v any) error {
	if m.objects++; m.objects > maxObjects {
		return fmt.Errorf("more than %d objects", maxObjects)
	}
	return m.push(v)
}

// needs tells whether there are n values above the last mark.
func (m *machine) needs(n int) error {
	low := 0
	if len(m.marks) > 0 {
		low = m.marks[len(m.marks)-1]
	}
	if len(m.stack)-low < n {
		return fmt.Errorf("%d values on the stack, want %d", len(m.stack)-low, n)
	}
	return nil
}

func (m *machine) drop(n int) {
	clear(m.stack[len(m.stack)-n:])
	m.stack = m.stack[:len(m.stack)-n]
}

func (m *machine) pop() (any, error) {
	if err := m.needs(1); err != nil {
		return nil, err
	}
	v := m.stack[len(m.stack)-1]
	m.drop(1)
	return v, nil
}

// popMark removes the last mark and returns the values above it.
func (m *machine) popMark() ([]any, error) {
	if len(m.marks) == 0 {
		return nil, errors.New("there is no mark")
	}
	low := m.marks[len(m.marks)-1]
	m.marks = m.marks[:len(m.marks)-1]
	return m.popItems(len(m.stack) - low)
}

// popItems returns the n values on top, which go into one object.
func (m *machine) popItems(n int) ([]any, error) {
	if err := m.needs(n); err != nil {
		return nil, err
	}
	if m.items += n; m.items > maxItems {
		return nil, fmt.Errorf("more than %d items in dicts, lists and tuples", maxItems)
	}
	items := append([]any(nil), m.stack[len(m.stack)-n:]...)
	m.drop(n)
	return items, nil
}
