package checkpoint

import (
	"bytes"
	"fmt"

	"quadrant/arch"
	"quadrant/kernels"
)

// Tensors returns what belongs to the weights of m, such as their gradients, under the names
// and in the shapes that the checkpoint has for the weights. of returns the matrix on dev that
// belongs to the Param of a name and has its shape; where it returns an absent one, nothing
// does.
func (c *Checkpoint) Tensors(dev kernels.Device, m *arch.Model, of func(param string) kernels.Mat) ([]Tensor, error) {
	all, err := c.family.weights(m)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	var tensors []Tensor
	for _, w := range all {
		src := of(w.name)
		if src.None() {
			continue
		}
		for _, p := range w.parts {
			out := exported(dev, src, p)
			var data bytes.Buffer
			data.Grow(int(out.size))
			if err := out.write(&data); err != nil {
				return nil, fmt.Errorf("checkpoint: %s: %w", p.tensor, err)
			}
			tensors = append(tensors, Tensor{Name: out.name, DType: out.dtype, Shape: out.shape, Data: data.Bytes()})
		}
	}
	return tensors, dev.Sync()
}
