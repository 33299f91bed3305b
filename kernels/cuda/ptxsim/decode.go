package ptxsim

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// An instr is a decoded instruction. Every operand is a slot of a warp's register file;
// constants and special registers have slots of their own.
type instr struct {
	statement
	guard  int // slot of the predicate, or −1
	negate bool
	kind   kind
	target int32  // of a branch
	run    action // of an instruction that only computes or touches memory
}

// An action carries out an instruction for the lanes in mask.
type action func(w *warp, mask uint32) error

// A kind says what an instruction does to the flow of a warp.
type kind uint8

const (
	computes kind = iota
	branches
	exits
	waitsForBlock
	waitsForWarp  // and then runs
	waitsForPhase // of a barrier in shared memory, if run returns errEarly
)

// A decoder turns the statements of one kernel into instructions.
type decoder struct {
	k         *kernel
	registers map[string]register
	symbols   map[string]symbol
	constants map[uint64]int // the slot of a value
	specials  map[string]int
	labels    map[string]int32
	branches  []branch              // whose targets are still names
	scope     int                   // the number of the scope that is open, 0 for the kernel
	numbered  int                   // scopes so far
	scopes    []map[string]register // what names meant outside each scope that is open
	dynamic   []declared            // shared memory that follows the kernel's own
	at        *statement
}

type register struct{ slot, bits int }

// A symbol is a name that stands for an address within a space.
type symbol struct {
	space string
	addr  uint64
}

func newDecoder(name string) *decoder {
	return &decoder{
		k:         &kernel{name: name, constants: map[int]uint64{}, specials: map[int]specialOf{}},
		registers: map[string]register{}, symbols: map[string]symbol{}, labels: map[string]int32{},
		constants: map[uint64]int{}, specials: map[string]int{},
	}
}

// statement takes a statement without its semicolon, or a label without its colon.
func (d *decoder) statement(text string, label bool, line int) error {
	switch {
	case label:
		text = inScope(text, d.scope)
		if _, twice := d.labels[text]; twice {
			return fmt.Errorf("label %s is there twice", text)
		}
		d.labels[text] = int32(len(d.k.code))
		return nil
	case strings.HasPrefix(text, ".reg "):
		return d.declareRegisters(text)
	case strings.HasPrefix(text, ".shared "):
		return d.declareShared(text)
	case text == `.pragma "nounroll"`: // a wish to the assembler, without meaning here
		return nil
	case strings.HasPrefix(text, "."):
		return fmt.Errorf("directive %q is not supported", text)
	}
	return d.instruction(text, line)
}

// declareRegisters reads ".reg .b32 %r<9>" or ".reg .b32 %x, %y".
func (d *decoder) declareRegisters(text string) error {
	words := strings.Fields(text)
	if len(words) < 3 {
		return fmt.Errorf("declaration %q is not supported", text)
	}
	bits := width(words[1][1:])
	if words[1] == ".pred" {
		bits = 1
	}
	if bits == 0 {
		return fmt.Errorf("declaration %q: type %s is not supported", text, words[1])
	}
	for _, name := range strings.Split(strings.Join(words[2:], ""), ",") {
		if err := d.declareRegister(name, bits); err != nil {
			return fmt.Errorf("declaration %q: %w", text, err)
		}
	}
	return nil
}

// declareRegister takes a name, or %r<9> for nine of them.
func (d *decoder) declareRegister(name string, bits int) error {
	prefix, count, many := strings.Cut(strings.TrimSuffix(name, ">"), "<")
	if !many {
		d.registers[prefix] = register{d.slot(), bits}
		return nil
	}
	n, err := strconv.Atoi(count)
	for i := range n {
		d.registers[prefix+strconv.Itoa(i)] = register{d.slot(), bits}
	}
	return err
}

func (d *decoder) slot() int {
	d.k.slots++
	return d.k.slots - 1
}

func (d *decoder) declareShared(text string) error {
	v, err := variable(text, ".shared")
	if err != nil {
		return err
	}
	at := (d.k.sharedBytes + v.align - 1) / v.align * v.align
	d.symbols[v.name] = symbol{space: "shared", addr: uint64(at)}
	d.k.sharedBytes = at + v.bytes
	return nil
}

func (d *decoder) instruction(text string, line int) error {
	in := instr{statement: statement{line: line, text: strings.Join(strings.Fields(text), " ")}, guard: -1}
	rest := in.text
	if rest[0] == '@' {
		in.pred, rest, _ = strings.Cut(rest[1:], " ")
		name, negated := strings.CutPrefix(in.pred, "!")
		slot, err := d.register(name, 1)
		if err != nil {
			return fmt.Errorf("%q: %w", in.text, err)
		}
		in.guard, in.negate = slot, negated
	}
	in.op, rest, _ = strings.Cut(rest, " ")
	in.operands = split(rest)
	if err := d.decode(&in); err != nil {
		return fmt.Errorf("%q: %w", in.text, err)
	}
	d.k.code = append(d.k.code, in)
	return nil
}

func (d *decoder) decode(in *instr) error {
	d.at = &in.statement
	switch in.op {
	case "bra", "bra.uni":
		in.kind = branches
		d.branches = append(d.branches, branch{len(d.k.code), d.scope})
		return d.want(1)
	case "ret", "exit":
		in.kind = exits
		return d.want(0)
	case "bar.sync":
		in.kind = waitsForBlock
		if len(in.operands) != 1 || in.operands[0] != "0" {
			return fmt.Errorf("barrier %v is not supported, want 0", in.operands)
		}
		return nil
	}
	build, known := table[in.op]
	if !known {
		return fmt.Errorf("instruction %s is not known", in.op)
	}
	if strings.HasPrefix(in.op, "shfl.sync.") || strings.HasPrefix(in.op, "vote.sync.") || in.op == "bar.warp.sync" || strings.Contains(in.op+".", ".sync.aligned.") {
		in.kind = waitsForWarp
	}
	if strings.HasPrefix(in.op, "mbarrier.try_wait.") {
		in.kind = waitsForPhase
	}
	var err error
	in.run, err = build(d)
	return err
}

