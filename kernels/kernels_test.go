package kernels

import (
	"math"
	"strings"
	"testing"
)

// An idle device allocates matrices without memory and remembers the last op.
type idle struct{ last Op }

func (d *idle) Name() string      { return "idle" }
func (d *idle) Write(Mat, []byte) {}
func (d *idle) Read([]byte, Mat)  {}
func (d *idle) Do(op Op)          { d.last = op }
func (d *idle) Sync() error       { return nil }
func (d *idle) Alloc(t Type, rows, cols int) Mat {
	return Mat{Type: t, Rows: rows, Cols: cols, Stride: cols, Mem: d}
}

func m(rows, cols int) Mat      { return Mat{Rows: rows, Cols: cols, Stride: cols} }
func ints(rows, cols int) Mat   { return Mat{Type: I32, Rows: rows, Cols: cols, Stride: cols} }
func halves(rows, cols int) Mat { return Mat{Type: BF16, Rows: rows, Cols: cols, Stride: cols} }

// Each op accepts operands that fit, with every optional one absent, and says with both
// numbers what does not.
func TestChecks(t *testing.T) {
	for _, c := range []struct {
		op   Op
		want string // "" for an op that is in order
	}{
		{Zero{m(2, 3)}, ""},
		{Add{m(2, 3), m(2, 3)}, ""},
		{Add{m(2, 3), m(3, 3)}, "x has 3 rows, want 2"},
		{Add{m(2, 3), halves(2, 3)}, "operand is bf16, want f32"},
		{Copy{halves(2, 3), halves(2, 3)}, ""},
		{Copy{m(2, 3), m(2, 4)}, "x has 4 columns, want 3"},
		{Copy{m(2, 3), halves(2, 3)}, "x is bf16, want f32"},
		{Embed{m(2, 3), halves(9, 3), ints(2, 1)}, ""},
		{Embed{m(2, 3), m(9, 4), ints(2, 1)}, "table has 4 columns, want 3"},
		{Embed{m(2, 3), m(9, 3), m(2, 1)}, "ids is f32, want i32"},
		{NegExp{m(2, 3), m(2, 4)}, "x has 4 columns, want 3"},
		{ArgMax{ints(2, 1), m(2, 5)}, ""},
		{ArgMax{ints(2, 1), m(2, 0)}, "columns of x is 0, want at least 1"},
		{RMSNorm{Dst: m(2, 3), X: m(2, 3), Gain: m(1, 3)}, ""},
		{RMSNorm{Dst: m(2, 3), X: m(2, 3), Gain: m(1, 4)}, "gain has 4 columns, want 3"},
		{RMSNorm{Dst: m(2, 3), X: m(2, 3), Delta: m(1, 3), Gain: m(1, 3)}, "delta has 1 rows, want 2"},
		{LayerNorm{Dst: m(2, 3), X: m(2, 3), Gain: m(1, 3), Bias: m(1, 2)}, "bias has 2 columns, want 3"},
		{MatMul{Dst: m(2, 5), A: m(2, 3), B: halves(5, 3)}, ""},
		{MatMul{Dst: m(2, 5), A: m(2, 3), B: m(5, 4)}, "b has 4 columns, want 3"},
		{MatMul{Dst: m(2, 5), A: m(2, 3), B: m(5, 3), Bias: m(1, 4)}, "bias has 4 columns, want 5"},
		{MatMul{Dst: m(2, 5), A: m(2, 3), B: ints(5, 3)}, "b is i32, want f32, bf16 or f16"},
		{Activation{Dst: m(2, 3), X: m(2, 3), Act: SiLU}, ""},
		{Activation{Dst: m(2, 3), X: m(2, 3)}, "activation is 0, want at least 1"},
		{ConvSiLU{Dst: m(6, 3), X: m(6, 3), W: m(3, 4), State: m(6, 3), Seqs: 2}, ""},
		{ConvSiLU{Dst: m(6, 3), X: m(6, 3), W: m(3, 1), Seqs: 2}, ""},
		{ConvSiLU{Dst: m(6, 3), X: m(6, 3), W: m(3, 4), State: m(5, 3), Seqs: 2}, "state has 5 rows, want 6"},
		{ConvSiLU{Dst: m(5, 3), X: m(5, 3), W: m(3, 4), State: m(6, 3), Seqs: 2}, "5 does not divide by 2"},
		{Scan{Dst: m(4, 3), X: m(4, 3), Dt: m(4, 3), A: m(3, 2), B: m(4, 2), C: m(4, 2), State: m(6, 2), Seqs: 2}, ""},
		{Scan{Dst: m(4, 3), X: m(4, 3), Dt: m(4, 3), A: m(3, 2), B: m(4, 1), C: m(4, 2), State: m(6, 2), Seqs: 2}, "b has 1 columns, want 2"},
		{Scan{Dst: m(4, 3), X: m(4, 3), Dt: m(4, 3), A: m(3, 2), B: m(4, 2), C: m(4, 2), State: m(3, 2), Seqs: 2}, "state has 3 rows, want 6"},
		{RotaryStore{Q: m(4, 8), K: m(4, 4), V: m(4, 4), KCache: halves(20, 4), VCache: m(20, 4), Seqs: 2, Past: 8, HeadDim: 4}, ""},
		{RotaryStore{Q: m(4, 8), K: m(4, 4), V: m(4, 4), KCache: m(20, 4), VCache: m(20, 4), Seqs: 2, Past: 9, HeadDim: 4}, "step ends at position 11 of a cache of 10"},
		{RotaryStore{Q: m(4, 8), K: m(4, 4), V: m(4, 4), KCache: m(20, 4), VCache: m(20, 4), Seqs: 2, HeadDim: 3}, "8 does not divide by 3"},
		{RotaryStore{Q: m(4, 8), K: m(4, 4), V: m(4, 4), KCache: m(20, 4), VCache: m(20, 4), Seqs: 2, HeadDim: 4, Rotary: 4}, "base is 0, want above 0"},
		{Attend{Dst: m(4, 8), Q: m(4, 8), K: m(20, 4), V: m(20, 4), Seqs: 2, HeadDim: 4}, ""},
		{Attend{Dst: m(4, 8), Q: m(4, 8), K: m(20, 4), V: m(20, 4), Seqs: 2, HeadDim: 4, Past: -1}, "past is -1, want at least 0"},
		{Attend{Dst: m(4, 8), Q: m(4, 8), K: m(20, 4), V: m(20, 4), Seqs: 0, HeadDim: 4}, "4 does not divide by 0"},
		{Attend{Dst: m(4, 12), Q: m(4, 12), K: m(20, 8), V: m(20, 8), Seqs: 2, HeadDim: 4}, "12 does not divide by 8"},
		{Sinkhorn{Bias: m(1, 4), Logits: m(9, 4), Temperature: 1}, ""},
		{Sinkhorn{Bias: m(1, 4), Logits: m(9, 4)}, "temperature is 0, want above 0"},
		{Route{Experts: ints(5, 2), Gates: m(5, 2), Logits: m(5, 4), Score: SoftmaxScore}, ""},
		{Route{Experts: ints(5, 5), Gates: m(5, 5), Logits: m(5, 4), Score: SoftmaxScore}, "experts is 4, want at least 5"},
		{Route{Experts: ints(5, 2), Gates: m(5, 2), Logits: m(5, 4)}, "score is 0, want at least 1"},
		{Sort{ints(10, 1), ints(10, 1), ints(5, 1), ints(5, 2)}, ""},
		{Sort{ints(9, 1), ints(10, 1), ints(5, 1), ints(5, 2)}, "slots has 9 rows, want 10"},
		{GroupedMatMul{Dst: m(10, 3), A: m(5, 6), B: m(12, 6), Offsets: ints(5, 1), Slots: ints(10, 1), K: 2}, ""},
		{GroupedMatMul{Dst: m(10, 3), A: m(10, 6), B: m(12, 6), Offsets: ints(5, 1)}, ""},
		{GroupedMatMul{Dst: m(9, 3), A: m(4, 6), B: m(12, 6), Offsets: ints(5, 1), Slots: ints(9, 1), K: 2}, "9 does not divide by 2"},
		{GroupedMatMul{Dst: m(10, 3), A: m(10, 6), B: m(11, 6), Offsets: ints(5, 1)}, "b has 11 rows, want 12"},
		{Combine{m(5, 3), m(10, 3), ints(10, 1), m(5, 2)}, ""},
		{Combine{m(5, 3), m(9, 3), ints(10, 1), m(5, 2)}, "src has 9 rows, want 10"},
	} {
		err := c.op.check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%T %+v: error %v, want %q", c.op, c.op, err, c.want)
		}
		if c.want == "" {
			cost := c.op.Cost()
			if cost.FLOPs() < 0 || cost.Read < 0 || cost.Write < 0 || cost.Weight > cost.Read || cost.State > cost.Read+cost.Write {
				t.Errorf("%T costs %+v", c.op, cost)
			}
		}
	}
}

