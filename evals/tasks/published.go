package tasks

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"quadrant/internal/python"
)

// Published are the tasks that language models are compared by, those of the BlackMamba
// paper among them.
var Published = []Task{
	{
		Name: "lambada_openai", Version: 1, Output: LogLikelihood, Metrics: []Metric{Perplexity, Acc},
		DatasetPath: "EleutherAI/lambada_openai", DatasetName: "default",
		Eval:      split{"test", []string{"lambada_test.jsonl", "lambada_openai_test.jsonl", "test.jsonl", "test*.parquet", "test/*.parquet"}},
		Examples:  split{"test", []string{"lambada_test.jsonl", "lambada_openai_test.jsonl", "test.jsonl", "test*.parquet", "test/*.parquet"}},
		DocToText: "{{text.split(' ')[:-1]|join(' ')}}", DocToTarget: "{{' '+text.split(' ')[-1]}}",
		Records: 5153, SHA256: "6829e6a8aa5922e6c92dd31403cc060f242dc0ede4a775e085a70da095ab2e20", read: readLambada,
	}, {
		Name: "hellaswag", Version: 1, Output: MultipleChoice, Metrics: []Metric{Acc, AccNorm},
		DatasetPath: "Rowan/hellaswag", NoTestSplit: true, ExtraExample: true,
		Eval:      split{"validation", []string{"hellaswag_val.jsonl", "validation.jsonl", "val.jsonl", "validation*.parquet", "validation/*.parquet"}},
		Examples:  split{"train", []string{"hellaswag_train.jsonl", "train.jsonl", "train*.parquet", "train/*.parquet"}},
		DocToText: "{{query}}", DocToTarget: "{{label}}", DocToChoice: "choices",
		Records: 10042, SHA256: "abb808c97d6529eda6c11067837a132c62d25cba0394d720f80cca6df9f7196e", read: readHellaSwag,
	}, {
		Name: "piqa", Version: 1, Output: MultipleChoice, Metrics: []Metric{Acc, AccNorm},
		DatasetPath: "baber/piqa", NoTestSplit: true, ExtraExample: true,
		Eval:      split{"validation", []string{"valid.jsonl", "validation.jsonl", "validation*.parquet", "validation/*.parquet"}},
		Examples:  split{"train", []string{"train.jsonl", "train*.parquet", "train/*.parquet"}},
		DocToText: "Question: {{goal}}\nAnswer:", DocToTarget: "label", DocToChoice: "{{[sol1, sol2]}}",
		Records: 1838, SHA256: "6048a3a2bb3ad1e6a3d98139618e06b4d7de766edd685bd38837596199c3f69f", read: readPIQA,
	},
	arc("arc_easy", "ARC-Easy", 2376, "ffa6e39a35a16299dcb015f17f986aaa598ad8b4840c4cebe0339a7042232741"),
	arc("arc_challenge", "ARC-Challenge", 1172, "41c34c96cca8ace661911d0033d630c554b283f5a3953bcdc50720ae6b00a9c1"),
	{
		Name: "winogrande", Version: 1, Output: MultipleChoice, Metrics: []Metric{Acc},
		DatasetPath: "winogrande", DatasetName: "winogrande_xl", NoTestSplit: true, ExtraExample: true,
		Eval:      split{"validation", []string{"winogrande_xl_validation.jsonl", "dev.jsonl", "validation.jsonl", "validation*.parquet", "validation/*.parquet"}},
		Examples:  split{"train", []string{"winogrande_xl_train.jsonl", "train_xl.jsonl", "train.jsonl", "train*.parquet", "train/*.parquet"}},
		DocToText: "!function preprocess_winogrande.doc_to_text", DocToTarget: "!function preprocess_winogrande.doc_to_target",
		DocToChoice: "!function preprocess_winogrande.doc_to_choice",
		Records:     1267, SHA256: "90a3eff49de9173964d46f5ed57bcf9a78a72dd1bfe0e5323b25cebb40b49ea9", read: readWinoGrande,
	}, {
		Name: "openbookqa", Version: 1, Output: MultipleChoice, Metrics: []Metric{Acc, AccNorm},
		DatasetPath: "openbookqa", DatasetName: "main",
		Eval:      split{"test", []string{"test.jsonl", "test*.parquet", "test/*.parquet"}},
		Examples:  split{"train", []string{"train.jsonl", "train*.parquet", "train/*.parquet"}},
		DocToText: "question_stem", DocToTarget: "{{choices.label.index(answerKey.lstrip())}}", DocToChoice: "{{choices.text}}",
		Records: 500, SHA256: "78a49a0ca1a47373adb33463b1d092e6bc0d8f4b01bcb380ada48065037849d7", read: readOpenBookQA,
	},
}

