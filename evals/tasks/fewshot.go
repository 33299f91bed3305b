package tasks

import (
	"fmt"
	"strings"

	"quadrant/internal/python"
)

// fewShotSeed is that of the harness's examples.
const fewShotSeed = 1234

// FewShot puts the task's description and k examples before every question, drawn as the harness draws them: one
// generator goes through the questions in order, and a question is not its own example.
func FewShot(t Task, docs, examples []Doc, k int) ([]Doc, error) {
	draw := k
	if t.ExtraExample && k > 0 {
		draw++
	}
	if k < 0 || draw > len(examples) {
		return nil, fmt.Errorf("%s: %d examples asked for, of which there are %d to draw from", t.Name, k, len(examples))
	}
	texts := make([]string, len(examples))
	for i, e := range examples {
		var err error
		if texts[i], err = (python.JSON{}).Dumps(e.Fields); err != nil {
			return nil, err
		}
	}
	r := python.NewRandom(fewShotSeed)
	out := make([]Doc, len(docs))
	for i, d := range docs {
		own, err := python.JSON{}.Dumps(d.Fields)
		if err != nil {
			return nil, err
		}
		var prefix strings.Builder
		prefix.WriteString(t.Description)
		left := k
		for _, e := range r.Sample(len(examples), draw) {
			if texts[e] != own && left > 0 {
				prefix.WriteString(examples[e].Example)
				left--
			}
		}
		d.Requests = append([]Request(nil), d.Requests...)
		for c := range d.Requests {
			d.Requests[c].Context = prefix.String() + d.Requests[c].Context
		}
		out[i] = d
	}
	return out, nil
}