// A mistake in a mixer stops it at once, with the op's name.
func TestStreamPanicsOnMisfit(t *testing.T) {
	defer func() {
		if r := recover(); r == nil || !strings.Contains(r.(string), "kernels: *kernels.Add: x has 3 rows, want 2") {
			t.Errorf("panic %v", r)
		}
	}()
	NewStream(&idle{}).Do(Add{m(2, 3), m(3, 3)})
}

// Feeding an op allocates nothing, and the device sees the op that was fed.
func TestStreamAllocatesNothing(t *testing.T) {
	d := &idle{}
	s := NewStream(d)
	step := func() {
		sc := s.Scope("layer", 3)
		x := s.Temp(F32, 7, 9)
		s.Do(MatMul{Dst: x, A: m(7, 4), B: m(9, 4)})
		s.Do(Activation{Dst: x, X: x, Act: GELU})
		sc.End()
	}
	step()
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
	s.Do(Add{m(2, 3), m(2, 3)})
	if op, ok := d.last.(*Add); !ok || op.X != m(2, 3) {
		t.Errorf("the device saw %+v", d.last)
	}
}

// Scratch of one scope does not overlap, and comes back when the scope ends.
func TestTemp(t *testing.T) {
	s := NewStream(&idle{})
	outer := s.Scope("a", -1)
	a := s.Temp(F32, 3, 5)
	inner := s.Scope("b", -1)
	b := s.Temp(F32, 2, chunkLen) // more than a chunk
	c := s.Temp(I32, 2, 2)
	inner.End()
	d := s.Temp(F32, 3, 5)
	outer.End()
	e := s.Temp(F32, 3, 5)
	if a.Off+a.Len() > d.Off || d.Off%align != 0 {
		t.Errorf("a is at %d, d at %d", a.Off, d.Off)
	}
	if b.Len() != 2*chunkLen || c.Type != I32 {
		t.Errorf("b %v, c %v", b, c)
	}
	if e.Off != a.Off {
		t.Errorf("after its scope a's place is not used again: e is at %d, a was at %d", e.Off, a.Off)
	}
}

