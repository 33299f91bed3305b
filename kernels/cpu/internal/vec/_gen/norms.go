package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// norms emits what norms of a row are made of, over n vectors, as elementwise does.
func norms(set isa) {
	loop := looper(set)
	var by, sums []reg.VecVirtual
	factors := func(names ...string) {
		by = by[:0]
		for _, name := range names {
			v := set.vec()
			VBROADCASTSS(paramMem(name), v)
			by = append(by, v)
		}
	}
	load := func(m Mem) reg.VecVirtual {
		v := set.vec()
		VMOVUPS(m, v)
		return v
	}
	begin := func() {
		factors("shift")
		sums = []reg.VecVirtual{set.vec(), set.vec()}
		for _, v := range sums {
			set.zero(v)
		}
	}
	add := func(c reg.VecVirtual) {
		VSUBPS(by[0], c, c)
		VADDPS(c, sums[0], sums[0])
		VFMADD231PS(c, c, sums[1])
	}
	end := func() { results(set, sums) }

	// moments: with c = x - shift, the sums of c and c²
	loop("moments", "func(x *float32, shift float32, n int) (c, cc float32)", []string{"x"}, func(at map[string]Mem) {
		if at == nil {
			begin()
			return
		}
		add(load(at["x"]))
	}, end)

	// addMoments: moments after x = x + delta
	loop("addMoments", "func(x, delta *float32, shift float32, n int) (c, cc float32)", []string{"x", "delta"}, func(at map[string]Mem) {
		if at == nil {
			begin()
			return
		}
		x := load(at["x"])
		VADDPS(at["delta"], x, x)
		VMOVUPS(x, at["x"])
		add(x)
	}, end)

	// normalize: y = (x - shift)·r·gain
	loop("normalize", "func(y, x, gain *float32, shift, r float32, n int)", []string{"y", "x", "gain"}, func(at map[string]Mem) {
		if at == nil {
			factors("shift", "r")
			return
		}
		x := load(at["x"])
		VSUBPS(by[0], x, x)
		VMULPS(by[1], x, x)
		VMULPS(at["gain"], x, x)
		VMOVUPS(x, at["y"])
	}, nil)
}

// results returns the sums over the lanes of each vector.
func results(set isa, sums []reg.VecVirtual) {
	for i, v := range sums {
		out, err := ReturnIndex(i).Resolve()
		if err != nil {
			panic(err)
		}
		VMOVSS(reduce(set, v, VADDPS), out.Addr)
	}
}

// rotate emits a rotation of n vectors of pairs: a, b = a·cos - b·sin, b·cos + a·sin.
func rotate(set isa) {
	loop := looper(set)
	loop("rotate", "func(a, b, cos, sin *float32, n int)", []string{"a", "b", "cos", "sin"}, func(at map[string]Mem) {
		if at == nil {
			return
		}
		v := map[string]reg.VecVirtual{}
		for _, name := range []string{"a", "b", "cos", "sin"} {
			v[name] = set.vec()
			VMOVUPS(at[name], v[name])
		}
		x, y := set.vec(), set.vec()
		VMULPS(v["sin"], v["b"], x)
		VMULPS(v["sin"], v["a"], y)
		VFMSUB231PS(v["cos"], v["a"], x)
		VFMADD231PS(v["cos"], v["b"], y)
		VMOVUPS(x, at["a"])
		VMOVUPS(y, at["b"])
	}, nil)
}
