package reports_test

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"

	"quadrant/reports"
	"quadrant/results"
)

func index(t *testing.T, p reports.Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := reports.WriteIndex(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestIndex(t *testing.T) {
	rs := sample(fourModels(), 3)
	got := index(t, page(t, rs))
	for _, want := range []string{
		"<title>Test data, not measured</title>", "quadrant figure --in test.jsonl --out figures", "<code>test.jsonl</code>",
		`<a href="fig5-latency.png">`, "The numbers", "Test CPU 9000", "go1.26.8", "0123456789", "random, seed 1", "1.46B",
		"tiny-shakespeare, 30000 tokens", "Max/mean",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if n := strings.Count(got, "<svg"); n != len(reports.Figures) {
		t.Errorf("%d pictures, want %d", n, len(reports.Figures))
	}
	for _, f := range reports.Figures {
		if !strings.Contains(got, `<section id="`+f.Name+`"`) {
			t.Errorf("the page lacks %s", f.Name)
		}
	}
	if got != index(t, page(t, rs)) {
		t.Error("two pages of the same results differ")
	}
}

// Nothing on the page is fetched: addresses are those of XML namespaces and of files
// beside it.
func TestIndexNeedsNoNetwork(t *testing.T) {
	got := index(t, page(t, sample(fourModels(), 3)))
	for _, url := range regexp.MustCompile(`[a-z]+://[^"' )]+`).FindAllString(got, -1) {
		if !strings.HasPrefix(url, "http://www.w3.org/") {
			t.Errorf("the page holds %s", url)
		}
	}
	for _, tag := range []string{"<script", "<link", "<img", "@import", "url("} {
		if strings.Contains(got, tag) {
			t.Errorf("the page holds %s", tag)
		}
	}
}

func TestIndexEscapes(t *testing.T) {
	m := fourModels()[3]
	m.name = `</svg><script>alert("x")</script>`
	rs := generated(m, 8, 1)
	p := partial(t, rs)
	p.Title, p.Command = m.name, m.name
	if got := index(t, p); strings.Contains(got, "<script>") || !strings.Contains(got, "&lt;script&gt;") {
		t.Error("a model's name is not escaped")
	}
}

// partial has the figures that rs allow, and says why the others are missing.
func partial(t *testing.T, rs []results.Result) (p reports.Page) {
	t.Helper()
	for _, f := range reports.Figures {
		c, err := f.Make(rs)
		p.Figures = append(p.Figures, reports.PageFigure{Figure: f, Chart: c, Err: err})
	}
	p.Results = rs
	return p
}

func TestIndexSaysWhatIsMissing(t *testing.T) {
	got := index(t, partial(t, generated(fourModels()[0], 8, 1)))
	if !strings.Contains(got, "Not drawn, for want of results:") || !strings.Contains(got, "quadrant balance") {
		t.Error("the page does not say what is missing")
	}
	if strings.Contains(got, `id="expert-balance"`) {
		t.Error("the page has a figure without results")
	}
	index(t, reports.Page{}) // an empty page is no error
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestIndexErrors(t *testing.T) {
	if err := reports.WriteIndex(fullDisk{}, reports.Page{}); err == nil {
		t.Error("no error of a writer that fails")
	}
	p := partial(t, generated(fourModels()[0], 8, 1))
	p.Figures[1].Chart.Panels = nil
	if err := reports.WriteIndex(&bytes.Buffer{}, p); err == nil || !strings.Contains(err.Error(), "fig5-latency") {
		t.Errorf("a chart without panels: %v", err)
	}
	p = reports.Page{Tables: []reports.Table{{Columns: []reports.Column{{}}}}}
	if err := reports.WriteIndex(&bytes.Buffer{}, p); err == nil {
		t.Error("no error of a column without a key")
	}
}
