package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"quadrant/kernels"
)

// settings are the keys of a config.json. Reading one that is wrong notes what is wrong, so
// that all of it can be told at once. null is as good as absent.
type settings struct {
	keys map[string]any
	errs []error
}

func (s *settings) failf(format string, args ...any) {
	s.errs = append(s.errs, fmt.Errorf(format, args...))
}

// err is all that was noted, on one line.
func (s *settings) err() error {
	if len(s.errs) == 0 {
		return nil
	}
	var all []string
	for _, err := range s.errs {
		if text := err.Error(); !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return errors.New(strings.Join(all, "; "))
}

func (s *settings) has(key string) bool { return s.keys[key] != nil }

// int is a whole number that must be there.
func (s *settings) int(key string) int {
	if !s.has(key) {
		s.failf("%s is missing", key)
		return 0
	}
	return s.intOr(key, 0)
}

func (s *settings) intOr(key string, otherwise int) int {
	if !s.has(key) {
		return otherwise
	}
	if f := s.floatOr(key, 0); f == math.Trunc(f) && math.Abs(f) <= 1<<40 {
		return int(f)
	}
	s.failf("%s is %.40q, want a whole number", key, fmt.Sprint(s.keys[key]))
	return 0
}

// float is a number that must be there.
func (s *settings) float(key string) float64 {
	if !s.has(key) {
		s.failf("%s is missing", key)
		return 0
	}
	return s.floatOr(key, 0)
}

func (s *settings) floatOr(key string, otherwise float64) float64 {
	if !s.has(key) {
		return otherwise
	}
	if n, ok := s.keys[key].(json.Number); ok {
		if f, err := strconv.ParseFloat(n.String(), 64); err == nil {
			return f
		}
	}
	s.failf("%s is %.40q, want a number", key, fmt.Sprint(s.keys[key]))
	return 0
}

func (s *settings) boolOr(key string, otherwise bool) bool {
	if !s.has(key) {
		return otherwise
	}
	b, ok := s.keys[key].(bool)
	if !ok {
		s.failf("%s is %.40q, want true or false", key, fmt.Sprint(s.keys[key]))
	}
	return b
}

func (s *settings) stringOr(key, otherwise string) string {
	if !s.has(key) {
		return otherwise
	}
	v, ok := s.keys[key].(string)
	if !ok {
		s.failf("%s is %.40q, want a string", key, fmt.Sprint(s.keys[key]))
	}
	return v
}

// under is the settings of an object within these; none where there is no such object.
func (s *settings) under(key string) *settings {
	switch v := s.keys[key].(type) {
	case nil:
		return &settings{}
	case map[string]any:
		return &settings{keys: v}
	}
	s.failf("%s is %.40q, want an object", key, fmt.Sprint(s.keys[key]))
	return &settings{}
}

// Bounds that keep a hostile config small before its sizes are compared with the weights.
const (
	maxLayers = 1 << 12
	maxPieces = 1 << 18 // layers × experts or heads
)

// layers is the number of layers.
func (s *settings) layers(key string) int {
	before := len(s.errs)
	n := s.int(key)
	if len(s.errs) > before {
		return 0
	}
	if n < 1 || n > maxLayers {
		s.failf("%s is %d, want 1 to %d", key, n, maxLayers)
		return 0
	}
	return n
}

// pieces is a number of experts or heads in each of some layers.
func (s *settings) pieces(key string, n, layers int) int {
	if layers == 0 || n == 0 && !s.has(key) { // said already
		return 1
	}
	if n < 1 || n > maxPieces || n*layers > maxPieces {
		s.failf("%s is %d, want at least 1 and, in %d layers, at most %d", key, n, layers, maxPieces/max(1, layers))
		return 1
	}
	return n
}

// share is the size of one of n equal parts of whole.
func (s *settings) share(what string, whole, n int) int {
	if n < 1 || whole%n != 0 {
		s.failf("%d %s do not divide %d", n, what, whole)
		return 0
	}
	return whole / n
}

// acts are the names of activations in transformers (activations.py).
var acts = map[string]kernels.Act{
	"silu": kernels.SiLU, "swish": kernels.SiLU, "gelu": kernels.GELU, "gelu_new": kernels.GELUTanh,
	"gelu_fast": kernels.GELUTanh, "gelu_pytorch_tanh": kernels.GELUTanh, "relu": kernels.ReLU,
}

func (s *settings) act(key, otherwise string) kernels.Act {
	name := s.stringOr(key, otherwise)
	act, ok := acts[name]
	if !ok {
		s.failf("%s is %.40q, want one of silu, gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, relu", key, name)
	}
	return act
}
