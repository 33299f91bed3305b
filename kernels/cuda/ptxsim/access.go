package ptxsim

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// loads are the instructions that touch memory. A volatile access and an atomic one take
// no part in the check of races: that is what they are for.
func loads(t map[string]builder) {
	for _, typ := range []string{"b16", "u16", "b32", "u32", "s32", "f32", "b64", "u64", "s64", "f64"} {
		n := width(typ)
		t["ld.param."+typ] = loadParam(n)
		for _, space := range []string{"global", "shared"} {
			t["ld."+space+"."+typ] = load(space, typ, false)
			t["st."+space+"."+typ] = store(space, typ, false)
			t["ld.volatile."+space+"."+typ] = load(space, typ, true)
			t["st.volatile."+space+"."+typ] = store(space, typ, true)
			for count, v := range map[int]string{2: "v2", 4: "v4"} {
				if count*n <= 128 {
					t["ld."+space+"."+v+"."+typ] = loadVector(space, n, count)
					t["st."+space+"."+v+"."+typ] = storeVector(space, n, count)
				}
			}
		}
		t["ld.global.nc."+typ] = load("global", typ, false)
	}
	t["ld.global.cg.v4.u32"] = loadVector("global", 32, 4)
	t["atom.global.cas.b32"] = compareAndSwap
	t["prefetch.global.L2"] = prefetch
	t["cvta.to.global.u64"], t["cvta.global.u64"] = move(64), move(64)
	t["cvta.shared.u64"] = apply1(64, 64, func(a uint64) uint64 { return a + sharedWindow })
	t["cvta.to.shared.u64"] = apply1(64, 64, func(a uint64) uint64 { return a - sharedWindow })
}

func loadParam(n int) builder {
	return func(d *decoder) (action, error) {
		if err := d.want(2); err != nil {
			return nil, err
		}
		dst, err := d.register(d.at.operands[0], n)
		if err != nil {
			return nil, err
		}
		from, err := d.address(d.at.operands[1], "param")
		return func(w *warp, mask uint32) error {
			return each(mask, func(l int) error {
				args := w.b.l.args
				at := w.regs[from.base][l] + from.offset
				if at+uint64(n/8) > uint64(len(args)) || at > uint64(len(args)) {
					return fmt.Errorf("parameter at byte %d of %d", int64(at), len(args))
				}
				w.regs[dst][l] = get(args[at:], n)
				return nil
			})
		}, err
	}
}

