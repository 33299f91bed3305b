package ptxsim

import (
	"errors"
	"slices"
)

// A Graph is launches to be run together.
type Graph struct {
	m        *Machine
	launches []recorded
	freed    bool
}

type recorded struct {
	name        string
	grid, block [3]int
	shared      int
	args        []byte
}

// Record returns the launches that launches asks for, which do not run.
func (m *Machine) Record(launches func() error) (*Graph, error) {
	if err := m.BeginRecord(); err != nil {
		return nil, err
	}
	err := launches()
	return m.EndRecord(), err
}

// BeginRecord makes launches become part of a graph, until EndRecord returns it.
func (m *Machine) BeginRecord() error {
	if m.recording != nil {
		return errors.New("ptxsim: a graph is being recorded already")
	}
	m.recording = &Graph{m: m}
	return nil
}

// EndRecord returns what was recorded.
func (m *Machine) EndRecord() *Graph {
	g := m.recording
	m.recording = nil
	return g
}

// Launch runs the launches in order.
func (g *Graph) Launch() error {
	if g.freed {
		return errors.New("ptxsim: launch of a graph that was freed")
	}
	for _, l := range g.launches {
		if err := g.m.Launch(l.name, l.grid, l.block, l.shared, l.args); err != nil {
			return err
		}
	}
	return nil
}

// Free makes a later launch an error.
func (g *Graph) Free() error {
	g.freed = true
	return nil
}

func (g *Graph) add(name string, grid, block [3]int, shared int, args []byte) {
	g.launches = append(g.launches, recorded{name, grid, block, shared, slices.Clone(args)})
}
