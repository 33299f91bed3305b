package checkpoint

import (
	"fmt"
	"math"
	"math/bits"
)

// What a pickle makes: nil, bool, int64, float64 and string are themselves, bytes are
// []byte, and the others are below.
type (
	bigInt string // the bytes of a number too large for int64
	tuple  []any
	list   struct{ items []any }

	// A dict keeps the order of its keys, as Python's do.
	dict struct {
		keys, values []any
		seen         map[any]bool // keys that are strings or whole numbers
	}

	// A storage is an array in an entry of the zip file, of count elements.
	storage struct {
		dtype, key string
		count      int
	}

	// A view is a tensor: elements of a storage from offset on, one to the next along
	// each dimension being strides apart.
	view struct {
		storage
		offset         int
		shape, strides []int
	}

	// A global is something that a pickle may name: a function, or a type of storage.
	global struct {
		name  string
		call  func(args tuple) (any, error) // nil for what is not called
		dtype string                        // of a storage
	}
)

// globals are all that a pickle may name: what PyTorch makes state dicts of
// (torch/_utils.py, torch/storage.py). None does anything but describe an array.
var globals = []*global{
	{name: "collections.OrderedDict", call: newOrderedDict},
	{name: "torch._utils._rebuild_tensor_v2", call: rebuildTensor},
	{name: "torch._utils._rebuild_parameter", call: rebuildParameter},
	{name: "torch.DoubleStorage", dtype: "F64"},
	{name: "torch.FloatStorage", dtype: "F32"},
	{name: "torch.HalfStorage", dtype: "F16"},
	{name: "torch.BFloat16Storage", dtype: "BF16"},
	{name: "torch.LongStorage", dtype: "I64"},
	{name: "torch.IntStorage", dtype: "I32"},
	{name: "torch.ShortStorage", dtype: "I16"},
	{name: "torch.CharStorage", dtype: "I8"},
	{name: "torch.ByteStorage", dtype: "U8"},
	{name: "torch.BoolStorage", dtype: "BOOL"},
	{name: "torch.ComplexFloatStorage", dtype: "C64"},
}

func findGlobal(module, name string) (*global, error) {
	full := module + "." + name
	for _, g := range globals {
		if g.name == full {
			return g, nil
		}
	}
	return nil, fmt.Errorf("the pickle names %.200q, which a checkpoint of tensors does not need; nothing was run. Save the tensors alone, with torch.save(model.state_dict(), …)", full)
}

func newOrderedDict(args tuple) (any, error) {
	if len(args) != 0 {
		return nil, fmt.Errorf("%d arguments, want none", len(args))
	}
	return new(dict), nil
}

// rebuildParameter takes (tensor, requires_grad, backward_hooks).
func rebuildParameter(args tuple) (any, error) {
	if len(args) != 3 {
		return nil, fmt.Errorf("%d arguments, want 3", len(args))
	}
	v, ok := args[0].(*view)
	if !ok {
		return nil, fmt.Errorf("argument 1 is %s, want a tensor", describe(args[0]))
	}
	return v, nil
}

// rebuildTensor takes (storage, offset, size, stride, requires_grad, backward_hooks) and,
// from PyTorch 2.1 on, perhaps metadata.
func rebuildTensor(args tuple) (any, error) {
	if len(args) != 6 && len(args) != 7 {
		return nil, fmt.Errorf("%d arguments, want 6 or 7", len(args))
	}
	s, ok := args[0].(*storage)
	if !ok {
		return nil, fmt.Errorf("argument 1 is %s, want a storage", describe(args[0]))
	}
	offset, err := wholeNumber("offset", args[1])
	if err != nil {
		return nil, err
	}
	shape, err := wholeNumbers("size", args[2])
	if err != nil {
		return nil, err
	}
	strides, err := wholeNumbers("stride", args[3])
	if err != nil {
		return nil, err
	}
	v := &view{*s, offset, shape, strides}
	return v, v.check()
}

// maxExpanded bounds the elements of a tensor that has more of them than its storage.
const maxExpanded = 1 << 24

