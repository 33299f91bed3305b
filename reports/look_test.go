package reports_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"quadrant/internal/atomicfile"
	"quadrant/reports"
	"quadrant/results"
)

// TestLook writes every figure of the test data to the folder that LOOK names, for a
// person to look at.
func TestLook(t *testing.T) {
	dir := os.Getenv("LOOK")
	if dir == "" {
		t.Skip("LOOK names no folder")
	}
	short := rand.New(rand.NewPCG(1, 1))
	for name, rs := range map[string][]results.Result{
		"four": sample(fourModels(), 7), "many": sample(manyModels(), 7), "one": sample(fourModels()[3:], 7),
		"odd": sample(oddModels(), 5), "settings": settings(fourModels()),
		"short": fourModels()[0].latency(100, 1, []int{100}, 1, short), "few": oddModels()[2].balance(500, 0.5, short),
	} {
		for _, f := range reports.Figures {
			c, err := f.Make(rs)
			if errors.Is(err, reports.ErrNoData) {
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for _, ext := range []string{".png", ".svg", ".pdf"} {
				if err := c.Save(filepath.Join(dir, name+"-"+f.Name+ext)); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// TestLookPage writes a page of the test data to the folder that LOOK names.
func TestLookPage(t *testing.T) {
	dir := os.Getenv("LOOK")
	if dir == "" {
		t.Skip("LOOK names no folder")
	}
	rs := sample(fourModels(), 5)
	if err := atomicfile.Write(filepath.Join(dir, "index.html"), func(w io.Writer) error { return reports.WriteIndex(w, page(t, rs)) }); err != nil {
		t.Error(err)
	}
}

// page has every figure of rs and the table of balance.
func page(t *testing.T, rs []results.Result) reports.Page {
	p := reports.Page{Title: "Test data, not measured", Command: "quadrant figure --in test.jsonl --out figures", Sources: []string{"test.jsonl"}, Results: rs}
	for _, f := range reports.Figures {
		c, err := f.Make(rs)
		p.Figures = append(p.Figures, reports.PageFigure{Figure: f, Chart: c, Err: err, Files: []string{f.Name + ".png", f.Name + ".pdf"}})
	}
	balance, err := reports.BalanceTable(rs)
	if err != nil {
		t.Fatal(err)
	}
	p.Tables = []reports.Table{balance}
	return p
}
