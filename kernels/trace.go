package kernels

// A Trace follows a stream's scopes for a device that watches it: which part of the work
// an op belongs to.
type Trace struct{ open []Enter }

// Note takes every op that passes and reports whether it was a scope's edge.
func (t *Trace) Note(op Op) bool {
	switch op := op.(type) {
	case *Enter:
		t.open = append(t.open, *op)
		return true
	case *Leave:
		t.open = t.open[:len(t.open)-1]
		return true
	}
	return false
}

// In reports whether a scope called name is open.
func (t *Trace) In(name string) bool {
	for _, e := range t.open {
		if e.Name == name {
			return true
		}
	}
	return false
}

// Index is the index of the innermost open scope called name, or -1.
func (t *Trace) Index(name string) int {
	for i := len(t.open) - 1; i >= 0; i-- {
		if t.open[i].Name == name {
			return t.open[i].Index
		}
	}
	return -1
}
