package main

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"quadrant/evals/compare"
	"quadrant/reports"
)

func newCompare(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "compare A B",
		Short: "Say what the difference of two models' evaluations is worth",
		Long: `Compares two evaluations question by question. A and B are folders that
'quadrant eval' or the lm-evaluation-harness (--log_samples) wrote, or samples
files in them.

For each task and metric: both values, B − A with the 95 % interval of a paired
bootstrap (10,000 resamples, the same for one --seed), how many questions A alone
and B alone got right with the p-value of McNemar's exact test, and the least
difference that would be found four times of five among questions such as these.
Differences of perplexities and of bits per byte are in nats of log-likelihood:
how much likelier B finds a document, word or byte.

Runs over different questions are refused: their hashes must agree.`,
		Example: `  quadrant compare out/mamba out/transformer
  quadrant compare a/samples_piqa_2026-01-02T03-04-05.jsonl b/samples_piqa_2026-01-02T05-06-07.jsonl --format json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return misuse(errors.New("want two evaluations to compare: folders or samples files"))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			cs, err := a.compare(args[0], args[1])
			if err != nil {
				return err
			}
			return a.table(compareTable(cs, args[0], args[1]), format)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "of the output: "+reports.Formats())
	return cmd
}

func (a *app) compare(pathA, pathB string) ([]compare.Comparison, error) {
	runsA, err := compare.Open(pathA)
	if err != nil {
		return nil, err
	}
	runsB, err := compare.Open(pathB)
	if err != nil {
		return nil, err
	}
	if names := compare.Missing(runsA, runsB); len(names) > 0 {
		a.log.Warn("not compared, for one side lacks them", "tasks", strings.Join(names, ", "))
	}
	for _, r := range append(runsA, runsB...) {
		for _, why := range r.Skipped {
			a.log.Warn("a metric is not compared", "file", r.Path, "metric", why)
		}
	}
	return compare.Compare(runsA, runsB, a.seed)
}

func compareTable(cs []compare.Comparison, pathA, pathB string) reports.Table {
	t := reports.Table{
		Caption: fmt.Sprintf("A is %s, B is %s. B − A with its 95 %% interval; perplexities: in nats of log-likelihood. "+
			"Comparisons: %d; of models that are equal, one of 20 would look different.", pathA, pathB, len(cs)),
		Columns: []reports.Column{
			textColumn("task", "Task"), textColumn("filter", "Filter"), textColumn("metric", "Metric"), numberColumn("n", "n"),
			numberColumn("a", "A"), numberColumn("b", "B"),
			numberColumn("difference", "B − A"), numberColumn("lo", "From"), numberColumn("hi", "To"),
			numberColumn("only_a", "A alone"), numberColumn("only_b", "B alone"), numberColumn("mcnemar_p", "p"),
			numberColumn("detectable", "Detectable"), textColumn("verdict", "Verdict"),
		},
	}
	for _, c := range cs {
		row := []reports.Cell{
			reports.Text(c.Task), reports.Text(c.Filter), reports.Text(c.Metric), reports.Int(c.N),
			decimals(c.A), decimals(c.B), decimals(c.Difference), decimals(c.Interval.Lo), decimals(c.Interval.Hi),
			{}, {}, {}, {}, reports.Text(string(c.Verdict)),
		}
		if c.Kind == compare.Proportion {
			row[9], row[10], row[11] = reports.Int(c.OnlyA), reports.Int(c.OnlyB), reports.Cell{Text: fmt.Sprintf("%.3g", c.P), Raw: c.P}
		}
		if c.Detectable > 0 {
			row[12] = decimals(c.Detectable)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// decimals is a cell with four decimals; a perplexity may be too large for them, or for a
// number.
func decimals(v float64) reports.Cell {
	switch {
	case math.IsInf(v, 0) || math.IsNaN(v):
		return reports.Cell{Text: fmt.Sprint(v)}
	case math.Abs(v) >= 1e6:
		return reports.Cell{Text: fmt.Sprintf("%.4g", v), Raw: v}
	}
	return reports.Number(v, 4)
}