// finish resolves the targets of branches.
func (d *decoder) finish() (*kernel, error) {
	for _, b := range d.branches {
		in := &d.k.code[b.at]
		target, known := d.labels[inScope(in.operands[0], b.scope)]
		if !known {
			target, known = d.labels[in.operands[0]]
		}
		if !known {
			return nil, fmt.Errorf("%q in line %d: no such label", in.text, in.line)
		}
		in.target = target
	}
	if n := len(d.k.code); n == 0 || d.k.code[n-1].kind != exits && d.k.code[n-1].kind != branches {
		return nil, fmt.Errorf("kernel %s does not end in ret", d.k.name)
	}
	return d.k, nil
}

func (d *decoder) want(n int) error {
	if len(d.at.operands) != n {
		return fmt.Errorf("%d operands, want %d", len(d.at.operands), n)
	}
	return nil
}

// register is the slot of a declared register of the given width.
func (d *decoder) register(name string, bits int) (int, error) {
	r, known := d.registers[name]
	if !known {
		return 0, fmt.Errorf("operand %s is not known", name)
	}
	if r.bits != bits {
		return 0, fmt.Errorf("register %s has %d bits, want %d", name, r.bits, bits)
	}
	return r.slot, nil
}

// wideRegister is the slot and width of a register that holds a value of type typ: an
// integer may be in a wider one.
func (d *decoder) wideRegister(name, typ string) (slot, bits int, err error) {
	n := width(typ)
	if r := d.registers[name]; r.bits > n && typ[0] != 'f' {
		return r.slot, r.bits, nil
	}
	slot, err = d.register(name, n)
	return slot, n, err
}

// value is the slot of a register, a special register, a constant or a symbol.
func (d *decoder) value(text string, bits int) (int, error) {
	if _, known := d.registers[text]; known {
		return d.register(text, bits)
	}
	if s, known := d.symbols[text]; known && bits == 64 {
		return d.constant(s.addr), nil
	}
	if v, known := d.dynamicShared(text); known && bits == 64 {
		return d.constant(v), nil
	}
	if strings.HasPrefix(text, "%") {
		return d.special(text, bits)
	}
	v, err := literal(text, bits)
	if err != nil {
		return 0, err
	}
	return d.constant(v), nil
}

func (d *decoder) constant(v uint64) int {
	slot, known := d.constants[v]
	if !known {
		slot = d.slot()
		d.constants[v], d.k.constants[slot] = slot, v
	}
	return slot
}

// literal reads 12, -3, 0x1F, 0f3F800000 and 0d3FF0000000000000.
func literal(text string, bits int) (uint64, error) {
	if text == "" {
		return 0, fmt.Errorf("an operand is missing")
	}
	for prefix, of := range map[string]int{"0f": 32, "0F": 32, "0d": 64, "0D": 64} {
		if digits, ok := strings.CutPrefix(text, prefix); ok {
			if of != bits || len(digits) != of/4 {
				return 0, fmt.Errorf("constant %s, want one of %d bits", text, bits)
			}
			return strconv.ParseUint(digits, 16, 64)
		}
	}
	if v, err := strconv.ParseInt(text, 0, 64); err == nil {
		if bits < 64 && (v >= 1<<bits || bits > 1 && v < -1<<(bits-1)) {
			return 0, fmt.Errorf("constant %s does not fit %d bits", text, bits)
		}
		return uint64(v) & (math.MaxUint64 >> (64 - bits)), nil
	}
	v, err := strconv.ParseUint(text, 0, bits)
	if err != nil {
		return 0, fmt.Errorf("operand %s is not known", text)
	}
	return v, nil
}

// values decodes all operands: the first is written and must be a register.
func (d *decoder) values(bits ...int) ([]int, error) {
	if err := d.want(len(bits)); err != nil {
		return nil, err
	}
	slots := make([]int, len(bits))
	for i, text := range d.at.operands {
		var err error
		if i == 0 {
			slots[i], err = d.register(text, bits[i])
		} else {
			slots[i], err = d.value(text, bits[i])
		}
		if err != nil {
			return nil, err
		}
	}
	return slots, nil
}

// An address is what stands between brackets: a base and a constant.
type address struct {
	base   int
	offset uint64
}

func (d *decoder) address(text, space string) (address, error) {
	inner, ok := strings.CutPrefix(text, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if !ok || !closed {
		return address{}, fmt.Errorf("operand %s is no address", text)
	}
	name, plus, _ := strings.Cut(inner, "+")
	var offset int64
	if plus != "" {
		var err error
		if offset, err = strconv.ParseInt(plus, 10, 64); err != nil {
			return address{}, fmt.Errorf("address %s: %w", text, err)
		}
	}
	if s, known := d.symbols[name]; known {
		if s.space != space {
			return address{}, fmt.Errorf("address %s is in space %s, want %s", text, s.space, space)
		}
		return address{d.constant(s.addr), uint64(offset)}, nil
	}
	base, err := d.register(name, 64)
	return address{base, uint64(offset)}, err
}
