package checkpoint

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"quadrant/kernels"
)

func bytesOf(t *testing.T, values any) []byte {
	t.Helper()
	data, err := binary.Append(nil, binary.LittleEndian, values)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestFloat32s(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		dtype  string
		stored any
		want   []float32
	}{
		{"F32", []float32{1.5, -0.25, inf}, []float32{1.5, -0.25, inf}},
		{"F16", []uint16{0x3c00, 0xc100, 0x0001, 0x7bff, 0xfc00}, []float32{1, -2.5, 0x1p-24, 65504, -inf}},
		{"BF16", []uint16{0x3f80, 0xc020, 0x0001}, []float32{1, -2.5, 0x1p-133}},
		{"F64", []float64{0.1, -3, 1e300}, []float32{0.1, -3, inf}},
		{"F32", []float32{}, []float32{}},
	} {
		tensor := Tensor{Name: "a", DType: c.dtype, Shape: []int{len(c.want)}, Data: bytesOf(t, c.stored)}
		got, err := tensor.Float32s()
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s %v = %v, %v, want %v", c.dtype, c.stored, got, err, c.want)
		}
	}
}

func TestInts(t *testing.T) {
	for _, c := range []struct {
		dtype  string
		stored any
		want   []int64
	}{
		{"BOOL", []uint8{0, 1, 2}, []int64{0, 1, 1}},
		{"U8", []uint8{0, 255}, []int64{0, 255}},
		{"I8", []int8{-128, 127}, []int64{-128, 127}},
		{"U16", []uint16{65535}, []int64{65535}},
		{"I16", []int16{-32768}, []int64{-32768}},
		{"U32", []uint32{math.MaxUint32}, []int64{math.MaxUint32}},
		{"I32", []int32{math.MinInt32}, []int64{math.MinInt32}},
		{"I64", []int64{math.MinInt64, 7}, []int64{math.MinInt64, 7}},
		{"U64", []uint64{math.MaxInt64}, []int64{math.MaxInt64}},
	} {
		tensor := Tensor{Name: "a", DType: c.dtype, Shape: []int{len(c.want)}, Data: bytesOf(t, c.stored)}
		got, err := tensor.Ints()
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s %v = %v, %v, want %v", c.dtype, c.stored, got, err, c.want)
		}
	}
}

func TestUnalignedData(t *testing.T) {
	raw := append([]byte{0xaa}, bytesOf(t, []float64{1, 2})...)
	got, err := Tensor{Name: "a", DType: "F64", Shape: []int{2}, Data: raw[1:]}.Float32s()
	if err != nil || !slices.Equal(got, []float32{1, 2}) {
		t.Errorf("got %v, %v, want [1 2]", got, err)
	}
}

func TestConversionErrors(t *testing.T) {
	for _, c := range []struct {
		tensor Tensor
		floats string
		ints   string
	}{
		{Tensor{Name: "a", DType: "I32", Data: make([]byte, 4)}, "is I32, want F32, F16, BF16 or F64", ""},
		{Tensor{Name: "a", DType: "BF16", Data: make([]byte, 2)}, "", "is BF16, want an integer type or BOOL"},
		{Tensor{Name: "a", DType: "F9", Data: make([]byte, 3)}, "is F9", "is F9"},
		{Tensor{Name: "a", DType: "F32", Shape: []int{2}, Data: make([]byte, 7)}, "F32 [2] takes 8 bytes, but has 7", "is F32"},
		{Tensor{Name: "a", DType: "U64", Data: slices.Repeat([]byte{0xff}, 8)}, "is U64", "element 0 is 18446744073709551615, more than int64 holds"},
	} {
		_, floats := c.tensor.Float32s()
		wantError(t, floats, c.floats)
		_, ints := c.tensor.Ints()
		wantError(t, ints, c.ints)
	}
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("got error %q, want none", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("got error %v, want one with %q", err, want)
	case err != nil && strings.Contains(err.Error(), "\n"):
		t.Errorf("error %q has more than one line", err)
	}
}

// TestHalf compares every half with the value its fields stand for.
func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		exp, frac := h>>10&0x1f, float64(h&0x3ff)
		want := math.Ldexp(1+frac/1024, exp-15)
		switch {
		case exp == 0x1f && frac != 0:
			want = math.NaN()
		case exp == 0x1f:
			want = math.Inf(1)
		case exp == 0:
			want = math.Ldexp(frac, -24)
		}
		if h>>15 == 1 {
			want = math.Copysign(want, -1)
		}
		got := kernels.FromF16(uint16(h))
		if want != want {
			if got == got {
				t.Fatalf("%#04x is %v, want NaN", h, got)
			}
			continue
		}
		if math.Float32bits(got) != math.Float32bits(float32(want)) {
			t.Fatalf("%#04x is %v, want %v", h, got, want)
		}
	}
}
