package kernels

// Zero is Dst = 0.
//
// Gradient: none, the output is constant.
type Zero struct{ Dst Mat }

func (o Zero) Cost() Cost   { return Cost{}.writes(o.Dst) }
func (o Zero) check() error { return nil }

// Copy is Dst = X, both of one type: what a sequence remembers, for another to go on from.
//
// Gradient: dX = g.
type Copy struct{ Dst, X Mat }

func (o Copy) Cost() Cost { return Cost{}.reads(o.X).writes(o.Dst) }

func (o Copy) check() error {
	return first(shaped("x", o.X, o.Dst), sameType("x", o.X, o.Dst))
}

// Add is Dst += X.
//
// Gradient: dX = g, and g passes to Dst's former value.
type Add struct{ Dst, X Mat }

func (o Add) Cost() Cost {
	return Cost{Other: elements(o.Dst)}.reads(o.Dst, o.X).writes(o.Dst)
}

func (o Add) check() error {
	return first(shaped("x", o.X, o.Dst), f32("operand", o.Dst, o.X))
}

// Embed copies rows of a table: Dst[i] = Table[IDs[i]]. Dst is [T, d_model] F32, Table
// [vocab, d_model] of any float type, IDs [T, 1] I32. The ids are within the table.
//
// Gradient: dTable[IDs[i]] += g[i].
type Embed struct{ Dst, Table, IDs Mat }

func (o Embed) Cost() Cost {
	touched := o.Table.RowRange(0, min(o.Dst.Rows, o.Table.Rows))
	return Cost{}.reads(o.IDs).weights(touched).writes(o.Dst)
}

func (o Embed) check() error {
	return first(
		rows("ids", o.IDs, o.Dst.Rows), cols("ids", o.IDs, 1), cols("table", o.Table, o.Dst.Cols),
		f32("dst", o.Dst), float("table", o.Table), i32("ids", o.IDs))
}

// NegExp is Dst = −exp(X): the state matrix A of a [Scan] from the parameter A_log
// that checkpoints hold (Mamba, arXiv:2312.00752).
//
// Gradient: dX = g ⊙ Dst.
type NegExp struct{ Dst, X Mat }

func (o NegExp) Cost() Cost {
	return Cost{Other: 2 * elements(o.Dst)}.weights(o.X).writes(o.Dst)
}

func (o NegExp) check() error {
	return first(shaped("x", o.X, o.Dst), f32("operand", o.Dst, o.X))
}

// ArgMax is Dst[i] = the column of the largest value of X[i], the first of equals: the
// greedy choice of a token. Dst is [T, 1] I32. A row of nothing but NaN gives 0.
//
// Gradient: none, a choice is not differentiable.
type ArgMax struct{ Dst, X Mat }

func (o ArgMax) Cost() Cost {
	return Cost{Other: elements(o.X)}.reads(o.X).writes(o.Dst)
}

func (o ArgMax) check() error {
	return first(
		rows("dst", o.Dst, o.X.Rows), cols("dst", o.Dst, 1), atLeast("columns of x", o.X.Cols, 1),
		i32("dst", o.Dst), f32("x", o.X))
}