// check tells whether all elements lie within the storage.
func (v *view) check() error {
	if len(v.shape) != len(v.strides) {
		return fmt.Errorf("size %v and stride %v have %d and %d dimensions", v.shape, v.strides, len(v.shape), len(v.strides))
	}
	n, err := elements(v.shape)
	if err != nil {
		return err
	}
	if n > max(v.count, maxExpanded) {
		return fmt.Errorf("a tensor of size %v has %d elements, but its storage only %d: expanding to more than %d is not supported", v.shape, n, v.count, maxExpanded)
	}
	span, ok := span(v.shape, v.strides)
	if !ok || v.offset > v.count || span > v.count-v.offset {
		return fmt.Errorf("a tensor with offset %d, size %v and stride %v reaches beyond its storage %q of %d elements", v.offset, v.shape, v.strides, v.key, v.count)
	}
	return nil
}

// span is the number of elements from the first to the last of a tensor, both included:
// 0 for one without elements. It is not ok where int cannot hold it.
func span(shape, strides []int) (n int, ok bool) {
	last := uint64(0)
	for i, d := range shape {
		if d == 0 {
			return 0, true
		}
		hi, lo := bits.Mul64(uint64(d-1), uint64(strides[i]))
		sum, carry := bits.Add64(last, lo, 0)
		if hi != 0 || carry != 0 || sum >= math.MaxInt {
			return 0, false
		}
		last = sum
	}
	return int(last) + 1, true
}

func wholeNumber(what string, v any) (int, error) {
	n, ok := v.(int64)
	if !ok || n < 0 || n > math.MaxInt {
		return 0, fmt.Errorf("%s is %s, want a whole number from 0 to %d", what, describe(v), math.MaxInt)
	}
	return int(n), nil
}

func wholeNumbers(what string, v any) ([]int, error) {
	t, ok := v.(tuple)
	if !ok || len(t) > maxDims {
		return nil, fmt.Errorf("%s is %s, want a tuple of at most %d numbers", what, describe(v), maxDims)
	}
	numbers := make([]int, len(t))
	for i, item := range t {
		var err error
		if numbers[i], err = wholeNumber(what, item); err != nil {
			return nil, err
		}
	}
	return numbers, nil
}

// newStorage reads a persistent id: ("storage", type, key, location, count).
func newStorage(id any) (*storage, error) {
	t, ok := id.(tuple)
	if !ok || len(t) != 5 || t[0] != any("storage") {
		return nil, fmt.Errorf("persistent id is %s, want (\"storage\", type, key, location, count)", describe(id))
	}
	kind, ok := t[1].(*global)
	if !ok || kind.dtype == "" {
		return nil, fmt.Errorf("persistent id: the type is %s, want one of torch's storages", describe(t[1]))
	}
	key, ok := t[2].(string)
	if !ok {
		return nil, fmt.Errorf("persistent id: the key is %s, want a string", describe(t[2]))
	}
	count, err := wholeNumber("persistent id: the count", t[4])
	return &storage{kind.dtype, key, count}, err
}

func (d *dict) set(key, value any) error {
	switch key.(type) {
	case string, int64, bool:
		if d.seen == nil {
			d.seen = map[any]bool{}
		}
		if d.seen[key] {
			return fmt.Errorf("key %.200q occurs twice in a dict", fmt.Sprint(key))
		}
		d.seen[key] = true
	case nil, float64, tuple, []byte, bigInt: // keys in Python, but never of tensors
	default:
		return fmt.Errorf("%s cannot be a key of a dict", describe(key))
	}
	d.keys, d.values = append(d.keys, key), append(d.values, value)
	return nil
}

// get returns the value of a key that is a string, or nil.
func (d *dict) get(key string) any {
	for i, k := range d.keys {
		if s, ok := k.(string); ok && s == key {
			return d.values[i]
		}
	}
	return nil
}

// describe says what v is, shortly: values may contain themselves.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool, int64, float64:
		return fmt.Sprint(v)
	case string:
		return fmt.Sprintf("%.40q", v)
	case []byte:
		return fmt.Sprintf("%d bytes", len(v))
	case bigInt:
		return fmt.Sprintf("a number of %d bytes", len(v))
	case tuple:
		return fmt.Sprintf("a tuple of %d", len(v))
	case *list:
		return fmt.Sprintf("a list of %d", len(v.items))
	case *dict:
		return fmt.Sprintf("a dict of %d", len(v.keys))
	case *global:
		return v.name
	case *storage:
		return fmt.Sprintf("a storage of %d %s", v.count, v.dtype)
	case *view:
		return fmt.Sprintf("a tensor %v", v.shape)
	}
	return "nothing"
}
