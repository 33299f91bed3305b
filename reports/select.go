package reports

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"quadrant/results"
)

// withMetric returns the results of a metric. Of equal results, which a file that was
// concatenated twice holds, the first is kept: they are one measurement.
func withMetric(rs []results.Result, metric string) []results.Result {
	seen := map[string]bool{}
	var kept []results.Result
	for _, r := range rs {
		if r.Metric != metric {
			continue
		}
		key, err := json.Marshal(r)
		if err == nil && seen[string(key)] {
			continue
		}
		seen[string(key)] = true
		kept = append(kept, r)
	}
	return kept
}

// A value is what a result has in a field: n orders values, text names them.
type value struct {
	n    int
	text string
}

// A field is something that a measurement depends on apart from the model and the axes.
type field struct {
	name string
	of   func(results.Result) value
}

func counted(name string, of func(results.Result) int) field {
	return field{name, func(r results.Result) value {
		n := of(r)
		if n == 0 {
			return value{}
		}
		return value{n, fmt.Sprintf("%s %d", name, n)}
	}}
}

func named(name string, of func(results.Result) string) field {
	return field{name, func(r results.Result) value { return value{0, of(r)} }}
}

var (
	byDevice  = named("device", func(r results.Result) string { return r.Env.Device })
	byMachine = named("machine", machine)
	byThreads = field{"threads", func(r results.Result) value { return value{r.Env.Threads, threads(r)} }}
	byDType   = named("dtype", func(r results.Result) string { return r.Subject.DType })
	byBatch   = counted("batch", func(r results.Result) int { return r.Point.Batch })
	byPrompt  = counted("prompt", func(r results.Result) int { return r.Point.Prompt })
	byPhase   = named("phase", func(r results.Result) string { return r.Point.Phase })
	byFLOPs   = named("convention", convention)
	byCorpus  = named("corpus", corpus)
)

func machine(r results.Result) string {
	if r.Env.CPU == "" || r.Env.Host == "" {
		return r.Env.CPU + r.Env.Host
	}
	return r.Env.CPU + " (" + r.Env.Host + ")"
}

func threads(r results.Result) string {
	switch r.Env.Threads {
	case 0:
		return ""
	case 1:
		return "1 thread"
	}
	return fmt.Sprintf("%d threads", r.Env.Threads)
}

func convention(r results.Result) string {
	if r.Point.Convention == "" {
		return ""
	}
	return "convention " + r.Point.Convention
}

func corpus(r results.Result) string {
	var words []string
	if r.Point.Corpus != "" {
		words = append(words, r.Point.Corpus)
	}
	if r.Point.Tokens > 0 {
		words = append(words, fmt.Sprintf("%d tokens", r.Point.Tokens))
	}
	if r.Point.Tokenizer != "" {
		words = append(words, "tokenizer "+r.Point.Tokenizer)
	}
	return strings.Join(words, ", ")
}

// A facet is the results of one setting. A figure draws each in a panel of its own, so
// that no panel mixes settings.
type facet struct {
	label   string // the values that differ between facets, "" if there is only one
	results []results.Result
}

// mostPanels is how many panels a figure may have.
const mostPanels = 8

// split divides rs by the values of fields. The facets are in the order of their values.
func split(rs []results.Result, fields ...field) ([]facet, error) {
	groups := group(rs, func(r results.Result) string { return setting(r, fields) })
	if len(groups) > mostPanels {
		var names []string
		for _, f := range varying(rs, fields) {
			names = append(names, fmt.Sprintf("%s (%s)", f.name, strings.Join(f.texts(rs), ", ")))
		}
		return nil, fmt.Errorf("results mix %d settings, a figure shows at most %d side by side: choose among %s",
			len(groups), mostPanels, strings.Join(names, "; "))
	}
	slices.SortStableFunc(groups, func(a, b []results.Result) int {
		for _, f := range fields {
			x, y := f.of(a[0]), f.of(b[0])
			if c := cmp.Or(cmp.Compare(x.n, y.n), cmp.Compare(x.text, y.text)); c != 0 {
				return c
			}
		}
		return 0
	})
	differ := varying(rs, fields)
	var facets []facet
	for _, g := range groups {
		facets = append(facets, facet{describe(g[0], differ), g})
	}
	return facets, nil
}

func setting(r results.Result, fields []field) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "%v\x00", f.of(r))
	}
	return b.String()
}

// describe names the values that r has in fields.
func describe(r results.Result, fields []field) string {
	var words []string
	for _, f := range fields {
		if text := f.of(r).text; text != "" {
			words = append(words, text)
		} else {
			words = append(words, f.name+" not recorded")
		}
	}
	return strings.Join(words, ", ")
}

// varying returns the fields in which rs differ.
func varying(rs []results.Result, fields []field) []field {
	return slices.DeleteFunc(slices.Clone(fields), func(f field) bool { return len(group(rs, f.of)) < 2 })
}

// texts are the distinct values of f in rs, in order.
func (f field) texts(rs []results.Result) []string {
	var vs []value
	for _, r := range rs {
		if v := f.of(r); v.text != "" {
			vs = append(vs, v)
		}
	}
	slices.SortFunc(vs, func(a, b value) int { return cmp.Or(cmp.Compare(a.n, b.n), cmp.Compare(a.text, b.text)) })
	vs = slices.Compact(vs)
	texts := make([]string, len(vs))
	for i, v := range vs {
		texts[i] = v.text
	}
	return texts
}

// group divides rs by key; groups are in the order of their first results.
func group[K comparable](rs []results.Result, key func(results.Result) K) [][]results.Result {
	at := map[K]int{}
	var groups [][]results.Result
	for _, r := range rs {
		k := key(r)
		i, ok := at[k]
		if !ok {
			i = len(groups)
			at[k] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], r)
	}
	return groups
}
