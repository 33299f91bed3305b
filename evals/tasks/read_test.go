package tasks

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	parquetfile "quadrant/internal/parquet"
	"quadrant/internal/python"
)

// folder writes files and returns where.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func task(t *testing.T, name string) Task {
	t.Helper()
	k, ok := Named(name)
	if !ok {
		t.Fatalf("no task is called %s", name)
	}
	return k
}

// A data set's own layout and that of Hugging Face, in JSON lines and in parquet, are the
// same documents.
func TestLayouts(t *testing.T) {
	type choices struct {
		Text  []string `parquet:"text,list"`
		Label []string `parquet:"label,list"`
	}
	type arcRow struct {
		ID        string  `parquet:"id,optional,zstd"`
		Question  string  `parquet:"question,optional,snappy"`
		Choices   choices `parquet:"choices,optional"`
		AnswerKey string  `parquet:"answerKey,optional"`
	}
	type openRow struct {
		ID        string  `parquet:"id"`
		Stem      string  `parquet:"question_stem,dict"`
		Choices   choices `parquet:"choices"`
		AnswerKey string  `parquet:"answerKey"`
	}
	type piqaRow struct {
		Goal  string `parquet:"goal"`
		Sol1  string `parquet:"sol1"`
		Sol2  string `parquet:"sol2"`
		Label int64  `parquet:"label"`
	}
	type hellaRow struct {
		Ind       int32    `parquet:"ind"`
		Activity  string   `parquet:"activity_label"`
		A         string   `parquet:"ctx_a"`
		B         string   `parquet:"ctx_b"`
		Ctx       string   `parquet:"ctx"`
		Endings   []string `parquet:"endings,list"`
		SourceID  string   `parquet:"source_id"`
		Split     string   `parquet:"split"`
		SplitType string   `parquet:"split_type"`
		Label     string   `parquet:"label"`
	}
	ab := choices{[]string{"yes", "nó"}, []string{"A", "B"}}
	for _, c := range []struct {
		task string
		rows string // parquet
		json map[string]string
	}{
		{"arc_easy", rows(t, arcRow{"1", "Why?", ab, "B"}, arcRow{"2", "Who?", choices{[]string{"I"}, []string{"1"}}, "1"}), map[string]string{
			"ARC-Easy/ARC-Easy-Test.jsonl": `{"id":"1","question":{"stem":"Why?","choices":[{"text":"yes","label":"A"},{"text":"nó","label":"B"}]},"answerKey":"B"}
				{"id":"2","question":{"stem":"Who?","choices":[{"text":"I","label":"1"}]},"answerKey":"1"}`,
			"arc_easy/test.jsonl": `{"id":"1","question":"Why?","choices":{"text":["yes","nó"],"label":["A","B"]},"answerKey":"B"}` + "\n\n" +
				`{"id":"2","question":"Who?","choices":{"text":["I"],"label":["1"]},"answerKey":"1"}` + "\n",
		}},
		{"openbookqa", rows(t, openRow{"7", "Sun is", ab, " A"}), map[string]string{
			"test.jsonl":            `{"id":"7","question":{"stem":"Sun is","choices":[{"text":"yes","label":"A"},{"text":"nó","label":"B"}]},"answerKey":" A"}`,
			"openbookqa/test.jsonl": `{"id":"7","question_stem":"Sun is","choices":{"text":["yes","nó"],"label":["A","B"]},"answerKey":" A"}`,
		}},
		{"piqa", rows(t, piqaRow{"g", "a ", "b", 1}), map[string]string{
			"piqa/validation.jsonl": `{"goal":"g","sol1":"a ","sol2":"b","label":1}`,
		}},
		{"hellaswag", rows(t, hellaRow{4, "Act", "He  runs.", "the MAN", "c", []string{"[step] x", "y   z [title] w"}, "s", "val", "indomain", "1"}), map[string]string{
			"hellaswag_val.jsonl": `{"ind":4,"activity_label":"Act","ctx_a":"He  runs.","ctx_b":"the MAN","ctx":"c","split":"val","split_type":"indomain","label":1,"endings":["[step] x","y   z [title] w"],"source_id":"s"}`,
		}},
	} {
		k := task(t, c.task)
		want, err := Read(k, folder(t, map[string]string{c.task + "/" + k.Eval.name + "-00000-of-00001.parquet": c.rows}))
		if err != nil {
			t.Errorf("%s: %v", c.task, err)
			continue
		}
		for name, text := range c.json {
			got, err := Read(k, folder(t, map[string]string{name: text}))
			if err != nil || !reflect.DeepEqual(got.Docs, want.Docs) {
				t.Errorf("%s: %s differs from parquet, %v: %s", c.task, name, err, cmp.Diff(want.Docs, got.Docs))
			}
		}
	}
}

