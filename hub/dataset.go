package hub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A Choice says which files of a data set are wanted. The zero Choice is all that hold
// records or text.
type Choice struct {
	Config string   // a folder that files lie in: "ARC-Easy"
	Splits []string // "train", "validation", "test"
	// Include are patterns of names, in which * stands for any text and ? for a character,
	// slashes among them. If there are any, only files that match one are wanted.
	Include []string
	MaxSize int64 // bytes of all files; 0 for no limit
}

// PullDataset downloads files of a data set and returns the folder that they are in: its
// place in the cache, or the folder to if that is not empty. What is there already is
// verified and kept. After an error nothing that is incomplete is in the folder, and another
// PullDataset goes on where this one ended.
func (c *Client) PullDataset(ctx context.Context, r Ref, choice Choice, to string) (string, error) {
	dir, err := c.pullDataset(ctx, r, choice, to)
	if err != nil {
		return "", fmt.Errorf("hub: data set %s: %w", r, err)
	}
	return dir, nil
}

func (c *Client) pullDataset(ctx context.Context, r Ref, choice Choice, to string) (string, error) {
	p, err := c.puller(ctx, repo{datasets, r}, to)
	if err != nil {
		return "", err
	}
	names, err := choice.of(slices.Sorted(maps.Keys(p.listing.files)))
	if err != nil {
		return "", err
	}
	if err := p.add(ctx, names); err != nil {
		return "", err
	}
	if err := choice.fits(p.files); err != nil {
		return "", err
	}
	return p.run(ctx)
}

// fits returns an error if files have more bytes than wanted.
func (c Choice) fits(files []file) error {
	var total int64
	for _, f := range files {
		total += min(f.Size, 1<<62-total) // a hub may list anything
	}
	if c.MaxSize > 0 && total > c.MaxSize {
		return fmt.Errorf("%d files have %d bytes, at most %d are to be downloaded: choose fewer (--split, --config, --include) or allow more (--max-size)", len(files), total, c.MaxSize)
	}
	return nil
}

// of chooses from names.
func (c Choice) of(names []string) ([]string, error) {
	included, err := c.included()
	if err != nil {
		return nil, err
	}
	for _, test := range []struct {
		what string
		ok   func(name string) bool
	}{
		{"of records or text", func(name string) bool { return len(included) > 0 || isData(name) }},
		{fmt.Sprintf("matching %q", c.Include), func(name string) bool { return len(included) == 0 || matchesAny(included, name) }},
		{fmt.Sprintf("of config %q", c.Config), func(name string) bool { return c.Config == "" || inFolder(name, c.Config) }},
		{fmt.Sprintf("of split %q", c.Splits), func(name string) bool { return len(c.Splits) == 0 || inSplit(name, c.Splits) }},
	} {
		chosen := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !test.ok(name) })
		if len(chosen) == 0 && len(names) == 0 {
			return nil, errors.New("it holds no files")
		}
		if len(chosen) == 0 {
			return nil, fmt.Errorf("no file %s among %s: data sets that a program makes may have their files in the revision refs/convert/parquet", test.what, summary(names))
		}
		names = chosen
	}
	return names, nil
}

func (c Choice) included() ([]*regexp.Regexp, error) {
	var all []*regexp.Regexp
	for _, pattern := range c.Include {
		if pattern == "" {
			return nil, errors.New("an empty pattern of names: want one such as *.parquet")
		}
		text := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(pattern))
		re, err := regexp.Compile(`\A` + text + `\z`)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", pattern, err)
		}
		all = append(all, re)
	}
	return all, nil
}

func matchesAny(patterns []*regexp.Regexp, name string) bool {
	return slices.ContainsFunc(patterns, func(re *regexp.Regexp) bool { return re.MatchString(name) })
}

// dataFiles are the endings of files that hold records or text; they may be packed.
var dataFiles = []string{".parquet", ".jsonl", ".json", ".txt", ".lst"}

func isData(name string) bool {
	base := path.Base(name)
	if strings.HasPrefix(base, ".") || base == "dataset_infos.json" || base == "dataset_info.json" {
		return false
	}
	for _, packed := range []string{".gz", ".zst"} {
		base = strings.TrimSuffix(base, packed)
	}
	return slices.Contains(dataFiles, path.Ext(base))
}

func inFolder(name, folder string) bool {
	parts := strings.Split(name, "/")
	return slices.Contains(parts[:len(parts)-1], folder)
}

// splitWords are the words that mark a split in names, Hugging Face's own.
var splitWords = map[string][]string{
	"train":      {"train", "training"},
	"validation": {"validation", "valid", "val", "dev"},
	"test":       {"test", "testing", "eval", "evaluation"},
}

var notWord = regexp.MustCompile(`[^a-z0-9]+`)

// words is the words of a name, each between low lines.
func words(name string) string {
	return "_" + strings.Trim(notWord.ReplaceAllString(strings.ToLower(name), "_"), "_") + "_"
}

// inSplit reports whether words of the name, or of a folder in it, mark one of splits.
func inSplit(name string, splits []string) bool {
	return slices.ContainsFunc(splits, func(split string) bool {
		marks := splitWords[split]
		if marks == nil {
			marks = []string{split}
		}
		return slices.ContainsFunc(marks, func(mark string) bool { return strings.Contains(words(name), words(mark)) })
	})
}
