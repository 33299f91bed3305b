package kernels

// A Cost is the work that an op's definition asks for.
type Cost struct {
	MatMul int64 // FLOPs in matrix products, attention's included
	Other  int64 // all other FLOPs
	Read   int64 // bytes of every operand read, each once
	Write  int64 // bytes of every operand written, each once
	Weight int64 // of Read, the bytes that are weights
	State  int64 // of Read and Write, the bytes that are caches or recurrent state
}

// FLOPs is the total over both kinds.
func (c Cost) FLOPs() int64 { return c.MatMul + c.Other }

// Add returns the sum of c and d.
func (c Cost) Add(d Cost) Cost {
	return Cost{
		c.MatMul + d.MatMul, c.Other + d.Other,
		c.Read + d.Read, c.Write + d.Write,
		c.Weight + d.Weight, c.State + d.State,
	}
}

// The methods below build a Cost operand by operand.

func (c Cost) reads(ms ...Mat) Cost {
	for _, m := range ms {
		c.Read += m.Bytes()
	}
	return c
}

func (c Cost) writes(ms ...Mat) Cost {
	for _, m := range ms {
		c.Write += m.Bytes()
	}
	return c
}

func (c Cost) weights(ms ...Mat) Cost {
	for _, m := range ms {
		c.Read += m.Bytes()
		c.Weight += m.Bytes()
	}
	return c
}

// updates counts state that is read and written back.
func (c Cost) updates(m Mat) Cost {
	c.Read += m.Bytes()
	c.Write += m.Bytes()
	c.State += 2 * m.Bytes()
	return c
}

func elements(m Mat) int64 { return int64(m.Rows) * int64(m.Cols) }
