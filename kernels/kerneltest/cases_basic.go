package kerneltest

import (
	"fmt"
	"math"

	"quadrant/kernels"
)

func (s *suite) basic() {
	s.memory()
	s.scopes()
	s.zero()
	s.copied()
	s.add()
	s.embed()
	s.negExp()
	s.argMax()
}

// memory: a row is read and written where it lies, and nothing else is. It is no op, but
// what every other case relies on.
func (s *suite) memory() {
	for _, t := range weightTypes {
		s.cover(fmt.Sprintf("Memory/copy a row/%v", t), func(b *bench) {
			copyRow[float32](b, b.store("m", b.wild(5, 9).as(t)))
		})
	}
	s.cover("Memory/copy a row/i32", func(b *bench) {
		copyRow[int32](b, b.store("m", ints(3, 2, []int{1, -2, 3, math.MaxInt32, 5, 6})))
	})
}

func copyRow[T float32 | int32](b *bench, m kernels.Mat) {
	row := make([]T, m.Cols)
	kernels.Get(b.stream.Device(), row, m.RowRange(1, 2))
	kernels.Put(b.stream.Device(), m.RowRange(m.Rows-1, m.Rows), row)
}

// scopes: an op between the edges of a scope is done as outside one.
func (s *suite) scopes() {
	s.cover("Enter/around Add", func(b *bench) {
		add := kernels.Add{Dst: b.update("dst", b.normal(3, 5)), X: b.in("x", b.normal(3, 5))}
		scope := b.stream.Scope("layer", 0)
		b.do(add)
		scope.End()
		b.do(add)
	})
}

func (s *suite) zero() {
	for _, t := range []kernels.Type{kernels.F32, kernels.BF16, kernels.F16, kernels.I32} {
		for _, n := range planes() {
			s.cover(fmt.Sprintf("Zero/%dx%d/%v", n[0], n[1], t), func(b *bench) {
				b.do(kernels.Zero{Dst: b.out("dst", t, n[0], n[1])})
			})
		}
	}
}

func (s *suite) copied() {
	for _, t := range weightTypes {
		for _, n := range planes() {
			s.cover(fmt.Sprintf("Copy/%dx%d/%v", n[0], n[1], t), func(b *bench) {
				b.do(kernels.Copy{Dst: b.out("dst", t, n[0], n[1]), X: b.in("x", b.wild(n[0], n[1]).as(t))})
			})
		}
	}
	s.cover("Copy/i32", func(b *bench) {
		b.do(kernels.Copy{Dst: b.out("dst", kernels.I32, 3, 2), X: b.in("x", ints(3, 2, []int{1, -2, 3, math.MaxInt32, 5, 6}))})
	})
}

func (s *suite) add() {
	for _, n := range planes() {
		s.cover(fmt.Sprintf("Add/%dx%d", n[0], n[1]), func(b *bench) {
			b.do(kernels.Add{Dst: b.update("dst", b.wild(n[0], n[1])), X: b.in("x", b.wild(n[0], n[1]))})
		})
	}
}

func (s *suite) embed() {
	for _, t := range weightTypes {
		for _, n := range shapes() {
			tokens, vocab, dim := n[0], n[1], n[2]
			s.cover(fmt.Sprintf("Embed/%dof%dx%d/%v", tokens, vocab, dim, t), func(b *bench) {
				ids := make([]int, tokens)
				for i := range ids {
					ids[i] = b.rand.IntN(vocab)
				}
				ids[tokens-1] = vocab - 1
				b.do(kernels.Embed{
					Dst:   b.out("dst", kernels.F32, tokens, dim),
					Table: b.in("table", b.wild(vocab, dim).as(t)),
					IDs:   b.in("ids", ints(tokens, 1, ids)),
				})
			})
		}
	}
	for _, id := range []int{-1, 4} {
		s.refuse(fmt.Sprintf("Embed/invalid id %d of 4", id), func(b *bench) {
			b.do(kernels.Embed{
				Dst:   b.spend("dst", b.normal(3, 2)),
				Table: b.in("table", b.normal(4, 2)),
				IDs:   b.in("ids", ints(3, 1, []int{0, id, 1})),
			})
			b.afterFailure()
		})
	}
}

// afterFailure gives an op that the device must not carry out any more.
func (b *bench) afterFailure() {
	b.stream.Do(kernels.Add{Dst: b.in("dst of a later op", b.normal(3, 2)), X: b.in("x of a later op", b.normal(3, 2))})
}

var weightTypes = []kernels.Type{kernels.F32, kernels.BF16, kernels.F16}

func (s *suite) negExp() {
	for _, n := range planes() {
		s.cover(fmt.Sprintf("NegExp/%dx%d", n[0], n[1]), func(b *bench) {
			x := func() float64 { return b.planted(3*b.rand.NormFloat64(), -1e4, -88, 88, 1e-40, 0) }
			b.do(kernels.NegExp{Dst: b.out("dst", kernels.F32, n[0], n[1]), X: b.in("x", floats(n[0], n[1], x))})
		})
	}
}

// argMax: values that are often equal, rows of nothing but one value, and negative ones.
func (s *suite) argMax() {
	for _, n := range planes() {
		for _, v := range []struct {
			name   string
			values int
			shift  float64
		}{{"ties", 4, -1}, {"equal", 1, 0}, {"negative", 1 << 20, -1 << 21}} {
			s.cover(fmt.Sprintf("ArgMax/%dx%d/%s", n[0], n[1], v.name), func(b *bench) {
				x := func() float64 {
					return b.planted(float64(b.rand.IntN(v.values))+v.shift, 1e4, -1e4, math.Inf(-1), math.MaxFloat32)
				}
				b.do(kernels.ArgMax{Dst: b.out("dst", kernels.I32, n[0], 1), X: b.in("x", floats(n[0], n[1], x))})
			})
		}
	}
	s.cover("ArgMax/nothing but NaN", func(b *bench) {
		nan := floats(3, 70, math.NaN)
		b.do(kernels.ArgMax{Dst: b.out("dst", kernels.I32, 3, 1), X: b.in("x", nan)})
	})
}
