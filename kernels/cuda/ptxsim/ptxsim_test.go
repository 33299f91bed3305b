package ptxsim

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

// text wraps statements into a kernel k whose parameter is a pointer, in %rd0.
func text(body string) string {
	return `.version 8.0
.target sm_80
.address_size 64

.visible .entry k(
	.param .align 8 .b8 k_param_0[8]
)
{
	.reg .pred %p<9>;
	.reg .b16 %rs<9>;
	.reg .b32 %r<9>;
	.reg .f32 %f<9>;
	.reg .b64 %rd<9>;
	.shared .align 4 .b8 part[256];
	ld.param.u64 %rd0, [k_param_0];
	mov.u32 %r0, %tid.x;
	mul.wide.u32 %rd1, %r0, 4;
	add.s64 %rd2, %rd0, %rd1;
` + body + `
	ret;
}
`
}

// run gives the kernel with body 64 words and as many threads.
func run(t *testing.T, body string, order Order, blocks int) ([]uint32, error) {
	t.Helper()
	m := New(order)
	m.MaxSteps = 1 << 14
	if err := m.Load(text(body)); err != nil {
		return nil, err
	}
	p, err := m.Alloc(4 * 64)
	if err != nil {
		t.Fatal(err)
	}
	args := binary.LittleEndian.AppendUint64(nil, p)
	if err := m.Launch("k", [3]int{blocks, 1, 1}, [3]int{64, 1, 1}, 0, args); err != nil {
		return nil, err
	}
	out := make([]byte, 4*64)
	if err := m.CopyOut(out, p); err != nil {
		t.Fatal(err)
	}
	words := make([]uint32, 64)
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(out[4*i:])
	}
	return words, nil
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"an instruction", `frob.b32 %r1, %r0;`, `line 19: "frob.b32 %r1, %r0": instruction frob.b32 is not known`},
		{"a modifier", `add.sat.s32 %r1, %r0, %r0;`, "add.sat.s32 is not known"},
		{"a rounding", `add.rz.f32 %f1, %f0, %f0;`, "add.rz.f32 is not known"},
		{"an operand", `add.s32 %r1, %r0, %clock;`, "operand %clock is not known"},
		{"a register", `add.s32 %r1, %r0, %q9;`, "operand %q9 is not known"},
		{"a width", `add.s32 %r1, %r0, %rd0;`, "register %rd0 has 64 bits, want 32"},
		{"too few operands", `add.s32 %r1, %r0;`, "2 operands, want 3"},
		{"a constant", `add.s32 %r1, %r0, 0x1FFFFFFFF;`, "does not fit 32 bits"},
		{"a float constant", `add.f32 %f1, %f0, 1.5;`, "operand 1.5 is not known"},
		{"a label", `bra nowhere;`, "no such label"},
		{"a directive", `.local .align 4 .b8 depot[4];`, "is not supported"},
		{"a part of a warp", `shfl.sync.bfly.b32 %r1, %r0, 1, 31, 15;`, "members 15 are not supported"},
		{"another barrier", `bar.sync 1;`, "barrier [1] is not supported"},
		{"beyond the end", `ld.global.u32 %r1, [%rd2+4];`, "block 0, thread 63: out of bounds: 4 bytes at byte 256 of allocation 1, which has 256"},
		{"null", `mov.b64 %rd3, 0; ld.global.u32 %r1, [%rd3];`, "the null address"},
		{"in no allocation", `mov.b64 %rd3, 12; ld.global.u32 %r1, [%rd3];`, "in no allocation"},
		{"misaligned", `ld.global.u32 %r1, [%rd0+2];`, "misaligned"},
		{"a vector misaligned", `ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%rd0+8];`, "misaligned"},
		{"beyond shared memory", `ld.shared.u32 %r1, [part+256];`, "out of bounds: 4 bytes at 256 of 256"},
		{"unwritten shared memory", `ld.shared.u32 %r1, [part];`, "nothing in the block has written"},
		{"two writers", `st.global.u32 [%rd0], %r0;`, "race: thread 0 has written this"},
		{"write after read", `ld.global.u32 %r1, [%rd0]; st.global.u32 [%rd2], %r0;`, "race: other threads have read this"},
		{"half a warp at a barrier", `setp.lt.u32 %p1, %r0, 16; @%p1 bar.sync 0;`, "divergent"},
		{"one warp at a barrier", `setp.lt.u32 %p1, %r0, 32; @!%p1 bra END; bar.sync 0; END:`, "divergent barrier: warp 1 has ended"},
		{"half a warp in a shuffle", `setp.lt.u32 %p1, %r0, 16; @%p1 shfl.sync.bfly.b32 %r1, %r0, 1, 31, -1;`, "divergent"},
		{"no end", `AGAIN: bra AGAIN;`, "hangs"},
		{"division by zero", `div.u32 %r1, %r0, 0;`, "by zero"},
	} {
		_, err := run(t, c.body, Forward, 1)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
}