func get(b []byte, n int) uint64 {
	switch n {
	case 16:
		return uint64(binary.LittleEndian.Uint16(b))
	case 32:
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}

func put(b []byte, n int, v uint64) {
	switch n {
	case 16:
		binary.LittleEndian.PutUint16(b, uint16(v))
	case 32:
		binary.LittleEndian.PutUint32(b, uint32(v))
	default:
		binary.LittleEndian.PutUint64(b, v)
	}
}

// place finds the size bytes at p that a lane accesses.
func (w *warp) place(space string, p uint64, size, lane int, write, volatile bool) ([]byte, error) {
	a, off := &w.b.shared, p
	if space == "global" {
		a = w.b.l.m.find(p)
		if a == nil || a.freed {
			return nil, fmt.Errorf("access to %d bytes at %s", size, w.b.l.m.describe(p))
		}
		off = p - a.base
	}
	if off >= uint64(len(a.data)) || uint64(len(a.data))-off < uint64(size) {
		if space == "global" {
			return nil, fmt.Errorf("out of bounds: %d bytes at %s", size, w.b.l.m.describe(p))
		}
		return nil, fmt.Errorf("out of bounds: %d bytes at %d of %d of shared memory", size, int64(off), len(a.data))
	}
	if off%uint64(size) != 0 {
		return nil, fmt.Errorf("misaligned: %d bytes at offset %d", size, off)
	}
	if space == "shared" && w.b.tiles != nil {
		if of, err := w.tilesAt(off, size, write); of || err != nil {
			return a.data[off:], err
		}
	}
	if !volatile {
		if err := a.touch(off, size, w.now(lane), write); err != nil {
			return nil, err
		}
	}
	return a.data[off:], nil
}

// prefetch moves nothing that a kernel could see, but what it asks for must be there.
func prefetch(d *decoder) (action, error) {
	if err := d.want(1); err != nil {
		return nil, err
	}
	from, err := d.address(d.at.operands[0], "global")
	return func(w *warp, mask uint32) error {
		return each(mask, func(l int) error {
			_, err := w.b.l.m.bytes(w.regs[from.base][l]+from.offset, 1)
			return err
		})
	}, err
}

// load: the register may be wider than the type, which then extends its sign or zeros.
func load(space, typ string, volatile bool) builder {
	n := width(typ)
	return func(d *decoder) (action, error) {
		if err := d.want(2); err != nil {
			return nil, err
		}
		dst, wide, err := d.wideRegister(d.at.operands[0], typ)
		if err != nil {
			return nil, err
		}
		signed := wide > n && typ[0] == 's'
		from, err := d.address(d.at.operands[1], space)
		return func(w *warp, mask uint32) error {
			return each(mask, func(l int) error {
				b, err := w.place(space, w.regs[from.base][l]+from.offset, n/8, l, false, volatile)
				if err != nil {
					return err
				}
				v := get(b, n)
				if signed {
					v = integer{bits: wide}.cut(uint64(integer{bits: n}.wide(v)))
				}
				w.regs[dst][l] = v
				return nil
			})
		}, err
	}
}

// store: the register may be wider than the type, which then takes its lower bits.
func store(space, typ string, volatile bool) builder {
	n := width(typ)
	return func(d *decoder) (action, error) {
		if err := d.want(2); err != nil {
			return nil, err
		}
		to, err := d.address(d.at.operands[0], space)
		if err != nil {
			return nil, err
		}
		bits := n
		if _, wide, err := d.wideRegister(d.at.operands[1], typ); err == nil {
			bits = wide
		}
		src, err := d.value(d.at.operands[1], bits)
		return func(w *warp, mask uint32) error {
			return each(mask, func(l int) error {
				b, err := w.place(space, w.regs[to.base][l]+to.offset, n/8, l, true, volatile)
				if err == nil {
					put(b, n, w.regs[src][l])
				}
				return err
			})
		}, err
	}
}

// vector decodes {%f1, %f2}.
func (d *decoder) vector(text string, n, count int, decode func(string, int) (int, error)) ([]int, error) {
	inner, ok := strings.CutPrefix(text, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	parts := split(inner)
	if !ok || !closed || len(parts) != count {
		return nil, fmt.Errorf("operand %s, want a vector of %d", text, count)
	}
	slots := make([]int, count)
	for i, p := range parts {
		var err error
		if slots[i], err = decode(p, n); err != nil {
			return nil, err
		}
	}
	return slots, nil
}

func loadVector(space string, n, count int) builder {
	return func(d *decoder) (action, error) {
		if err := d.want(2); err != nil {
			return nil, err
		}
		dst, err := d.vector(d.at.operands[0], n, count, d.register)
		if err != nil {
			return nil, err
		}
		from, err := d.address(d.at.operands[1], space)
		return func(w *warp, mask uint32) error {
			return each(mask, func(l int) error {
				b, err := w.place(space, w.regs[from.base][l]+from.offset, count*n/8, l, false, false)
				if err != nil {
					return err
				}
				for i, r := range dst {
					w.regs[r][l] = get(b[i*n/8:], n)
				}
				return nil
			})
		}, err
	}
}

func storeVector(space string, n, count int) builder {
	return func(d *decoder) (action, error) {
		if err := d.want(2); err != nil {
			return nil, err
		}
		to, err := d.address(d.at.operands[0], space)
		if err != nil {
			return nil, err
		}
		src, err := d.vector(d.at.operands[1], n, count, d.value)
		return func(w *warp, mask uint32) error {
			return each(mask, func(l int) error {
				b, err := w.place(space, w.regs[to.base][l]+to.offset, count*n/8, l, true, false)
				if err != nil {
					return err
				}
				for i, r := range src {
					put(b[i*n/8:], n, w.regs[r][l])
				}
				return nil
			})
		}, err
	}
}

func compareAndSwap(d *decoder) (action, error) {
	if err := d.want(4); err != nil {
		return nil, err
	}
	dst, err := d.register(d.at.operands[0], 32)
	if err != nil {
		return nil, err
	}
	at, err := d.address(d.at.operands[1], "global")
	if err != nil {
		return nil, err
	}
	want, err := d.value(d.at.operands[2], 32)
	if err != nil {
		return nil, err
	}
	with, err := d.value(d.at.operands[3], 32)
	return func(w *warp, mask uint32) error {
		return each(mask, func(l int) error {
			b, err := w.place("global", w.regs[at.base][l]+at.offset, 4, l, true, true)
			if err != nil {
				return err
			}
			old := get(b, 32)
			if old == w.regs[want][l] {
				put(b, 32, w.regs[with][l])
			}
			w.regs[dst][l] = old
			return nil
		})
	}, err
}
