package kernels

import "quadrant/internal/enum"

// MatMul is Dst = A·Bᵀ + Bias. A is [T, in] F32, B [out, in] of any float type, as
// checkpoints store a linear layer, Dst [T, out] F32; Bias is [1, out] F32 or absent.
// Products are of F32 activations and weights widened exactly, summed in F32.
//
// Gradient: dA = g·B, dB = gᵀ·A, dBias = Σ g.
type MatMul struct{ Dst, A, B, Bias Mat }

func (o MatMul) Cost() Cost {
	c := Cost{MatMul: 2 * elements(o.Dst) * int64(o.A.Cols)}
	if !o.Bias.None() {
		c.Other = elements(o.Dst)
	}
	return c.reads(o.A).weights(o.B, o.Bias).writes(o.Dst)
}

func (o MatMul) check() error {
	biased := !o.Bias.None()
	return first(
		rows("a", o.A, o.Dst.Rows), cols("b", o.B, o.A.Cols), rows("b", o.B, o.Dst.Cols),
		rows("bias", o.Bias, 1).when(biased), cols("bias", o.Bias, o.Dst.Cols).when(biased),
		f32("operand", o.Dst, o.A, o.Bias), float("b", o.B))
}

// An Act is an activation function. The zero Act is none of them.
type Act uint8

const (
	SiLU     Act = iota + 1 // x·σ(x)
	GELU                    // x·Φ(x), the exact form with erf
	GELUTanh                // the tanh approximation, with √(2/π) and 0.044715
	ReLU                    // max(x, 0)
)

var (
	actNames = enum.Names{"silu", "gelu", "gelu_tanh", "relu"}
	actFLOPs = [...]int64{SiLU: 4, GELU: 5, GELUTanh: 8, ReLU: 1} // per element
)

func (a Act) String() string { return actNames.Of(uint8(a)) }

// MarshalText returns a's name in configs.
func (a Act) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText sets a to the function called text.
func (a *Act) UnmarshalText(text []byte) error {
	v, err := actNames.Parse("activation", text)
	*a = Act(v)
	return err
}

// Activation is Dst = Act(X) ⊙ Mul, or Dst = Act(X) where Mul is absent: the gated and
// the plain hidden layer of an MLP. Dst may be X or Mul. All are [T, hidden] F32.
//
// Gradient: dX = g ⊙ Mul ⊙ Act′(X), dMul = g ⊙ Act(X).
type Activation struct {
	Dst, X, Mul Mat
	Act         Act
}

func (o Activation) Cost() Cost {
	c := Cost{Other: actFLOPs[o.Act] * elements(o.Dst)}.reads(o.X, o.Mul).writes(o.Dst)
	if !o.Mul.None() {
		c.Other += elements(o.Dst)
	}
	return c
}

func (o Activation) check() error {
	return first(
		atLeast("activation", int(o.Act), 1), shaped("x", o.X, o.Dst), shaped("mul", o.Mul, o.Dst).when(!o.Mul.None()),
		f32("operand", o.Dst, o.X, o.Mul))
}
