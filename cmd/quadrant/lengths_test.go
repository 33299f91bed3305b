package main

import (
	"slices"
	"strings"
	"testing"
)

func TestParseLengths(t *testing.T) {
	for list, want := range map[string][]int{
		"128":               {128},
		"128,256*2..2048":   {128, 256, 512, 1024, 2048},
		"512-8192*2":        {512, 1024, 2048, 4096, 8192},
		"8-32":              {8, 16, 32},
		"8..32":             {8, 16, 32},
		"100-400+100":       {100, 200, 300, 400},
		"100+100..350":      {100, 200, 300},
		" 7 , 3,7 ":         {3, 7},
		"4-4*2":             {4},
		"1-20*3,10-12+1,18": {1, 3, 9, 10, 11, 12, 18},
	} {
		got, err := parseLengths(list)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", list, got, err, want)
		}
	}
	for list, want := range map[string]string{
		"": "want a number", "x": "want a number", "0": "want 1 to", "-5": "want", "8-4*2": "from 8 down to 4",
		"1-8*1": "does not go up", "1-8+0": "does not go up", "1-1000000+1": "more than 1000", "99999999999": "want",
		"1-8*2*2": "want a number", "3..": "want a number", "1,,2": "want a number",
	} {
		if got, err := parseLengths(list); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want an error with %q", list, got, err, want)
		}
	}
}
