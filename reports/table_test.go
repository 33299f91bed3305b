package reports_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"quadrant/reports"
	"quadrant/results"
)

func smallTable() reports.Table {
	return reports.Table{
		Caption: "A table",
		Columns: []reports.Column{
			{Key: "model", Name: "Model"},
			{Key: "acc_norm", Name: "acc_norm", Unit: "%", Right: true},
			{Key: "median_s", Name: "Median", Right: true},
			{Key: "runs", Name: "Runs", Right: true},
		},
		Rows: [][]reports.Cell{
			{reports.Text("a|b, \"c\"\n*d*"), reports.Number(36.5, 1), reports.Quantity(0.0123456, "s"), reports.Int(5)},
			{reports.Text("日本"), reports.Number(1, 1), {}, reports.Int(int64(12))},
		},
	}
}

func write(t *testing.T, table reports.Table, format string) string {
	t.Helper()
	var b bytes.Buffer
	if err := table.Write(&b, format); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func ExampleTable_Write() {
	table := reports.Table{
		Columns: []reports.Column{{Key: "model", Name: "Model"}, {Key: "median_s", Name: "Median", Right: true}, {Key: "runs", Name: "Runs", Right: true}},
		Rows:    [][]reports.Cell{{reports.Text("tiny-mamba"), reports.Quantity(0.0123, "s"), reports.Int(5)}},
	}
	for _, format := range []string{"table", "md", "csv", "jsonl"} {
		if err := table.Write(os.Stdout, format); err != nil {
			panic(err)
		}
	}
	// Output:
	// Model        Median  Runs
	// ───────────────────────────
	// tiny-mamba  12.3 ms     5
	// | Model | Median | Runs |
	// | :--- | ---: | ---: |
	// | tiny-mamba | 12.3 ms | 5 |
	// model,median_s,runs
	// tiny-mamba,0.0123,5
	// {"model":"tiny-mamba","median_s":0.0123,"runs":5}
}

func TestTableForTerminals(t *testing.T) {
	got := write(t, smallTable(), "table")
	for _, want := range []string{"A table\n", "acc_norm (%)", "36.5", "1.0", "12.3 ms", `a|b, "c" *d*`, "日本"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

func TestTableInMarkdown(t *testing.T) {
	want := `A table

| Model | acc\_norm (%) | Median | Runs |
| :--- | ---: | ---: | ---: |
| a\|b, "c" \*d\* | 36.5 | 12.3 ms | 5 |
| 日本 | 1.0 |  | 12 |
`
	if got := write(t, smallTable(), "md"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTableInCSV(t *testing.T) {
	rows, err := csv.NewReader(strings.NewReader(write(t, smallTable(), "csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"model", "acc_norm", "median_s", "runs"}, {"a|b, \"c\"\n*d*", "36.5", "0.0123456", "5"}, {"日本", "1", "", "12"}}
	for i := range want {
		if strings.Join(rows[i], ";") != strings.Join(want[i], ";") {
			t.Errorf("row %d is %q, want %q", i, rows[i], want[i])
		}
	}
}

func TestTableInJSON(t *testing.T) {
	var all []map[string]any
	text := write(t, smallTable(), "json")
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	lines := strings.Split(strings.TrimSpace(write(t, smallTable(), "jsonl")), "\n")
	if len(all) != 2 || len(lines) != 2 {
		t.Fatalf("%d objects and %d lines, want 2", len(all), len(lines))
	}
	for i, line := range lines {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatal(err)
		}
		for _, m := range []map[string]any{o, all[i]} {
			want := []any{"a|b, \"c\"\n*d*", 36.5, 0.0123456, 5.0}
			if i == 1 {
				want = []any{"日本", 1.0, nil, 12.0}
			}
			for k, key := range []string{"model", "acc_norm", "median_s", "runs"} {
				if m[key] != want[k] {
					t.Errorf("row %d: %s is %v, want %v", i, key, m[key], want[k])
				}
			}
		}
	}
	if !strings.HasPrefix(lines[0], `{"model":`) {
		t.Errorf("keys are not in the order of columns: %s", lines[0])
	}
	if got := write(t, reports.Table{}, "json"); strings.Join(strings.Fields(got), "") != "[]" {
		t.Errorf("no rows are %q", got)
	}
}

func TestEmptyTable(t *testing.T) {
	empty := smallTable()
	empty.Rows = nil
	for format := range strings.SplitSeq(reports.Formats(), ", ") {
		for _, table := range []reports.Table{{}, empty} {
			var b bytes.Buffer
			if err := table.Write(&b, format); err != nil {
				t.Errorf("%s: %v", format, err)
			}
		}
	}
}

func TestTableErrors(t *testing.T) {
	err := smallTable().Write(&bytes.Buffer{}, "tabel")
	if !errors.Is(err, reports.ErrFormat) || !strings.Contains(err.Error(), `"tabel": want one of table, md, csv, json, jsonl`) {
		t.Errorf("an unknown format: %v", err)
	}
	change := func(f func(*reports.Table)) reports.Table {
		table := smallTable()
		f(&table)
		return table
	}
	for want, table := range map[string]reports.Table{
		"row 1 has 1 cells for 4 columns":        change(func(t *reports.Table) { t.Rows[1] = t.Rows[1][:1] }),
		`row 0, column "acc_norm" is NaN`:        change(func(t *reports.Table) { t.Rows[0][1] = reports.Number(math.NaN(), 1) }),
		`column 3 has key "model"`:               change(func(t *reports.Table) { t.Columns[3].Key = "model" }),
		`column "model" has a raw value of type`: change(func(t *reports.Table) { t.Rows[0][0].Raw = []int{1} }),
	} {
		for _, format := range []string{"table", "json"} {
			if err := table.Write(&bytes.Buffer{}, format); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %q in it", format, err, want)
			}
		}
	}
}

func TestBalanceTable(t *testing.T) {
	m := fourModels()[3]
	of := func(metric, class string, layer, topK int, counts ...float64) results.Result {
		r := tokens(m, layer, counts...)
		r.Metric, r.Point.Class, r.Point.TopK, r.Point.Phase, r.Point.Choice = metric, class, topK, "training", "sinkhorn"
		return r
	}
	rs := append(generated(m, 8, 1), tokens(m, 3, 50, 30, 19, 1), tokens(m, 1, 25, 25, 25, 25),
		of("expert_tokens", "", 1, 2, 30, 20, 26, 24), of("expert_dropped", "", 1, 2, 5, 0, 0, 0), of("expert_tokens", "", 3, 2, 25, 25, 25, 25),
		of("class_expert_tokens", "digit", 1, 1, 10, 20, 30), of("expert_dropped", "digit", 1, 1, 0, 0, 3))
	table, err := reports.BalanceTable(rs)
	if err != nil {
		t.Fatal(err)
	}
	// χ² of 30, 20, 26, 24 with two of four experts per token is 3.12 with three degrees of
	// freedom, and of 10, 20, 30 it is 10 with two: e^-5.
	x := 3.12
	p := math.Erfc(math.Sqrt(x/2)) + math.Sqrt(2*x/math.Pi)*math.Exp(-x/2)
	want := [][]any{
		{"all", 1, 1.0, nil, nil, nil}, {"all", 3, 2.0, nil, nil, nil},
		{"all", 1, 1.2, 0.05, p, 2 * p}, {"all", 3, 1.0, nil, 1.0, 1.0},
		{"digit", 1, 1.5, 0.05, math.Exp(-5), math.Exp(-5)},
	}
	var columns []int
	for _, key := range []string{"class", "layer", "max_over_mean", "drop_rate", "p", "p_holm"} {
		columns = append(columns, slices.IndexFunc(table.Columns, func(c reports.Column) bool { return c.Key == key }))
	}
	if len(table.Rows) != len(want) {
		t.Fatalf("%d rows, want %d", len(table.Rows), len(want))
	}
	for i, row := range table.Rows {
		for j, c := range columns {
			got, want := row[c].Raw, want[i][j]
			if g, ok := got.(float64); ok {
				if w, ok := want.(float64); !ok || math.Abs(g-w) > 1e-12 {
					t.Errorf("row %d, %s: %v, want %v", i, table.Columns[c].Key, got, want)
				}
			} else if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("row %d, %s: %v, want %v", i, table.Columns[c].Key, got, want)
			}
		}
	}
	if _, err := reports.BalanceTable([]results.Result{of("expert_tokens", "", 1, 3, 5, 5, 5, 5)}); err == nil || !strings.Contains(err.Error(), "whole tokens") {
		t.Errorf("20 choices, three per token: error %v", err)
	}
	if _, err := reports.BalanceTable([]results.Result{tokens(m, 1, 5, 5), tokens(m, 1, 6, 4)}); err == nil || !strings.Contains(err.Error(), "given twice") {
		t.Errorf("a layer counted twice: error %v", err)
	}
}

func TestExpertTable(t *testing.T) {
	table, err := reports.ExpertTable([]results.Result{tokens(fourModels()[3], 3, 50, 30, 19, 1)})
	if err != nil {
		t.Fatal(err)
	}
	want := `model,corpus,phase,choice,class,layer,expert,tokens,share,load
blackmamba-1.5b,text,inference,,all,3,0,50,0.5,2
blackmamba-1.5b,text,inference,,all,3,1,30,0.3,1.2
blackmamba-1.5b,text,inference,,all,3,2,19,0.19,0.76
blackmamba-1.5b,text,inference,,all,3,3,1,0.01,0.04
`
	if got := write(t, table, "csv"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Every number of every figure can be had as a table, in every format.
func TestNumbers(t *testing.T) {
	for _, f := range reports.Figures {
		tables := reports.Numbers(figure(t, f.Name, sample(oddModels(), 2)))
		if f.Metric != "" && len(tables) == 0 {
			t.Errorf("%s has no numbers", f.Name)
		}
		for _, table := range tables {
			if len(table.Rows) == 0 {
				t.Errorf("%s: a table without rows", f.Name)
			}
			for format := range strings.SplitSeq(reports.Formats(), ", ") {
				write(t, table, format)
			}
		}
	}
	m := fourModels()[3]
	got := write(t, reports.Numbers(figure(t, "fig5-latency", generated(m, 64, 3, 1, 2)))[0], "csv")
	want := "model,tokens_generated,generation_latency_s,low_s,high_s,coverage,runs\nblackmamba-1.5b,64,2,1,3,0.75,3\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := write(t, reports.Numbers(figure(t, "fig5-latency", settings(fourModels()[:1])))[0], "csv"); !strings.Contains(got, "\n\"batch 16, prompt 2048\",matched-transformer-340m,512,") {
		t.Errorf("settings are not in\n%s", got)
	}
}

// Times by hand: the ratio is of each round's own uniform pass.
func TestReplayTable(t *testing.T) {
	m := fourModels()[3]
	of := func(metric, routing string, run int, values ...float64) results.Result {
		return m.result(metric, results.Point{Routing: routing, Batch: 2, Prompt: 8, Run: run, Corpus: "text", Tokenizer: "bytes"}, values...)
	}
	load := func(routing string, layer int, values ...float64) results.Result {
		r := of("replay_expert_tokens", routing, 0, values...)
		r.Point.Layer, r.Point.TopK = &layer, 1
		return r
	}
	table, err := reports.ReplayTable([]results.Result{
		load("single", 1, 16, 0), load("single", 3, 0, 16), load("uniform", 1, 8, 8), load("uniform", 3, 8, 8), load("recorded", 1, 12, 4), load("recorded", 3, 8, 8),
		of("replay", "single", 1, 4), of("replay", "uniform", 1, 2), of("replay", "recorded", 1, 2),
		of("replay", "uniform", 2, 1), of("replay", "recorded", 2, 1.5), of("replay", "single", 2, 3),
		of("replay", "recorded", 3, 4), of("replay", "single", 3, 4), of("replay", "uniform", 3, 4),
		of("replay", "single", 4, 9),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range table.Rows {
		got = append(got, fmt.Sprint(row[6].Raw, row[7].Raw, row[8].Raw, row[9].Raw, row[10].Raw, row[11].Raw, row[12].Raw, row[13].Raw))
	}
	want := []string{"uniform1 3 2 1 1 1 0.75", "recorded1.25 3 2 1 1 1.5 0.75", "single2 4 4 2 1 3 0.75"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if _, err := reports.ReplayTable(nil); !errors.Is(err, reports.ErrNoData) {
		t.Errorf("of nothing: %v", err)
	}
	alone, err := reports.ReplayTable([]results.Result{of("replay", "single", 1, 4)})
	if err != nil || alone.Rows[0][10].Raw != nil {
		t.Errorf("without a uniform pass: %v, %v", alone.Rows, err)
	}
}
