package hub

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// newDataset serves a data set of two configs and three splits.
func newDataset(t *testing.T) *server {
	s := newServer(t, size)
	s.kind = datasets
	s.files = map[string][]byte{"README.md": []byte("not wanted"), "data.py": []byte("not wanted"), "dataset_infos.json": []byte("{}"), ".gitattributes": nil}
	for i, name := range datasetFiles {
		s.files[name] = content(1000 + i)
	}
	s.files["A/test-00000-of-00001.parquet"] = content(size)
	return s
}

var datasetFiles = []string{
	"A/test-00000-of-00001.parquet", "A/train-00000-of-00001.parquet", "A/valid-labels.lst", "A/valid.jsonl",
	"B/dev.jsonl.gz", "B/test.jsonl", "B/training.jsonl",
}

func TestPullDataset(t *testing.T) {
	for _, c := range []struct {
		choice Choice
		want   []string
		err    string
	}{
		{want: datasetFiles},
		{choice: Choice{Config: "A"}, want: datasetFiles[:4]},
		{choice: Choice{Splits: []string{"validation"}}, want: []string{"A/valid-labels.lst", "A/valid.jsonl", "B/dev.jsonl.gz"}},
		{choice: Choice{Config: "B", Splits: []string{"train", "test"}}, want: []string{"B/test.jsonl", "B/training.jsonl"}},
		{choice: Choice{Include: []string{"*.md", "A/te??-*"}}, want: []string{"A/test-00000-of-00001.parquet", "README.md"}},
		{choice: Choice{Include: []string{"A/t*"}, Splits: []string{"test"}, MaxSize: size}, want: datasetFiles[:1]},
		{choice: Choice{Splits: []string{"test"}, MaxSize: size}, err: fmt.Sprintf("2 files have %d bytes, at most %d", size+1005, size)},
		{choice: Choice{Config: "C"}, err: `no file of config "C" among A/test`},
		{choice: Choice{Config: "B", Splits: []string{"extra"}}, err: `no file of split ["extra"] among B/dev.jsonl.gz, B/test.jsonl, B/training.jsonl`},
		{choice: Choice{Include: []string{"*.csv"}}, err: `no file matching ["*.csv"] among`},
		{choice: Choice{Include: []string{""}}, err: "an empty pattern"},
	} {
		t.Run(fmt.Sprintf("%+v", c.choice), func(t *testing.T) {
			s := newDataset(t)
			dir, err := s.client(t).PullDataset(context.Background(), ref, c.choice, "")
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || !strings.HasPrefix(err.Error(), "hub: data set Org/model@main: ") {
					t.Errorf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := filepath.Join(os.Getenv("HF_HOME"), "hub", "datasets--Org--model", "snapshots", s.commit); dir != want {
				t.Errorf("pulled to %s, want %s", dir, want)
			}
			wantFolder(t, s, dir, c.want...)
		})
	}
}

// What broke off is gone on from, also where the folder is the user's.
func TestResumeDataset(t *testing.T) {
	s := newDataset(t)
	c := s.client(t)
	c.Attempts = 1
	cut := true
	s.bad = func(w http.ResponseWriter, r *http.Request) bool {
		if cut && strings.HasSuffix(r.URL.Path, ".parquet") {
			cutOff(w, 200, map[string]string{"Content-Length": strconv.Itoa(size)}, content(size)[:size/3])
			return true
		}
		return false
	}
	dir := t.TempDir()
	choice := Choice{Config: "A", Splits: []string{"test"}}
	if _, err := c.PullDataset(context.Background(), ref, choice, dir); err == nil || !strings.Contains(err.Error(), "after 100000 of 300000 bytes") {
		t.Fatalf("cut off: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, datasetFiles[0])); err == nil {
		t.Error("a part has the name of the whole")
	}
	cut = false
	if _, err := c.PullDataset(context.Background(), ref, choice, dir); err != nil {
		t.Fatal(err)
	}
	wantFolder(t, s, dir, datasetFiles[0])
	path := "GET /datasets/Org/model/resolve/" + s.commit + "/" + datasetFiles[0]
	if got, want := s.of(datasetFiles[0]), []string{path, path + " bytes=100000-"}; !slices.Equal(got, want) {
		t.Errorf("requests %q, want %q", got, want)
	}
}

// A data set is no more trusted than a model.
func TestDatasetLies(t *testing.T) {
	for name, c := range map[string]struct {
		listed func(string, map[string]any)
		status int
		err    string
	}{
		"name goes up":      {listed: func(_ string, e map[string]any) { e["rfilename"] = "../train.parquet" }, err: `"../train.parquet": the name is refused`},
		"name is absolute":  {listed: func(_ string, e map[string]any) { e["rfilename"] = "/etc/train.parquet" }, err: "the name is refused"},
		"wrong hash":        {listed: func(_ string, e map[string]any) { e["blobId"] = strings.Repeat("ab", 20) }, err: "but the hub says abab"},
		"longer than said":  {listed: func(_ string, e map[string]any) { e["size"] = 7 }, err: "the listing says 7"},
		"sizes beyond all":  {listed: func(_ string, e map[string]any) { e["size"] = int64(math.MaxInt64) }, err: "4611686018427387904 bytes, at most 1000000 are"},
		"it is not there":   {status: 404, err: "no such model, revision or file"},
		"it needs a token":  {status: 401, err: "no such model or data set, or it needs a token: set HF_TOKEN"},
		"a licence first":   {status: 403, err: "accept the licence"},
		"too many requests": {status: 429, err: "gave up after 6 attempts: "},
	} {
		t.Run(name, func(t *testing.T) {
			s := newDataset(t)
			s.listed = c.listed
			s.bad = func(w http.ResponseWriter, _ *http.Request) bool {
				if c.status != 0 {
					w.WriteHeader(c.status)
				}
				return c.status != 0
			}
			dir := t.TempDir()
			_, err := s.client(t).PullDataset(context.Background(), ref, Choice{Config: "B", MaxSize: 1e6}, dir)
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			left, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
			for _, name := range left {
				if !strings.HasSuffix(name, ".incomplete") { // which the next Pull goes on from
					t.Errorf("%s was left", name)
				}
			}
		})
	}
}

// Without a network the error says so.
func TestOffline(t *testing.T) {
	s := newDataset(t)
	c := s.client(t)
	c.Attempts = 2
	s.Close()
	_, err := c.PullDataset(context.Background(), ref, Choice{}, "")
	if err == nil || !strings.Contains(err.Error(), "is there a network, and is HF_ENDPOINT right?") {
		t.Errorf("error %v", err)
	}
}