// arc is one of the two parts of ARC.
func arc(name, part string, records int, sha string) Task {
	return Task{
		Name: name, Version: 1, Output: MultipleChoice, Metrics: []Metric{Acc, AccNorm},
		DatasetPath: "allenai/ai2_arc", DatasetName: part,
		Eval:      split{"test", []string{part + "-Test.jsonl", "test.jsonl", "test*.parquet", "test/*.parquet"}},
		Examples:  split{"train", []string{part + "-Train.jsonl", "train.jsonl", "train*.parquet", "train/*.parquet"}},
		DocToText: "Question: {{question}}\nAnswer:", DocToTarget: "{{choices.label.index(answerKey)}}", DocToChoice: "{{choices.text}}",
		Records: records, SHA256: sha, read: readARC,
	}
}

// Named returns the published task called name.
func Named(name string) (Task, bool) {
	for _, t := range Published {
		if t.Name == name {
			return t, true
		}
	}
	return Task{}, false
}

// readLambada asks for the last word of a passage.
func readLambada(r record) (Doc, error) {
	text, err := r.str("text")
	if err != nil {
		return Doc{}, err
	}
	at := strings.LastIndexByte(text, ' ')
	if at < 0 {
		return Doc{}, r.failf("text", "has no space: a passage and its last word are wanted")
	}
	d := Doc{Fields: python.Object{{Name: "text", Value: text}}, Requests: []Request{{text[:at], text[at:]}}, Target: text[at:]}
	d.Example = text[:at] + targetDelimiter + text[at:] + fewshotDelimiter // with two spaces, as in the harness
	return d, nil
}

// readPIQA takes the label from the record, where the reader of two files puts it too.
func readPIQA(r record) (Doc, error) {
	goal, err1 := r.str("goal")
	sol1, err2 := r.str("sol1")
	sol2, err3 := r.str("sol2")
	label, err4 := r.choice("label", 2)
	if err := first(err1, err2, err3, err4); err != nil {
		return Doc{}, err
	}
	fields := python.Object{{Name: "goal", Value: goal}, {Name: "sol1", Value: sol1}, {Name: "sol2", Value: sol2}, {Name: "label", Value: label}}
	return multipleChoice(fields, "Question: "+goal+"\nAnswer:", []string{sol1, sol2}, label, strconv.Itoa(label)), nil
}

func readARC(r record) (Doc, error) {
	q, err := readQuestion(r, "question")
	if err != nil {
		return Doc{}, err
	}
	gold, err := q.gold(r, q.key)
	if err != nil {
		return Doc{}, err
	}
	return multipleChoice(q.fields("question"), "Question: "+q.stem+"\nAnswer:", q.texts, gold, strconv.Itoa(gold)), nil
}

func readOpenBookQA(r record) (Doc, error) {
	q, err := readQuestion(r, "question_stem")
	if err != nil {
		return Doc{}, err
	}
	gold, err := q.gold(r, python.LStrip(q.key))
	if err != nil {
		return Doc{}, err
	}
	return multipleChoice(q.fields("question_stem"), q.stem, q.texts, gold, strconv.Itoa(gold)), nil
}

// A question is an item of ARC or OpenBookQA.
type question struct {
	id, stem, key string
	texts, labels []string
}

// readQuestion reads the layout of the data sets' authors, where the question is an
// object, or that of Hugging Face, where it is the string called stem.
func readQuestion(r record, stem string) (q question, err error) {
	var errs [5]error
	q.id, errs[0] = r.str("id")
	q.key, errs[1] = r.str("answerKey")
	if inner, ok := r.fields["question"].(map[string]any); ok {
		sub := record{r.where, "question.", inner}
		q.stem, errs[2] = sub.str("stem")
		items, err := sub.list("choices")
		for i, item := range items {
			fields, ok := item.(map[string]any)
			if !ok {
				return q, sub.failf("choices", "item %d is no object", i)
			}
			one := record{r.where, fmt.Sprintf("question.choices[%d].", i), fields}
			text, err1 := one.str("text")
			label, err2 := one.str("label")
			if err := first(err1, err2); err != nil {
				return q, err
			}
			q.texts, q.labels = append(q.texts, text), append(q.labels, label)
		}
		errs[3] = err
	} else {
		q.stem, errs[2] = r.str(stem)
		sub, err := r.object("choices")
		if err := first(errs[0], errs[1], errs[2], err); err != nil {
			return q, err
		}
		q.texts, errs[3] = sub.strs("text")
		q.labels, errs[4] = sub.strs("label")
	}
	if err := first(errs[:]...); err != nil {
		return q, err
	}
	if len(q.texts) != len(q.labels) || len(q.texts) == 0 {
		return q, r.failf("choices", "%d texts and %d labels", len(q.texts), len(q.labels))
	}
	return q, nil
}

