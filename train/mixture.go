package train

import (
	"errors"
	"fmt"
)

// A Mixture is a [Source] of windows of text. Sequences are taken from its domains in turn;
// those of a domain are all its windows in a shuffled order, then again in another order and
// from another beginning, and so on: no window is seen again before all others were.
type Mixture struct {
	Name    string
	Domains []TextDomain
	Seed    uint64
}

// A TextDomain is text of one kind.
type TextDomain struct {
	Name   string
	Tokens *Tokens
}

// Describe names the text, its length and the seed.
func (m *Mixture) Describe() string {
	s := fmt.Sprintf("windows of %s, seed %d:", m.Name, m.Seed)
	for _, d := range m.Domains {
		s += fmt.Sprintf(" %s %d", d.Name, d.Tokens.Len())
	}
	return s
}

// Check returns an error if a domain has no window of context tokens and the one that follows.
func (m *Mixture) Check(context int) error {
	if len(m.Domains) == 0 {
		return fmt.Errorf("train: %s has no text", m.Name)
	}
	for _, d := range m.Domains {
		if n := d.Tokens.Len(); n < context+1 {
			return fmt.Errorf("train: %s has %d tokens to learn from, fewer than a context of %d and the token after it: take more text or a shorter --context", d.Name, n, context)
		}
	}
	return nil
}

// Sequence sets ids to window number at, and targets to the tokens after each.
func (m *Mixture) Sequence(at int64, ids, targets []int32) {
	n := len(ids)
	which := int(at % int64(len(m.Domains)))
	text := m.Domains[which].Tokens
	start := m.start(uint64(at/int64(len(m.Domains))), uint64(which), text.Len(), n)
	text.Read(ids, start)
	copy(targets, ids[1:])
	text.Read(targets[n-1:], start+n)
}

// Err is the first error of a file that text is kept in.
func (m *Mixture) Err() error {
	for _, d := range m.Domains {
		if err := d.Tokens.Err(); err != nil {
			return err
		}
	}
	return nil
}

// Close gives up the text.
func (m *Mixture) Close() error {
	var errs []error
	for _, d := range m.Domains {
		errs = append(errs, d.Tokens.Close())
	}
	return errors.Join(errs...)
}

// Epoch is how often all windows of its domain come before sequence number at of n tokens.
func (m *Mixture) Epoch(at int64, n int) uint64 {
	domains := int64(len(m.Domains))
	windows, _ := windowsOf(m.Domains[at%domains].Tokens.Len(), n)
	return uint64(at/domains) / windows
}

// windowsOf is how many windows of n tokens an epoch of length tokens has, and in how many places
// it may begin: as many windows as the latest beginning leaves room for.
func windowsOf(length, n int) (windows, shifts uint64) {
	s := min(n, length-n)
	return uint64((length - s) / n), uint64(s)
}

// start is where window number k of a domain of length tokens begins.
func (m *Mixture) start(k, domain uint64, length, n int) int {
	windows, shifts := windowsOf(length, n)
	key := mix(m.Seed ^ mix(domain<<32^k/windows))
	return int(permute(k%windows, windows, key))*n + int(mix(key)%shifts)
}

// mix scrambles x: the finaliser of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// permute is where a shuffle of 0, …, n−1 that key chooses sends i: a Feistel network on the
// next power of four, walked until it ends below n.
func permute(i, n, key uint64) uint64 {
	half := 1
	for n > 1<<(2*half) {
		half++
	}
	mask := uint64(1)<<half - 1
	for {
		left, right := i>>half, i&mask
		for round := range uint64(4) {
			left, right = right, left^mix(right^key+round*0x9e3779b97f4a7c15)&mask
		}
		if i = left<<half | right; i < n {
			return i
		}
	}
}
