package checkpoint

import (
	"cmp"
	"slices"

	"quadrant/arch"
	"quadrant/kernels"
)

// loadableTypes are the types of tensors that load, and the same types in memory.
var loadableTypes = []struct {
	dtype string
	typ   kernels.Type
}{{"F32", kernels.F32}, {"F16", kernels.F16}, {"BF16", kernels.BF16}}

// typeOf returns the type in memory that holds a tensor's elements as they are.
func typeOf(dtype string) (t kernels.Type, ok bool) {
	for _, row := range loadableTypes {
		if row.dtype == dtype {
			return row.typ, true
		}
	}
	return 0, false
}

// dtypeOf is the inverse of typeOf.
func dtypeOf(t kernels.Type) string {
	for _, row := range loadableTypes {
		if row.typ == t {
			return row.dtype
		}
	}
	return "I32"
}

// MatrixTypes lists the types of c's matrices in its files, the one with most bytes first:
// those that arch.Types.Weights has a say in, unlike norms, A_log or routers, which are F32
// in memory whatever they are in a file. Tensors that are missing or would not load do not
// count; without any the list is empty. Only headers are read.
func (c *Checkpoint) MatrixTypes() ([]kernels.Type, error) {
	w, err := OpenWeights(c.Path)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	m, err := arch.New(c.Config, shapes{}, arch.Types{})
	if err != nil {
		return nil, err
	}
	all, err := c.family.weights(m)
	if err != nil {
		return nil, err
	}
	bytes := map[kernels.Type]int{}
	var types []kernels.Type
	for _, weight := range all {
		for _, p := range weight.parts {
			tensor, found := c.find(w, p.tensor)
			t, ok := typeOf(tensor.DType)
			if !found || !ok || weight.param.Wide {
				continue
			}
			if !slices.Contains(types, t) {
				types = append(types, t)
			}
			bytes[t] += len(tensor.Data)
		}
	}
	slices.SortStableFunc(types, func(a, b kernels.Type) int { return cmp.Compare(bytes[b], bytes[a]) })
	return types, nil
}
