package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxLengths bounds a list, so that a slip such as 1-1000000+1 is an error and not a week.
const maxLengths = 1000

// parseLengths reads a list of numbers of tokens: 128,512 or ranges as llama-bench writes
// them, 128-2048*2 and 128-640+128, also with the step first: 256*2..2048, 128+128..640.
// The result ascends without repeats.
func parseLengths(list string) ([]int, error) {
	var all []int
	for _, item := range strings.Split(list, ",") {
		lengths, err := parseRange(strings.TrimSpace(item))
		if err != nil {
			return nil, fmt.Errorf("length %q: %w", item, err)
		}
		all = append(all, lengths...)
		if len(all) > maxLengths {
			return nil, fmt.Errorf("lengths %q: more than %d", list, maxLengths)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func parseRange(item string) ([]int, error) {
	first, last, op, step, err := splitRange(item)
	if err != nil {
		return nil, err
	}
	if first < 1 || last > 1<<24 {
		return nil, fmt.Errorf("want 1 to %d tokens", 1<<24)
	}
	if first > last {
		return nil, fmt.Errorf("it goes from %d down to %d", first, last)
	}
	if op == '*' && step < 2 || op == '+' && step < 1 {
		return nil, fmt.Errorf("a step of %c%d does not go up", op, step)
	}
	var all []int
	for n := first; n <= last && len(all) <= maxLengths; {
		all = append(all, n)
		if op == '*' {
			n *= step
		} else {
			n += step
		}
	}
	return all, nil
}

// splitRange takes "5", "1-8*2", "1-8+2", "1*2..8" and "1+2..8" apart.
func splitRange(item string) (first, last int, op byte, step int, err error) {
	parts := []string{item}
	if from, to, ok := strings.Cut(item, ".."); ok { // from holds the step
		if i := strings.IndexAny(from, "*+"); i >= 0 {
			parts, op = []string{from[:i], to, from[i+1:]}, from[i]
		} else {
			parts = []string{from, to, ""}
		}
	} else if from, to, ok := strings.Cut(item, "-"); ok && from != "" { // to holds it
		if i := strings.IndexAny(to, "*+"); i >= 0 {
			parts, op = []string{from, to[:i], to[i+1:]}, to[i]
		} else {
			parts = []string{from, to, ""}
		}
	}
	if len(parts) == 3 && parts[2] == "" {
		parts[2], op = "2", '*' // as most sweeps of lengths go
	}
	var numbers [3]int
	for i, p := range parts {
		if numbers[i], err = strconv.Atoi(p); err != nil {
			return 0, 0, 0, 0, fmt.Errorf("want a number or a range such as 128-2048*2")
		}
	}
	if len(parts) == 1 {
		return numbers[0], numbers[0], '+', 1, nil
	}
	return numbers[0], numbers[1], op, numbers[2], nil
}
