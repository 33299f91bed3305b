package cuda

import (
	"encoding/binary"
	"fmt"
)

// The fault words are three int32 in the GPU's memory: what is wrong with the data, 0 for
// nothing, and two numbers about it. A kernel sets them once; kernels after it do nothing.
const faultBytes = 12

// faults are the messages by code, as the enum in kern/kern.h numbers them.
var faults = [...]string{
	1: "token id %d in row %d is not in the table: check that tokenizer and model belong together",
	2: "expert %d is chosen for token %d, and there is no such expert",
	3: "the places of expert %d end at %d, out of order or beyond the last: offsets must be those of Sort",
	4: "slot %d at place %d is out of range: slots must be those of Sort",
	5: "place %d of slot %d is out of range: places must be those of Sort",
	6: "token %d has no expert left for choice %d: its logits hold NaN",
	7: "target %d in row %d is not in the vocabulary, nor -1 for none: check that text and model belong together",
	8: "the token at place %d of expert %d does not come after the one before it: slots must be those of ExpertChoice",
}

// hostWords are memory of the host that kernels reach too: the kernel begin takes the cells
// from there, and end leaves the fault words there, so that neither needs a copy.
type hostWords struct {
	bytes []byte
	addr  uint64
}

const hostCells = 16 // where the cells begin; the fault words come first

func (h *hostWords) alloc(drv Driver) (err error) {
	h.bytes, h.addr, err = drv.AllocHost(hostCells + 8*maxCells)
	clear(h.bytes)
	return err
}

// readFault tells what kernels have found, after a Sync, and forgets it.
func (d *Device) readFault() error {
	word := func(i int) int32 { return int32(binary.LittleEndian.Uint32(d.host.bytes[4*i:])) }
	code := word(0)
	if code == 0 {
		return nil
	}
	a, b := word(1), word(2)
	clear(d.host.bytes[:faultBytes])
	if err := d.drv.Clear(d.fault, faultBytes); err != nil {
		return err
	}
	if code < 0 || int(code) >= len(faults) {
		return fmt.Errorf("a kernel reports fault %d, which is none of %d", code, len(faults)-1)
	}
	return fmt.Errorf(faults[code], a, b)
}