// Data sets are found where their repositories have them, each in a folder with its name
// beside others.
func TestPublishedFolders(t *testing.T) {
	const question = `{"id":"7","question":{"stem":"Sun is","choices":[{"text":"yes","label":"A"}]},"answerKey":"A"}`
	type hella struct {
		Activity string   `parquet:"activity_label"`
		A        string   `parquet:"ctx_a"`
		B        string   `parquet:"ctx_b"`
		Endings  []string `parquet:"endings,list"`
		Label    string   `parquet:"label"`
	}
	type piqa struct {
		Goal  string `parquet:"goal"`
		Sol1  string `parquet:"sol1"`
		Sol2  string `parquet:"sol2"`
		Label int64  `parquet:"label"`
	}
	type choices struct {
		Text  []string `parquet:"text,list"`
		Label []string `parquet:"label,list"`
	}
	type arc struct {
		ID        string  `parquet:"id"`
		Question  string  `parquet:"question"`
		Choices   choices `parquet:"choices"`
		AnswerKey string  `parquet:"answerKey"`
	}
	type winogrande struct {
		Sentence string `parquet:"sentence"`
		Option1  string `parquet:"option1"`
		Option2  string `parquet:"option2"`
		Answer   string `parquet:"answer"`
	}
	one := choices{[]string{"yes"}, []string{"A"}}
	goal := rows(t, piqa{"g", "a", "b", 1})
	for _, c := range []struct{ task, path, text string }{
		{"lambada_openai", "lambada_openai/data/lambada_test.jsonl", `{"text":"a b"}`},
		{"hellaswag", "hellaswag/data/validation-00000-of-00001.parquet", rows(t, hella{"a", "b", "c", []string{"d", "e"}, "1"})},
		{"hellaswag", "hellaswag/default/validation/0000.parquet", rows(t, hella{"a", "b", "c", []string{"d", "e"}, "1"})},
		{"piqa", "piqa/piqa_validation.parquet", goal},
		{"piqa", "piqa/plain_text/piqa-validation.parquet", goal},
		{"piqa", "piqa/plain_text/validation-00000-of-00001.parquet", goal},
		{"arc_easy", "ai2_arc/ARC-Easy/test-00000-of-00001.parquet", rows(t, arc{"1", "Why?", one, "A"})},
		{"arc_challenge", "ai2_arc/ARC-Challenge/ai2_arc-test.parquet", rows(t, arc{"1", "Why?", one, "A"})},
		{"winogrande", "winogrande/winogrande_xl/validation-00000-of-00001.parquet", rows(t, winogrande{"a _ b", "c", "d", "2"})},
		{"openbookqa", "openbookqa/main/test.jsonl", question},
	} {
		root := folder(t, map[string]string{c.path: c.text, "text/test.txt": "another's"})
		set, err := Read(task(t, c.task), root)
		if err != nil || len(set.Docs) != 1 || set.Files[0] != filepath.Join(root, c.path) {
			t.Errorf("%s of %s: %+v, %v", c.task, c.path, set.Files, err)
		}
		name, _, _ := strings.Cut(c.path, "/")
		if set, err := Read(task(t, c.task), filepath.Join(root, name)); err != nil || len(set.Docs) != 1 { // the repository's own folder
			t.Errorf("%s in the folder of %s: %+v, %v", c.task, c.path, set.Files, err)
		}
	}
}

