package tasks

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// The wanted values are what Jinja renders.
func TestTemplate(t *testing.T) {
	var fields map[string]any
	d := json.NewDecoder(strings.NewReader(`{"q": " Why? ", "n": 3, "list": ["a", "b", "c"], "o": {"text": ["x", "yé"], "label": ["A", "B"]}, "key": "B", "yes": true}`))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil {
		t.Fatal(err)
	}
	r := record{where: "f.jsonl:1", fields: fields}
	for source, want := range map[string]any{
		"plain { text }":                             "plain { text }",
		"Q:{{q}}A":                                   "Q: Why? A",
		"Q:{{ q.strip() }}{{n}}":                     "Q:Why?3",
		"{{ q | trim | upper }}!":                    "WHY?!",
		"{{n + 4}}":                                  json.Number("7"),
		"{{list}}":                                   []any{"a", "b", "c"},
		"{{list[1:]|join('-')}}":                     "b-c",
		"{{ list[-1] + list[0] }}":                   "ca",
		"{{list[:2] + ['z']}}":                       []any{"a", "b", "z"},
		"{{o.label.index(key)}}":                     json.Number("1"),
		"{{o['text'][o.label.index(key)]}}":          "yé",
		"{{o.text[1][1]}}":                           "é",
		"{{[q.strip(), 'no\\n']}}":                   []any{"Why?", "no\n"},
		"{{('a' + 'b').replace(\"b\", 'c')}}":        "ac",
		"{{'a b  c'.split(' ')}}":                    []any{"a", "b", "", "c"},
		"{{q.split(' ')[:-1]|join(' ')}}":            " Why?",
		"{{list|first}}{{list|last}}{{list|length}}": "ac3",
		"{{yes}} {{'4'|int + 1}}":                    "True 5",
		"{{', '.join(list)}}":                        "a, b, c", "{{'a' + 'b'|upper}}": "aB",
	} {
		p, err := parseTemplate(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := p.value(r); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %#v, %v; want %#v", source, got, err, want)
		}
	}
	for source, want := range map[string]string{
		"{{q":                           `want "}}"`,
		"{% if q %}":                    "statements and comments",
		"a {# b #}":                     "statements and comments",
		"{{q.__class__()}}":             `method "__class__" is not one`,
		"{{q|eval}}":                    `filter "eval" is not one`,
		"{{q.replace('a')}}":            "has 1 arguments, want 2",
		"{{'a}}":                        "without its end",
		"{{}}":                          "want an expression",
		"{{" + strings.Repeat("(", 100): "nested too deeply",
	} {
		if _, err := parseTemplate(source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", source, err, want)
		}
	}
	for source, want := range map[string]string{
		"{{missing}}":         `f.jsonl:1: field "missing" is missing`,
		"{{o.none}}":          `field "none" is missing`,
		"{{list[3]}}":         "index 3 of 3",
		"{{list.index('z')}}": `"z" is not among the 3`,
		"a{{o}}":              "an object is no text",
		"{{q + n}}":           "do not add",
		"{{n.strip()}}":       "the number 3 is no text",
		"{{q.split('')}}":     "empty separator",
		"{{n[0]}}":            "has no items",
		"{{list['a']}}":       "is no index",
	} {
		p, err := parseTemplate(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if v, err := p.value(r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is %v, %v; want an error with %s", source, v, err, want)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"{{q.strip()}}", "{{list[1:]|join('-')}}", "{{['a', b] + [3]}}", "a {{ 'x\\n'.split(\"y\")[-1] }} b", "{% x %}"} {
		f.Add(s)
	}
	r := record{where: "f:1", fields: map[string]any{"q": "text", "list": []any{"a", json.Number("3")}, "b": true}}
	f.Fuzz(func(_ *testing.T, source string) {
		if p, err := parseTemplate(source); err == nil {
			_, _ = p.value(r)
		}
	})
}

const ownYAML = `task: capitals
dataset_path: json
dataset_kwargs:
  data_files:
    train: train.jsonl
    test: test.jsonl
training_split: train
test_split: test
output_type: multiple_choice
description: "Geography.\n"
doc_to_text: "The capital of {{country}} is"
doc_to_target: answer
doc_to_choice: "{{options.text}}"
num_fewshot: 1
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
  - metric: acc_norm
metadata:
  version: 2.0
`

var ownData = map[string]string{
	"capitals.yaml": ownYAML,
	"test.jsonl":    `{"country":"France","options":{"text":["Paris","Rome"]},"answer":"Paris"}` + "\n" + `{"country":"Italy","options":{"text":["Paris","Rome"]},"answer":1}` + "\n",
	"train.jsonl":   `{"country":"Spain","options":{"text":["Madrid","Rome"]},"answer":0}` + "\n",
}

// A task that a user wrote asks what it says, with its description and examples.
func TestOwn(t *testing.T) {
	own, err := OpenOwn(filepath.Join(folder(t, ownData), "capitals.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	set, err1 := own.Read()
	examples, err2 := own.ReadExamples()
	if err := first(err1, err2); err != nil {
		t.Fatal(err)
	}
	if own.Shots != 1 || own.Task.Version != 2 || !reflect.DeepEqual(own.Task.Metrics, []Metric{Acc, AccNorm}) {
		t.Errorf("%+v", own)
	}
	docs, err := FewShot(own.Task, set.Docs, examples.Docs, own.Shots)
	if err != nil {
		t.Fatal(err)
	}
	const context = "Geography.\nThe capital of Spain is Madrid\n\nThe capital of Italy is"
	if d := docs[1]; d.Gold != 1 || !reflect.DeepEqual(d.Requests, []Request{{context, " Paris"}, {context, " Rome"}}) || !reflect.DeepEqual(d.Lengths, []int{5, 4}) {
		t.Errorf("%+v", d)
	}
	if own.Task.ExtraExample || own.Task.NoTestSplit {
		t.Error("examples of another split are drawn as of the same")
	}
	for change, extra := range map[string]bool{"test_split: test\nfewshot_split: test": true, "validation_split: test": true, "validation_split: test\nfewshot_split: train": false} {
		o, err := parseOwn("t.yaml", []byte(strings.Replace(ownYAML, "test_split: test", change, 1)))
		if err != nil || o.Task.ExtraExample != extra {
			t.Errorf("%q: an example more: %v, %v", change, o.Task.ExtraExample, err)
		}
	}
	if docs[0].Gold != 0 {
		t.Errorf("%+v", docs[0])
	}

	// Of one continuation.
	files := map[string]string{"d.jsonl": `{"a":"one","b":"two"}`, "t.yml": "task: t\ndataset_kwargs: {data_files: d.jsonl}\ntest_split: test\noutput_type: loglikelihood\n" +
		"doc_to_text: a\ndoc_to_target: ' {{b}}'\nmetric_list: [{metric: perplexity}, {metric: acc}]\n"}
	if own, err = OpenOwn(filepath.Join(folder(t, files), "t.yml")); err == nil {
		set, err = own.Read()
	}
	if err != nil || !reflect.DeepEqual(set.Docs[0].Requests, []Request{{"one", " two"}}) {
		t.Errorf("%+v, %v", set.Docs, err)
	}
}

func TestOwnErrors(t *testing.T) {
	for want, change := range map[string][2]string{
		`t.yaml:9: output_type: "generate_until": want multiple_choice or loglik`: {"multiple_choice", "generate_until"},
		`t.yaml:9: unknown field "output_typ"`:                                    {"output_type", "output_typ"},
		`t.yaml:11: doc_to_text: "{{country is": want "}}"`:                       {"{{country}}", "{{country"},
		`t.yaml:12: doc_to_target: "!function`:                                    {"doc_to_target: answer", "doc_to_target: '!function utils.f'"},
		`t.yaml:13: doc_to_choice: is missing`:                                    {"doc_to_choice: \"{{options.text}}\"", "doc_to_choice:"},
		`t.yaml:15: metric_list: metric "f1": want some of`:                       {"metric: acc\n", "metric: f1\n"},
		`t.yaml:4: data_files: the split "test" has no file`:                      {"    test: test.jsonl", "    other: test.jsonl"},
		`t.yaml:14: num_fewshot: -1: want 0 or more`:                              {"num_fewshot: 1", "num_fewshot: -1"},
		`t.yaml:1: task: "a/b" is no name`:                                        {"capitals", "a/b"},
	} {
		_, err := parseOwn("t.yaml", []byte(strings.Replace(ownYAML, change[0], change[1], 1)))
		wantError(t, err, want)
	}
	for want, line := range map[string]string{
		`test.jsonl:1: field "country" is missing`:                `{"options":{"text":["a","b"]},"answer":0}`,
		`test.jsonl:1: doc_to_target: "c" is none of 2 choices`:   `{"country":"x","options":{"text":["a","b"]},"answer":"c"}`,
		`test.jsonl:1: doc_to_choice: 1 choices, want at least 2`: `{"country":"x","options":{"text":["a"]},"answer":0}`,
		`test.jsonl:1: doc_to_choice: the string "a" is no list`:  `{"country":"x","options":{"text":"a"},"answer":0}`,
	} {
		own, err := OpenOwn(filepath.Join(folder(t, map[string]string{"capitals.yaml": ownYAML, "test.jsonl": line}), "capitals.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = own.Read()
		wantError(t, err, want)
	}
}

func FuzzParseOwn(f *testing.F) {
	f.Add([]byte(ownYAML))
	f.Add([]byte("task: t\noutput_type: loglikelihood\n"))
	f.Add([]byte("dataset_kwargs: 0\nmetric_list:\n  ! 0000000\n00000008: 0")) // what the library panics on
	f.Fuzz(func(_ *testing.T, text []byte) {
		_, _ = parseOwn("t.yaml", text)
	})
}