func (q question) gold(r record, key string) (int, error) {
	for i, l := range q.labels {
		if l == key {
			return i, nil
		}
	}
	return 0, r.failf("answerKey", "%q is none of the labels %q", key, q.labels)
}

func (q question) fields(stem string) python.Object {
	choices := python.Object{{Name: "text", Value: q.texts}, {Name: "label", Value: q.labels}}
	return python.Object{{Name: "id", Value: q.id}, {Name: stem, Value: q.stem}, {Name: "choices", Value: choices}, {Name: "answerKey", Value: q.key}}
}

// readWinoGrande has one continuation, the end of the sentence, after two contexts: its
// beginning with either option in the gap.
func readWinoGrande(r record) (Doc, error) {
	sentence, err1 := r.str("sentence")
	option1, err2 := r.str("option1")
	option2, err3 := r.str("option2")
	answer, err4 := r.str("answer")
	if err := first(err1, err2, err3, err4); err != nil {
		return Doc{}, err
	}
	at := strings.IndexByte(sentence, '_')
	if at < 0 {
		return Doc{}, r.failf("sentence", "has no gap, which is written _")
	}
	gold := 0
	switch answer {
	case "1":
	case "2":
		gold = 1
	default:
		return Doc{}, r.failf("answer", "is %q, want 1 or 2", answer)
	}
	end := python.Strip(sentence[at+1:])
	d := Doc{Gold: gold, Target: end, Fields: python.Object{
		{Name: "sentence", Value: sentence}, {Name: "option1", Value: option1}, {Name: "option2", Value: option2}, {Name: "answer", Value: answer},
	}}
	for _, option := range []string{option1, option2} {
		context := sentence[:at] + option
		d.Requests = append(d.Requests, Request{context, targetDelimiter + end})
		d.Lengths = append(d.Lengths, len([]rune(context)))
	}
	d.Example = d.Requests[gold].Context
	if end != "" {
		d.Example += targetDelimiter + end + fewshotDelimiter
	}
	return d, nil
}

// readHellaSwag adds the fields that the harness does: query, choices, gold.
func readHellaSwag(r record) (Doc, error) {
	var fields python.Object
	for _, name := range []string{"ind", "activity_label", "ctx_a", "ctx_b", "ctx", "endings", "source_id", "split", "split_type", "label"} {
		if v, ok := r.fields[name]; ok {
			fields = append(fields, python.Field{Name: name, Value: v})
		}
	}
	activity, err1 := r.str("activity_label")
	a, err2 := r.str("ctx_a")
	b, err3 := r.str("ctx_b")
	endings, err4 := r.strs("endings")
	if err := first(err1, err2, err3, err4); err != nil {
		return Doc{}, err
	}
	gold, err := r.choice("label", len(endings))
	if err != nil {
		return Doc{}, err
	}
	for i := range fields {
		switch fields[i].Name { // as Hugging Face has them
		case "label":
			fields[i].Value = strconv.Itoa(gold)
		case "endings":
			fields[i].Value = endings
		}
	}
	query := cleanHellaSwag(activity + ": " + a + " " + python.Capitalize(b))
	choices := make([]string, len(endings))
	for i, e := range endings {
		choices[i] = cleanHellaSwag(e)
	}
	fields = append(fields, python.Field{Name: "query", Value: query}, python.Field{Name: "choices", Value: choices}, python.Field{Name: "gold", Value: gold})
	return multipleChoice(fields, query, choices, gold, strconv.Itoa(gold)), nil
}

var bracketed = regexp.MustCompile(`\[.*?\]`)

// cleanHellaSwag takes WikiHow's marks out. The order of the steps decides where spaces
// stay: white space is stripped first, and three spaces leave two.
func cleanHellaSwag(s string) string {
	s = strings.ReplaceAll(python.Strip(s), " [title]", ". ")
	return strings.ReplaceAll(bracketed.ReplaceAllString(s, ""), "  ", " ")
}