// rows is a parquet file.
func rows[T any](t *testing.T, rs ...T) string {
	t.Helper()
	var b bytes.Buffer
	if err := parquet.Write(&b, rs); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The labels of PIQA lie in a file of their own.
func TestPIQALabels(t *testing.T) {
	const lines = `{"goal":"g","sol1":"a","sol2":"b"}` + "\n" + `{"goal":"h","sol1":"c","sol2":"d"}` + "\n"
	set, err := Read(task(t, "piqa"), folder(t, map[string]string{"piqa/valid.jsonl": lines, "piqa/valid-labels.lst": "1\n0\n"}))
	if err != nil || len(set.Docs) != 2 || set.Docs[0].Gold != 1 || set.Docs[1].Gold != 0 {
		t.Errorf("%+v, %v", set.Docs, err)
	}
	for labels, want := range map[string]string{
		"1":       "has 1 labels, and",
		"1\n0\n1": "has 3 labels, and",
		"1\n2":    `valid.jsonl:2: field "label" is "2", want 0 to 1`,
	} {
		_, err := Read(task(t, "piqa"), folder(t, map[string]string{"piqa/valid.jsonl": lines, "piqa/valid-labels.lst": labels}))
		wantError(t, err, want)
	}
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %s", err, want)
	}
}

// What is wrong is told with its file, line and field.
func TestReadErrors(t *testing.T) {
	const good = `{"goal":"g","sol1":"a","sol2":"b","label":0}` + "\n"
	for want, line := range map[string]string{
		`v.jsonl:2: want a JSON object on the line`:            `{"goal":`,
		`v.jsonl:2: the line is not UTF-8`:                     "{\"goal\":\"\xff\"}",
		`v.jsonl:2: more than one JSON object`:                 good[:len(good)-1] + "{}",
		`v.jsonl:2: want a JSON object on the line: it is nul`: "null",
		`v.jsonl:2: field "sol1" is missing`:                   `{"goal":"g","sol2":"b","label":0}`,
		`v.jsonl:2: field "sol2" is the number 3, want a stri`: `{"goal":"g","sol1":"b","sol2":3,"label":0}`,
		`v.jsonl:2: field "label" is null, want a number`:      `{"goal":"g","sol1":"b","sol2":"c","label":null}`,
		`v.jsonl:2: field "label" is "0.5", want 0 to 1`:       `{"goal":"g","sol1":"b","sol2":"c","label":0.5}`,
	} {
		_, err := Read(task(t, "piqa"), filepath.Join(folder(t, map[string]string{"v.jsonl": good + line}), "v.jsonl"))
		wantError(t, err, want)
	}
	for want, c := range map[string][2]string{
		`field "answerKey" is missing`:                      {"arc_easy", `{"id":"1"}`},
		`field "answerKey" "C" is none of the labels ["A"]`: {"arc_easy", `{"id":"1","question":"q","choices":{"text":["a"],"label":["A"]},"answerKey":"C"}`},
		`field "choices" 1 texts and 2 labels`:              {"arc_easy", `{"id":"1","question":"q","choices":{"text":["a"],"label":["A","B"]},"answerKey":"A"}`},
		`field "choices.text" has true or false as item 0`:  {"arc_easy", `{"id":"1","question":"q","choices":{"text":[true],"label":["A"]},"answerKey":"A"}`},
		`field "question.choices[1].label" is missing`:      {"arc_easy", `{"id":"1","question":{"stem":"q","choices":[{"text":"a","label":"A"},{"text":"b"}]},"answerKey":"A"}`},
		`field "text" has no space`:                         {"lambada_openai", `{"text":"word"}`},
		`field "sentence" has no gap`:                       {"winogrande", `{"sentence":"s","option1":"a","option2":"b","answer":"1"}`},
		`field "answer" is "3", want 1 or 2`:                {"winogrande", `{"sentence":"s _ t","option1":"a","option2":"b","answer":"3"}`},
		`field "endings" is the string "x", want a list`:    {"hellaswag", `{"activity_label":"s","ctx_a":"a","ctx_b":"b","endings":"x","label":0}`},
		`holds no records`:                                  {"piqa", "\n"},
	} {
		_, err := Read(task(t, c[0]), filepath.Join(folder(t, map[string]string{"f.jsonl": c[1]}), "f.jsonl"))
		wantError(t, err, want)
	}
	_, err := Read(task(t, "piqa"), t.TempDir())
	if !errors.Is(err, ErrNoData) {
		t.Errorf("error %v of an empty folder", err)
	}
	_, err = Read(task(t, "piqa"), filepath.Join(folder(t, map[string]string{"f.csv": ""}), "f.csv"))
	wantError(t, err, "a file of records is .jsonl or .parquet")
}

