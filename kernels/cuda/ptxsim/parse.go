package ptxsim

import (
	"fmt"
	"strconv"
	"strings"
)

// A kernel is an entry of a PTX text, ready to run.
type kernel struct {
	name        string
	paramBytes  int
	sharedBytes int
	maxThreads  int // of a block
	code        []instr
	slots       int               // registers, constants and special registers
	constants   map[int]uint64    // by slot
	sums        []int             // slots that products of warpgroups add to
	specials    map[int]specialOf // by slot
}

// A statement is an instruction as it is written.
type statement struct {
	line     int
	text     string // for messages
	pred     string // "%p1", "!%p1" or nothing
	op       string
	operands []string
}

// parse reads the kernels of a PTX text.
func parse(text string) ([]*kernel, error) {
	p := &parser{}
	for i, line := range strings.Split(text, "\n") {
		if at := strings.Index(line, "//"); at >= 0 {
			line = line[:at]
		}
		if err := p.read(strings.TrimSpace(line), i+1); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if p.body != nil || p.pending != "" {
		return nil, fmt.Errorf("the text ends within %q", p.pending)
	}
	return p.kernels, nil
}

// A parser reads line by line. Between kernels it collects a header up to its brace,
// within one statements up to their semicolons.
type parser struct {
	kernels []*kernel
	dynamic []declared // shared memory whose size the launch says
	body    *decoder
	pending string
	line    int // where pending began
}

func (p *parser) read(line string, number int) error {
	for line != "" {
		if p.pending == "" {
			p.line = number
		}
		if p.body == nil {
			return p.outside(line)
		}
		switch {
		case p.pending == "" && line[0] == '}' && len(p.body.scopes) > 0:
			p.body.leave()
			line = strings.TrimSpace(line[1:])
			continue
		case p.pending == "" && line[0] == '}':
			k, err := p.body.finish()
			if err != nil {
				return err
			}
			p.kernels, p.body, line = append(p.kernels, k), nil, strings.TrimSpace(line[1:])
			continue
		case p.pending == "" && line[0] == '{':
			if len(p.body.scopes) > 0 {
				return fmt.Errorf("a scope within a scope is not supported")
			}
			p.body.enter()
			line = strings.TrimSpace(line[1:])
			continue
		}
		end := statementEnd(line)
		if end < 0 {
			p.pending += line + " "
			return nil
		}
		whole, sep := strings.TrimSpace(p.pending+line[:end]), line[end]
		p.pending, line = "", strings.TrimSpace(line[end+1:])
		if err := p.body.statement(whole, sep == ':', p.line); err != nil {
			return err
		}
	}
	return nil
}

// statementEnd is where a semicolon is, or the colon of a label: :: is part of a name.
func statementEnd(line string) int {
	for from := 0; ; {
		at := strings.IndexAny(line[from:], ";:")
		if at < 0 {
			return -1
		}
		at += from
		if !strings.HasPrefix(line[at:], "::") {
			return at
		}
		from = at + len("::")
	}
}

func (p *parser) outside(line string) error {
	if p.pending == "" {
		for _, directive := range []string{".version", ".target", ".address_size"} {
			if rest, ok := strings.CutPrefix(line, directive); ok {
				if directive == ".address_size" && strings.TrimSpace(rest) != "64" {
					return fmt.Errorf("address size %s, want 64", rest)
				}
				return nil
			}
		}
	}
	if line != "{" {
		p.pending += line + " "
		if strings.HasSuffix(line, ";") {
			return p.declareDynamic()
		}
		return nil
	}
	d, err := header(strings.TrimSpace(p.pending))
	p.body, p.pending = d, ""
	if err == nil {
		d.dynamic = p.dynamic
	}
	return err
}

// declareDynamic reads ".extern .shared .align 1024 .b8 name[];".
func (p *parser) declareDynamic() error {
	text := strings.TrimSuffix(strings.TrimSpace(p.pending), ";")
	p.pending = ""
	rest, extern := strings.CutPrefix(text, ".extern ")
	rest, array := strings.CutSuffix(rest, "[]")
	if !extern || !array {
		return fmt.Errorf("%q outside a kernel is not supported", text)
	}
	v, err := variable(rest, ".shared")
	p.dynamic = append(p.dynamic, v)
	return err
}

// header reads ".visible .entry name( .param .align 8 .b8 name_param_0[96] )".
func header(text string) (*decoder, error) {
	rest, ok := strings.CutPrefix(text, ".visible .entry ")
	name, rest, open := strings.Cut(rest, "(")
	params, tail, closed := strings.Cut(rest, ")")
	if !ok || !open || !closed {
		return nil, fmt.Errorf("%q is no header of a kernel", text)
	}
	most, err := bounds(tail)
	if err != nil {
		return nil, err
	}
	v, err := variable(strings.TrimSpace(params), ".param")
	if err != nil {
		return nil, fmt.Errorf("parameters of %s: %w: want one struct", name, err)
	}
	d := newDecoder(name)
	d.k.paramBytes, d.k.maxThreads = v.bytes, most
	d.symbols[v.name] = symbol{space: "param"}
	return d, nil
}

// bounds reads ".maxntid 128, 1, 1 .minnctapersm 2", both of which may be absent: the most
// threads of a block, and a wish to the assembler.
func bounds(tail string) (most int, err error) {
	most = maxThreads
	for words := strings.Fields(strings.ReplaceAll(tail, ",", "")); len(words) > 0; {
		switch {
		case words[0] == ".maxntid" && len(words) >= 4 && words[2] == "1" && words[3] == "1":
			if most, err = strconv.Atoi(words[1]); err != nil {
				return 0, fmt.Errorf("directive %q: %w", tail, err)
			}
			words = words[4:]
		case words[0] == ".minnctapersm" && len(words) >= 2:
			words = words[2:]
		default:
			return 0, fmt.Errorf("directive %q is not supported", tail)
		}
	}
	return most, nil
}

// A declared is a variable: ".shared .align 4 .b8 name[96]", ".shared .align 8 .f64 name".
type declared struct {
	name         string
	bytes, align int
}

func variable(text, space string) (v declared, err error) {
	words := strings.Fields(text)
	if len(words) != 5 || words[0] != space || words[1] != ".align" {
		return v, fmt.Errorf("declaration %q is not supported", text)
	}
	size := width(words[3][1:]) / 8
	v.align, err = strconv.Atoi(words[2])
	if err != nil || size == 0 {
		return v, fmt.Errorf("declaration %q is not supported", text)
	}
	name, length, array := strings.Cut(words[4], "[")
	v.name, v.bytes = name, size
	if array {
		n, err := strconv.Atoi(strings.TrimSuffix(length, "]"))
		if err != nil {
			return v, fmt.Errorf("declaration %q: length: %w", text, err)
		}
		v.bytes = n * size
	}
	return v, nil
}

// width is the number of bits of a type, 0 for an unknown one.
func width(t string) int {
	switch t {
	case "b8", "u8", "s8":
		return 8
	case "b16", "u16", "s16", "bf16":
		return 16
	case "b32", "u32", "s32", "f32":
		return 32
	case "b64", "u64", "s64", "f64":
		return 64
	}
	return 0
}

// split separates operands at commas outside brackets and braces.
func split(text string) (parts []string) {
	depth, from := 0, 0
	for i, c := range text {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case ',':
			if depth == 0 {
				parts, from = append(parts, strings.TrimSpace(text[from:i])), i+1
			}
		}
	}
	if rest := strings.TrimSpace(text[from:]); rest != "" {
		parts = append(parts, rest)
	}
	return parts
}