// While a stream retains, scratch outlives its scope, and a second round gets the same places
// as the first without asking for more memory.
func TestRetain(t *testing.T) {
	s := NewStream(&idle{})
	round := func() (places [4]int) {
		s.Release()
		s.Retain()
		for i := range places {
			sc := s.Scope("layer", i)
			places[i] = s.Temp(F32, 3, 5).Off
			sc.End()
		}
		return places
	}
	first := round()
	for i, at := range first[1:] {
		if at < first[i]+15 {
			t.Errorf("scratch of scope %d at %d overlaps that before it at %d", i+1, at, first[i])
		}
	}
	if n := testing.AllocsPerRun(10, func() { round() }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
	if again := round(); again != first {
		t.Errorf("second round at %v, first at %v", again, first)
	}
	s.Release()
	sc := s.Scope("a", -1)
	a := s.Temp(F32, 3, 5)
	sc.End()
	if b := s.Temp(F32, 3, 5); b.Off != a.Off {
		t.Error("after Release, scratch still outlives its scope")
	}
}

func TestTrace(t *testing.T) {
	var tr Trace
	for _, op := range []Op{&Enter{"model", -1}, &Enter{"layer", 4}, &Enter{"moe", -1}} {
		if !tr.Note(op) {
			t.Errorf("%T is no edge", op)
		}
	}
	if tr.Note(&Add{}) || !tr.In("moe") || tr.In("mlp") || tr.Index("layer") != 4 || tr.Index("head") != -1 {
		t.Errorf("trace %+v", tr)
	}
	tr.Note(&Leave{})
	tr.Note(&Leave{})
	if tr.In("layer") || !tr.In("model") {
		t.Errorf("trace %+v", tr)
	}
}

func TestBF16(t *testing.T) {
	nan := float32(math.NaN())
	inf := float32(math.Inf(1))
	for in, want := range map[float32]uint16{
		0: 0, 1: 0x3f80, -2: 0xc000, inf: 0x7f80, -inf: 0xff80,
		1 + 1.0/256: 0x3f80, 1 + 3.0/256: 0x3f82, // ties go to even
		1 + 1.01/256: 0x3f81, math.MaxFloat32: 0x7f80,
	} {
		if got := ToBF16(in); got != want {
			t.Errorf("ToBF16(%v) = %#x, want %#x", in, got, want)
		}
	}
	if back := FromBF16(ToBF16(nan)); back == back {
		t.Errorf("a NaN comes back as %v", back)
	}
	if got := ToBF16(math.Float32frombits(0x7f800001)); FromBF16(got) == FromBF16(got) {
		t.Errorf("a NaN with a low fraction became %#x", got)
	}
	for b := range 1 << 16 { // every bf16 survives the way to f32 and back
		if f := FromBF16(uint16(b)); f == f && ToBF16(f) != uint16(b) {
			t.Fatalf("%#x comes back as %#x", b, ToBF16(f))
		}
	}
}

func TestF16(t *testing.T) {
	inf := float32(math.Inf(1))
	for in, want := range map[float32]uint16{
		0: 0, 1: 0x3c00, -2: 0xc000, inf: 0x7c00, -inf: 0xfc00, 65504: 0x7bff,
		65519.996: 0x7bff, 65520: 0x7c00, -65520: 0xfc00, math.MaxFloat32: 0x7c00, // half-way to 2^16 goes to it
		1 + 1.0/2048: 0x3c00, 1 + 3.0/2048: 0x3c02, 1 + 1.01/2048: 0x3c01, // ties go to even
		2 - 1.0/4096: 0x4000,                                                       // a fraction of ones carries into the exponent
		0x1p-14:      0x0400, 0x1p-14 - 0x1p-25: 0x0400, 0x1p-14 - 0x1p-24: 0x03ff, // into and out of the denormals
		0x1p-24: 1, 0x1p-25: 0, 0x1.000002p-25: 1, 0x1.8p-24: 2, -0x1p-24: 0x8001, 1e-40: 0, -1e-40: 0x8000,
	} {
		if got := ToF16(in); got != want {
			t.Errorf("ToF16(%v) = %#x, want %#x", in, got, want)
		}
	}
	if got := ToF16(float32(math.Copysign(0, -1))); got != 0x8000 {
		t.Errorf("ToF16(-0) = %#x", got)
	}
	for _, bits := range []uint32{0x7fc00000, 0x7f800001, 0xffbfffff} {
		if back := FromF16(ToF16(math.Float32frombits(bits))); back == back {
			t.Errorf("NaN %#x comes back as %v", bits, back)
		}
	}
}

// Every half survives the way to f32 and back, stands for the number that IEEE 754 says, and
// between neighbours the nearer wins, of two equally near the even one.
func TestF16All(t *testing.T) {
	for h := range 1 << 16 {
		f := FromF16(uint16(h))
		sign, exp, frac := 1-2*float64(h>>15), h>>10&0x1f, float64(h&0x3ff)
		switch {
		case exp == 31 && frac != 0:
			if f == f || FromF16(ToF16(f)) == FromF16(ToF16(f)) {
				t.Fatalf("NaN %#x is %v", h, f)
			}
			continue
		case exp == 31:
			if !math.IsInf(float64(f), int(sign)) {
				t.Fatalf("%#x is %v", h, f)
			}
		default:
			want := sign * math.Ldexp(1+frac/1024, exp-15)
			if exp == 0 {
				want = sign * math.Ldexp(frac/1024, -14)
			}
			if float64(f) != want {
				t.Fatalf("%#x is %v, want %v", h, f, want)
			}
		}
		if ToF16(f) != uint16(h) || F16.Round(f) != f {
			t.Fatalf("%#x comes back as %#x", h, ToF16(f))
		}
		if next := FromF16(uint16(h + 1)); exp < 31 && h&0x7fff != 0x7bff {
			middle := (f + next) / 2
			even, toNext := h+h&1, math.Nextafter32(middle, next)
			if got := ToF16(middle); got != uint16(even) {
				t.Fatalf("half-way from %#x to the next rounds to %#x", h, got)
			}
			if got := ToF16(toNext); got != uint16(h+1) {
				t.Fatalf("just beyond half-way from %#x rounds to %#x", h, got)
			}
		}
	}
}

func TestViews(t *testing.T) {
	x := m(12, 10)
	if v := x.RowRange(2, 5).ColRange(3, 7); v.Rows != 3 || v.Cols != 4 || v.Off != 23 || v.Stride != 10 || v.Contiguous() {
		t.Errorf("%+v", v)
	}
	if v := x.LastRows(3); v.Rows != 3 || v.Stride != 40 || v.Off != 30 {
		t.Errorf("%+v", v)
	}
	if x.Bytes() != 480 || halves(12, 10).Bytes() != 240 || !(Mat{}).None() || x.String() != "[12×10]" {
		t.Errorf("%v %v", x.Bytes(), x)
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"f32", "bf16", "f16"} {
		if typ, err := ParseFloat(name); err != nil || typ.String() != name {
			t.Errorf("%s: %v, %v", name, typ, err)
		}
	}
	for _, name := range []string{"i32", "f64", ""} {
		if _, err := ParseFloat(name); err == nil {
			t.Errorf("%q is a floating-point type", name)
		}
	}
	var a Act
	var s Score
	if a.UnmarshalText([]byte("gelu_tanh")) != nil || a != GELUTanh || s.UnmarshalText([]byte("softmax_topk")) != nil || s != SoftmaxTopKScore {
		t.Errorf("%v, %v", a, s)
	}
	if err := a.UnmarshalText([]byte("sillu")); err == nil || err.Error() != `activation "sillu" is unknown: want one of silu, gelu, gelu_tanh, relu` {
		t.Errorf("error %v", err)
	}
}
