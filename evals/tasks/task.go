// Package tasks holds the evaluation tasks: how their data are read, what a model is
// asked, and how its answers are marked. It follows EleutherAI's lm-evaluation-harness
// (task versions 1.0) to the last digit, so that scores can be compared with published
// ones; the harness's own test hashes are in its tests. It runs no model.
//
//	files → records → Doc (requests, gold) → answers → Marks → Score (value, stderr)
package tasks

import "quadrant/internal/python"

// A Request asks how likely Continuation is after Context, which may be empty.
type Request struct{ Context, Continuation string }

// An Answer is what a model says of a Request.
type Answer struct {
	LogLikelihood float64 // natural logarithm, of the whole continuation
	Greedy        bool    // the model's likeliest tokens are the continuation
	Tokens        int     // of the continuation
}

// A Doc is a question: an item of a task.
type Doc struct {
	Fields   python.Object // as the harness logs them
	Requests []Request     // one for each choice; a single one where nothing is to choose
	Lengths  []int         // characters of each choice, which acc_norm divides by
	Gold     int           // the right choice
	Target   string        // what is right, as the harness logs it
	Example  string        // the question and its answer, as one of several examples
}

// An Output is how a task is asked.
type Output string

// The outputs of the harness that tasks here have.
const (
	MultipleChoice Output = "multiple_choice"
	LogLikelihood  Output = "loglikelihood"
	Rolling        Output = "loglikelihood_rolling" // of a whole text: a Doc has one Request without context
)

// A Task is a kind of question. Its fields are those of the harness where they have a
// counterpart there.
type Task struct {
	Name    string
	Version float64
	Output  Output
	Metrics []Metric

	// Where the data are from, as the harness says it.
	DatasetPath, DatasetName string
	Eval, Examples           split // of questions, and of examples for few-shot contexts
	NoTestSplit              bool  // questions are of the validation split
	ExtraExample             bool  // the harness draws an example more: it takes the two splits for one, named or not

	Description string // before everything else that a model reads

	// Text of the harness's configuration, for its results file.
	DocToText, DocToTarget, DocToChoice string

	// FairTies shares the mark of a choice between all that are equally likely, so that a
	// model without an opinion does not score by the order of choices. The harness does not.
	FairTies bool
	Chance   float64 // expected accuracy of guessing, 0 where it is not the same for all documents

	Records int    // of the published evaluation split, 0 if unknown
	SHA256  string // of the harness's list of its requests; see RequestsSHA256

	read func(r record) (Doc, error)
}

// A split is where the records of a part of a data set lie in a folder.
type split struct {
	name  string   // "validation"
	files []string // patterns, the first that matches wins
}

// targetDelimiter and fewshotDelimiter stand before an answer and after an example.
const targetDelimiter, fewshotDelimiter = " ", "\n\n"

// multipleChoice is a Doc whose choices follow one context.
func multipleChoice(fields python.Object, context string, choices []string, gold int, target string) Doc {
	d := Doc{Fields: fields, Gold: gold, Target: target}
	for _, c := range choices {
		d.Requests = append(d.Requests, Request{context, targetDelimiter + c})
		d.Lengths = append(d.Lengths, len([]rune(c)))
	}
	d.Example = context + targetDelimiter + choices[gold] + fewshotDelimiter
	return d
}
