package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"quadrant/kernels"
)

// loadBlock is how many elements are converted at a time.
const loadBlock = 1 << 16

// load writes the runs of t to dst, which is contiguous. Bytes of dst's own type go to the
// device straight from the mapped file; others are converted block by block.
func load(dev kernels.Device, dst kernels.Mat, t Tensor, runs []run) error {
	mapped := t.Strides == nil
	t, err := t.Contiguous()
	if err != nil {
		return err
	}
	width := int(widths[t.DType] / 8)
	typ, known := typeOf(t.DType)
	same := known && typ == dst.Type
	var buffer []float32
	for _, r := range runs {
		if same {
			dev.Write(stretch(dst, r.to, r.n), t.Data[r.at*width:(r.at+r.n)*width])
			continue
		}
		buffer = slices.Grow(buffer[:0], min(loadBlock, r.n))
		for done := 0; done < r.n; done += loadBlock {
			n := min(loadBlock, r.n-done)
			buffer, err = widen(buffer[:0], t.DType, t.Data[(r.at+done)*width:][:n*width])
			if err != nil {
				return fmt.Errorf("checkpoint: tensor %q: %w", t.Name, err)
			}
			kernels.Put(dev, stretch(dst, r.to+done, n), buffer)
		}
	}
	if mapped {
		forget(t.Data)
	}
	return nil
}

// stretch is n elements of a contiguous matrix, from at on, as one row.
func stretch(m kernels.Mat, at, n int) kernels.Mat {
	m.Off += at
	m.Rows, m.Cols, m.Stride = 1, n, n
	return m
}

// widen appends the elements in data, which are of a type that [loadable] takes, to dst.
func widen(dst []float32, dtype string, data []byte) ([]float32, error) {
	switch dtype {
	case "F32":
		for ; len(data) >= 4; data = data[4:] {
			dst = append(dst, math.Float32frombits(binary.LittleEndian.Uint32(data)))
		}
	case "BF16":
		for ; len(data) >= 2; data = data[2:] {
			dst = append(dst, kernels.FromBF16(binary.LittleEndian.Uint16(data)))
		}
	case "F16":
		for ; len(data) >= 2; data = data[2:] {
			dst = append(dst, kernels.FromF16(binary.LittleEndian.Uint16(data)))
		}
	default:
		return dst, fmt.Errorf("it is %s, want F32, F16 or BF16", dtype)
	}
	return dst, nil
}
