package kernels

import "fmt"

// An expect is a statement about an operand; first returns the earliest that fails.
// Statements are plain values, so that a check that passes allocates nothing.
type expect struct {
	what, of   string
	kind       failure
	have, want int
	value      float64 // of notAbove
}

type failure uint8

const (
	holds failure = iota
	wrongRows
	wrongCols
	wrongType
	indivisible
	tooLong
	tooSmall
	notAbove
)

func (e expect) err() error {
	switch e.kind {
	case wrongRows:
		return fmt.Errorf("%s has %d rows, want %d", e.what, e.have, e.want)
	case wrongCols:
		return fmt.Errorf("%s has %d columns, want %d", e.what, e.have, e.want)
	case wrongType:
		return fmt.Errorf("%s is %v, want %s", e.what, Type(e.have), e.of)
	case indivisible:
		return fmt.Errorf("%s: %d does not divide by %d", e.what, e.have, e.want)
	case tooLong:
		return fmt.Errorf("%s ends at position %d of a cache of %d", e.what, e.have, e.want)
	case tooSmall:
		return fmt.Errorf("%s is %d, want at least %d", e.what, e.have, e.want)
	case notAbove:
		return fmt.Errorf("%s is %v, want above %d", e.what, e.value, e.want)
	}
	return nil
}

func first(statements ...expect) error {
	for i := range statements {
		if statements[i].kind != holds {
			return statements[i].err()
		}
	}
	return nil
}

func rows(what string, m Mat, n int) (e expect) {
	if m.Rows != n {
		e = expect{what: what, kind: wrongRows, have: m.Rows, want: n}
	}
	return e
}

func cols(what string, m Mat, n int) (e expect) {
	if m.Cols != n {
		e = expect{what: what, kind: wrongCols, have: m.Cols, want: n}
	}
	return e
}

// shaped wants m to have the shape of like.
func shaped(what string, m, like Mat) expect {
	if e := rows(what, m, like.Rows); e.kind != holds {
		return e
	}
	return cols(what, m, like.Cols)
}

// f32 wants every operand to be F32; an absent one is.
func f32(what string, ms ...Mat) (e expect) {
	for _, m := range ms {
		if m.Type != F32 {
			e = expect{what: what, of: "f32", kind: wrongType, have: int(m.Type)}
		}
	}
	return e
}

func i32(what string, m Mat) (e expect) {
	if m.Type != I32 {
		e = expect{what: what, of: "i32", kind: wrongType, have: int(m.Type)}
	}
	return e
}

// sameType wants m to be of the type of like.
func sameType(what string, m, like Mat) (e expect) {
	if m.Type != like.Type {
		e = expect{what: what, of: like.Type.String(), kind: wrongType, have: int(m.Type)}
	}
	return e
}

// float wants a floating-point type.
func float(what string, m Mat) (e expect) {
	if m.Type == I32 {
		e = expect{what: what, of: floatNames, kind: wrongType, have: int(m.Type)}
	}
	return e
}

func divides(what string, total, part int) (e expect) {
	if part < 1 || total%part != 0 {
		e = expect{what: what, kind: indivisible, have: total, want: part}
	}
	return e
}

func atLeast(what string, have, want int) (e expect) {
	if have < want {
		e = expect{what: what, kind: tooSmall, have: have, want: want}
	}
	return e
}

func above(what string, value float64, want int) (e expect) {
	if !(value > float64(want)) {
		e = expect{what: what, kind: notAbove, value: value, want: want}
	}
	return e
}

// room wants a step of x.Rows/seqs tokens after past to fit a cache of seqs sequences.
// It is asked after divides.
func room(cache, x Mat, seqs, past int) (e expect) {
	if seqs < 1 {
		return e
	}
	if end, length := past+x.Rows/seqs, cache.Rows/seqs; end > length {
		e = expect{what: "step", kind: tooLong, have: end, want: length}
	}
	return e
}

// when drops the statement where the operand it is about is absent.
func (e expect) when(present bool) expect {
	if !present {
		return expect{}
	}
	return e
}
