package main

import (
	"fmt"
	"slices"

	"quadrant/results"
)

// A sink takes results as they are measured: to a file, if the user named one, where those
// that it holds already are not measured again.
type sink struct {
	file   *results.Writer           // nil keeps results in memory only
	have   map[string]results.Result // by key
	wanted []string                  // keys of the results of this command, in the order of its work
	gpus   map[string]*gpuWatch      // by the name of the device
}

// openSink opens the file at path, or none. What stands in its way is told before anything
// is measured.
func (a *app) openSink(path string) (*sink, error) {
	s := &sink{have: make(map[string]results.Result), gpus: a.gpus}
	if path == "" {
		return s, nil
	}
	file, have, cut, err := results.Append(path)
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	if cut != nil {
		a.log.Warn("removed an incomplete last line; what it held is measured again", "was", cut)
	}
	s.file = file
	commits := make(map[string]bool)
	for _, r := range have {
		s.have[r.Key()] = r
		commits[r.Env.Commit] = true
	}
	if now := commit(); len(have) > 0 && !commits[now] {
		a.log.Warn("the file's results are of another build of quadrant; they are kept and not measured again", "file", path, "this build", now)
	}
	return s, nil
}

// known reports whether r is measured already. If not, it soon is: a GPU's state before is noted.
func (s *sink) known(r results.Result) bool {
	s.gpus[r.Env.Device].begin()
	key := r.Key()
	s.wanted = append(s.wanted, key)
	_, ok := s.have[key]
	return ok
}

// write takes results newly measured.
func (s *sink) write(rs ...results.Result) error {
	rs = slices.Clone(rs)
	for i, r := range rs {
		s.gpus[r.Env.Device].log(&r.Env)
		rs[i] = r
		key := r.Key()
		s.wanted = append(s.wanted, key)
		s.have[key] = r
	}
	if s.file == nil {
		return nil
	}
	if err := s.file.Write(rs...); err != nil {
		return fmt.Errorf("results: %w", err)
	}
	return nil
}

// results is what the command measured or found measured.
func (s *sink) results() (all []results.Result) {
	seen := make(map[string]bool)
	for _, key := range s.wanted {
		if r, ok := s.have[key]; ok && !seen[key] {
			all = append(all, r)
		}
		seen[key] = true
	}
	return all
}

func (s *sink) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