func TestBlocksRace(t *testing.T) {
	if _, err := run(t, `st.global.u32 [%rd2], %r0;`, Forward, 2); err == nil || !strings.Contains(err.Error(), "race: block 0") {
		t.Errorf("two blocks write one place: %v", err)
	}
}

// What lanes that part and meet again compute, across a loop, shared memory, a barrier
// and a shuffle, is the same in both orders.
func TestFlow(t *testing.T) {
	const body = `
	mov.u32 %r1, 0;
	mov.u32 %r2, 0;
	and.b32 %r4, %r0, 3;
LOOP:
	setp.ge.u32 %p1, %r1, %r4;
	@%p1 bra DONE;
	add.s32 %r2, %r2, 10;
	add.s32 %r1, %r1, 1;
	bra.uni LOOP;
DONE:
	shfl.sync.bfly.b32 %r3, %r2, 1, 31, -1;
	mov.u64 %rd3, part;
	add.s64 %rd4, %rd3, %rd1;
	st.shared.u32 [%rd4], %r3;
	bar.sync 0;
	xor.b32 %r5, %r0, 32;
	mul.wide.u32 %rd5, %r5, 4;
	add.s64 %rd6, %rd3, %rd5;
	ld.shared.u32 %r6, [%rd6];
	add.s32 %r6, %r6, %r0;
	st.global.u32 [%rd2], %r6;`
	for _, order := range []Order{Forward, Backward} {
		got, err := run(t, body, order, 1)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range got {
			if want := uint32(10*((i^1)&3) + i); v != want {
				t.Errorf("order %d, thread %d: %d, want %d", order, i, v, want)
			}
		}
	}
}

func TestFreshMemoryIsPoisoned(t *testing.T) {
	got, err := run(t, `ld.global.u32 %r1, [%rd2];`, Forward, 1)
	if err != nil || got[0] != 0xffffffff {
		t.Errorf("%#x, %v", got[0], err)
	}
}

// fma rounds once.
func TestFMA(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(exponents int) float32 {
		return math.Float32frombits(uint32(127-exponents/2+r.IntN(exponents))<<23|r.Uint32()&0x7fffff) * float32(1-2*r.IntN(2))
	}
	for range 200000 {
		a, b, c := random(4), random(4), random(60)
		product := new(big.Float).SetPrec(200).Mul(big.NewFloat(float64(a)), big.NewFloat(float64(b)))
		want, _ := new(big.Float).SetPrec(200).Add(product, big.NewFloat(float64(c))).Float32()
		if got := single(fma(bitsOf(a), bitsOf(b), bitsOf(c))); got != want {
			t.Fatalf("fma(%v, %v, %v) = %v, want %v", a, b, c, got, want)
		}
	}
}

func TestTruncate(t *testing.T) {
	s32, u32 := integerTypes[0], integerTypes[1]
	for _, c := range []struct {
		t    integer
		x    float64
		want uint64
	}{
		{s32, -1.9, 0xffffffff}, {s32, 1e10, 0x7fffffff}, {s32, -1e10, 0x80000000}, {s32, math.NaN(), 0},
		{u32, -5, 0}, {u32, 3.9, 3}, {u32, 1e10, 0xffffffff},
	} {
		if got := c.t.truncate(c.x); got != c.want {
			t.Errorf("%s of %v is %#x, want %#x", c.t.name, c.x, got, c.want)
		}
	}
}

func TestFreedMemory(t *testing.T) {
	m := New(Forward)
	p, err := m.Alloc(8)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Free(p); err != nil {
		t.Error(err)
	}
	if err := m.Free(p); err == nil {
		t.Error("memory can be freed twice")
	}
	if err := m.CopyIn(p, []byte{1}); err == nil || !strings.Contains(err.Error(), "freed") {
		t.Errorf("copying to freed memory: %v", err)
	}
}