// A parquet file cut off anywhere is refused, and one with a byte changed is read or
// refused; neither brings the program down.
func TestDamagedParquet(t *testing.T) {
	type row struct {
		Goal  string   `parquet:"goal,snappy"`
		Sol1  string   `parquet:"sol1,dict"`
		Sol2  string   `parquet:"sol2,zstd"`
		Label int64    `parquet:"label"`
		Extra []string `parquet:"extra,list"`
	}
	whole := []byte(rows(t, row{"g", "a", "b", 1, []string{"x", "y"}}, row{"h", "c", "d", 0, nil}))
	read := func(data []byte) error {
		return readParquet("f.parquet", bytes.NewReader(data), int64(len(data)), func(record) error { return nil })
	}
	if err := read(whole); err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if err := read(whole[:n]); err == nil {
			t.Fatalf("cut off after %d of %d bytes, it is read", n, len(whole))
		}
	}
	for i := range whole {
		for _, bit := range []byte{1, 0x80} {
			changed := bytes.Clone(whole)
			changed[i] ^= bit
			_ = read(changed)
		}
	}
}

// A small file that says the same again and again does not fill the memory.
func TestParquetLimits(t *testing.T) {
	type row struct {
		Text string `parquet:"text,dict,zstd"`
	}
	data := rows(t, slices.Repeat([]row{{strings.Repeat("work and no play ", 1000)}}, 500)...)
	f, err := parquetfile.Read("f.parquet", strings.NewReader(data), int64(len(data)))
	if err != nil || len(data) > 200_000 {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	take := func(record) error { return nil }
	if err := (limits{rows: 500, text: 500 * 17_000}).read("f.parquet", f, take); err != nil {
		t.Error(err)
	}
	wantError(t, limits{rows: 499, text: 1 << 30}.read("f.parquet", f, take), "f.parquet has 500 rows, at most 499 are read as questions")
	wantError(t, limits{rows: 500, text: 100 * 17_000}.read("f.parquet", f, take), "f.parquet: with row 101 its text has more than 1700000 bytes")
}

func FuzzReadLines(f *testing.F) {
	f.Add([]byte(`{"id":"1","question":"Why?","choices":{"text":["yes","no"],"label":["A","B"]},"answerKey":"B"}`))
	f.Add([]byte(`{"goal":"g","sol1":"a","sol2":"b","label":0}` + "\n{}"))
	f.Add([]byte(`{"sentence":"s _ t","option1":"a","option2":"b","answer":"2"}`))
	f.Add([]byte(`{"text":"a b"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, k := range Published {
			err := readLines("f.jsonl", bytes.NewReader(data), func(r record) error {
				d, err := k.read(r)
				if err == nil && (d.Gold < 0 || d.Gold >= len(d.Requests)) {
					t.Errorf("%s: gold is %d of %d", k.Name, d.Gold, len(d.Requests))
				}
				return err
			})
			if err != nil && !strings.HasPrefix(err.Error(), "f.jsonl:") {
				t.Errorf("error without a place: %v", err)
			}
		}
	})
}

// The wanted hashes are of requests that Python made by the harness's rules.
func TestRequestsOfPython(t *testing.T) {
	set, err := Read(task(t, "hellaswag"), filepath.Join(data, "hellaswag", "val_sample1000_raw.jsonl"))
	if errors.Is(err, ErrNoData) {
		t.Skipf("no data: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := RequestsSHA256(set.Task, set.Docs); err != nil || sum != "c75f69e2b8363b199ab8433e7ccf7be69a660336733b64f5958ef10464c33646" {
		t.Errorf("hellaswag's sample: %s, %v", sum, err)
	}
	for _, c := range []struct {
		task string
		k    int
		want string
	}{
		{"piqa", 3, "1b152282fe9694537498ba6090a2dcc1b69205c75b587130b2d93572ed18ed63"},
		{"winogrande", 5, "50a441a60fe72d5f582e1c631a1ef488c24e8460685b9d395c735316cafb27c2"},
	} {
		set := load(t, c.task)
		docs, err := FewShot(set.Task, set.Docs[:200], set.Docs, c.k)
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		for _, d := range docs {
			for _, r := range d.Requests {
				text, err := python.JSON{ASCII: true}.Dumps([]string{r.Context, r.Continuation})
				if err != nil {
					t.Fatal(err)
				}
				h.Write([]byte(text))
			}
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != c.want {
			t.Errorf("%s with %d examples: %s, want %s", c.task, c.k, got, c.want)
		}
	}
	if _, err := FewShot(set.Task, set.Docs[:2], set.Docs[:3], 3); err == nil {
		t.Error("4 examples are drawn of 3")
	}
}
