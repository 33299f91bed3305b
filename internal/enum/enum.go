// Package enum gives small enumerations their names in configs and results. Value 0 of
// an enumeration means that it was never set, so that a field left out is noticed.
package enum

import (
	"fmt"
	"strings"
)

// Names are the names of the values 1, 2, … of an enumeration.
type Names []string

// Of is the name of value i.
func (n Names) Of(i uint8) string {
	if i == 0 || int(i) > len(n) {
		return "unset"
	}
	return n[i-1]
}

// Parse returns the value called text; what names the enumeration in the error.
func (n Names) Parse(what string, text []byte) (uint8, error) {
	for i, name := range n {
		if name == string(text) {
			return uint8(i + 1), nil
		}
	}
	return 0, fmt.Errorf("%s %q is unknown: want one of %s", what, text, strings.Join(n, ", "))
}
