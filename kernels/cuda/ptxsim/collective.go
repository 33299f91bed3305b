package ptxsim

import "fmt"

// collectives are what the lanes of a warp do together. All lanes that exist take part;
// the launcher sees to it that they are there.
func collectives(t map[string]builder) {
	for _, mode := range []string{"bfly", "idx", "down", "up"} {
		t["shfl.sync."+mode+".b32"] = shuffle(mode)
	}
	t["vote.sync.all.pred"] = voteAll
	t["bar.warp.sync"] = func(d *decoder) (action, error) {
		if err := d.want(1); err != nil {
			return nil, err
		}
		return func(w *warp, _ uint32) error {
			w.epoch++
			return nil
		}, wholeWarp(d.at.operands[0])
	}
}

// voteAll decodes "vote.sync.all.pred p, q, members": p of every lane is whether q of all is true.
func voteAll(d *decoder) (action, error) {
	if err := d.want(3); err != nil {
		return nil, err
	}
	dst, err := d.register(d.at.operands[0], 1)
	if err != nil {
		return nil, err
	}
	src, err := d.register(d.at.operands[1], 1)
	if err != nil {
		return nil, err
	}
	return func(w *warp, mask uint32) error {
		all := predicate(w.holds(src, false)&mask == mask)
		return each(mask, func(l int) error {
			w.regs[dst][l] = all
			return nil
		})
	}, wholeWarp(d.at.operands[2])
}

func wholeWarp(members string) error {
	if v, err := literal(members, 32); err != nil || v != 0xffffffff {
		return fmt.Errorf("members %s are not supported, want -1", members)
	}
	return nil
}

// shuffle decodes "shfl.sync.bfly.b32 d, a, b, c, members" for segments of a whole
// warp: c is 31, or 0 going up.
func shuffle(mode string) builder {
	return func(d *decoder) (action, error) {
		if err := d.want(5); err != nil {
			return nil, err
		}
		segment := "31"
		if mode == "up" {
			segment = "0"
		}
		if got := d.at.operands[3]; got != segment {
			return nil, fmt.Errorf("segments %s are not supported, want %s", got, segment)
		}
		if err := wholeWarp(d.at.operands[4]); err != nil {
			return nil, err
		}
		dst, err := d.register(d.at.operands[0], 32)
		if err != nil {
			return nil, err
		}
		src, err := d.value(d.at.operands[1], 32)
		if err != nil {
			return nil, err
		}
		by, err := d.value(d.at.operands[2], 32)
		return func(w *warp, mask uint32) error {
			before := w.regs[src]
			return each(mask, func(l int) error {
				from := source(mode, l, int(w.regs[by][l]&31))
				if from < 0 || from >= lanes {
					from = l
				}
				if mask>>from&1 == 0 {
					return fmt.Errorf("shuffle from lane %d, which does not exist", from)
				}
				w.regs[dst][l] = before[from]
				return nil
			})
		}, err
	}
}

// source is the lane that a lane's value comes from.
func source(mode string, lane, by int) int {
	switch mode {
	case "bfly":
		return lane ^ by
	case "idx":
		return by
	case "down":
		return lane + by
	}
	return lane - by
}
