package reports

import (
	"fmt"
	"slices"
	"strings"

	"quadrant/results"
)

// memoryUse is a sentence on what shown, which are generations or their steps, make of the memory's
// measured rate: the MBU of every model's longest run, in the order met, as rs tell it. Nothing where
// they do not.
func memoryUse(shown, rs []results.Result) []string {
	var longest []results.Result
	for _, r := range shown {
		i := slices.IndexFunc(longest, func(o results.Result) bool {
			return sameSubject(o, r) && settingOf(o) == settingOf(r) && o.Point.Batch == r.Point.Batch && o.Point.Prompt == r.Point.Prompt
		})
		switch {
		case i < 0:
			longest = append(longest, r)
		case r.Point.Gen > longest[i].Point.Gen:
			longest[i] = r
		}
	}
	var differ []field // what tells results of one model apart
	for _, f := range []field{byDevice, byMachine, byThreads, byDType, byBatch, byPrompt} {
		if len(f.texts(shown)) > 1 {
			differ = append(differ, f)
		}
	}
	var shares []string
	for _, r := range longest {
		share, ok := bandwidthShare(r, rs)
		if !ok {
			continue
		}
		name := []string{r.Subject.Model}
		for _, f := range differ {
			name = append(name, f.of(r).text)
		}
		shares = append(shares, fmt.Sprintf("%s %.0f %%", strings.Join(name, ", "), 100*share))
	}
	if len(shares) == 0 {
		return nil
	}
	return []string{"Model bandwidth utilisation, the share of the memory's measured rate that the bytes of a decode step need: " + strings.Join(shares, "; ") + "."}
}
