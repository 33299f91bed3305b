// Package sample chooses the next token from a model's logits: the likeliest, or one drawn
// from a distribution that temperature, top-k and top-p shape.
//
// The rules are those of the reference implementation of Mamba (state-spaces/mamba,
// utils/generation.py): the top-k are taken first, then temperature applies, then top-p to
// the distribution that this leaves.
package sample

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Options say how to draw. The zero Options is greedy: always the likeliest token.
type Options struct {
	Temperature float64 // divides the logits; 0 is greedy
	TopK        int     // only the so many likeliest; 0 is all
	TopP        float64 // only the likeliest that together have this probability; 0 and 1 are all
	Seed        uint64
}

// Validate returns the first thing wrong with o.
func (o Options) Validate() error {
	switch {
	case !(o.Temperature >= 0) || math.IsInf(o.Temperature, 1):
		return fmt.Errorf("sample: temperature is %v, want 0 (greedy) or more", o.Temperature)
	case o.TopK < 0:
		return fmt.Errorf("sample: top-k is %d, want 0 (all) or more", o.TopK)
	case !(o.TopP >= 0 && o.TopP <= 1):
		return fmt.Errorf("sample: top-p is %v, want 0 to 1", o.TopP)
	}
	return nil
}

// Greedy reports whether o leaves nothing to chance.
func (o Options) Greedy() bool { return o.Temperature == 0 || o.TopK == 1 }

// A Sampler draws tokens. For one seed and the same logits it draws the same.
type Sampler struct {
	o    Options
	r    *rand.Rand
	list []candidate
}

// A candidate is a token that may be drawn.
type candidate struct {
	id    int32
	logit float32
	p     float64 // probability; of what it is a share of is the caller's
}

// New returns a sampler.
func New(o Options) (*Sampler, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return &Sampler{o: o, r: rand.New(rand.NewPCG(o.Seed, 0x73616d706c65))}, nil
}

// Next chooses a token from the logits of all. A logit that is not a number is an error:
// the model has failed.
func (s *Sampler) Next(logits []float32) (int32, error) {
	best, err := ArgMax(logits)
	if err != nil || s.o.Greedy() {
		return best, err
	}
	if v := float64(logits[best]); math.IsInf(v, 0) {
		return 0, fmt.Errorf("sample: the largest logit, of token %d, is %v: the model has failed", best, v)
	}
	list := s.candidates(logits)
	var sum float64
	for _, c := range list {
		sum += c.p
	}
	u := s.r.Float64() * sum
	for _, c := range list {
		if u -= c.p; u < 0 {
			return c.id, nil
		}
	}
	return list[0].id, nil // rounding left u at 0 or above
}

// candidates are the tokens that may be drawn, the likeliest first and of equal ones the
// least, with their probabilities before top-p.
func (s *Sampler) candidates(logits []float32) []candidate {
	s.list = s.list[:0]
	for id, v := range logits {
		s.list = append(s.list, candidate{id: int32(id), logit: v})
	}
	list := s.list
	if k := s.o.TopK; k > 0 && k < len(list) || s.o.top() {
		slices.SortFunc(list, func(a, b candidate) int { return cmp.Or(cmp.Compare(b.logit, a.logit), cmp.Compare(a.id, b.id)) })
		if k > 0 {
			list = list[:min(k, len(list))]
		}
	}
	top := list[0].logit
	for _, c := range list {
		top = max(top, c.logit)
	}
	var sum float64
	for i := range list {
		list[i].p = math.Exp((float64(list[i].logit) - float64(top)) / s.o.Temperature)
		sum += list[i].p
	}
	for i := range list {
		list[i].p /= sum
	}
	if s.o.top() {
		list = nucleus(list, s.o.TopP)
	}
	return list
}

// top reports whether top-p leaves anything out.
func (o Options) top() bool { return o.TopP > 0 && o.TopP < 1 }

// nucleus is the least number of the likeliest whose probabilities reach p: those are left
// out whose probability, with that of all less likely ones, is at most 1−p. The first
// always stays.
func nucleus(list []candidate, p float64) []candidate {
	var tail float64
	for i := len(list) - 1; i > 0; i-- {
		if tail += list[i].p; tail > 1-p {
			return list[:i+1]
		}
	}
	return list[:1]
}

// ArgMax is the token with the largest logit, of equal ones the first.
func ArgMax(logits []float32) (int32, error) {
	if len(logits) == 0 {
		return 0, fmt.Errorf("sample: no logits to choose from")
	}
	best := 0
	for i, v := range logits {
		if v != v {
			return 0, fmt.Errorf("sample: the logit of token %d is not a number: the model has failed", i)
		}
		if v > logits[best] {
			best = i
		}
	}
	return int32(best), nil
}
