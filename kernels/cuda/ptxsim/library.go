package ptxsim

import "sync"

// A Library keeps what was read of PTX texts, for machines that load the same ones. Machines
// may use it side by side.
type Library struct{ texts sync.Map } // of func() ([]*kernel, error), by text

// parse reads a text once. A nil library reads it every time.
func (l *Library) parse(ptx string) ([]*kernel, error) {
	if l == nil {
		return parse(ptx)
	}
	once, _ := l.texts.LoadOrStore(ptx, sync.OnceValues(func() ([]*kernel, error) { return parse(ptx) }))
	return once.(func() ([]*kernel, error))()
}
