package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"quadrant/arch"
	"quadrant/internal/atomicfile"
	"quadrant/train"
)

// runName is the file in a run's folder that says what the run is.
const runName = "run.json"

// runSettings are all that a run's weights follow from.
type runSettings struct {
	Schema     int              `json:"schema"`
	Model      string           `json:"model"`
	Config     arch.Config      `json:"config"`
	Checkpoint string           `json:"checkpoint,omitempty"` // that its first weights are from
	Tokenizer  string           `json:"tokenizer"`
	Corpus     []string         `json:"corpus,omitempty"` // none is the texts that come with Go
	Seed       uint64           `json:"seed"`
	Options    train.Options    `json:"options"`
	Limits     train.TextLimits `json:"limits"`
	Stream     bool             `json:"stream,omitempty"` // tokens are kept in a file rather than in memory
	ValidEvery int              `json:"valid_every"`
	SaveEvery  int              `json:"save_every"`

	out string
}

// readSettings reads those of the run in the folder out.
func readSettings(out string) (runSettings, error) {
	var s runSettings
	path := filepath.Join(out, runName)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("%s holds no run to go on with: there is no %s", out, runName)
	}
	if err != nil {
		return s, err
	}
	defer f.Close()
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	if s.Schema != 1 {
		return s, fmt.Errorf("%s: schema is %d, this program reads 1", path, s.Schema)
	}
	if err := errors.Join(s.Config.Validate(), s.Options.Check()); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	if s.ValidEvery < 1 || s.SaveEvery < 1 {
		return s, fmt.Errorf("%s: valid_every is %d and save_every %d, want at least 1", path, s.ValidEvery, s.SaveEvery)
	}
	return s, nil
}

// begin makes the folder of a run that is new.
func (s runSettings) begin() error {
	if _, err := os.Stat(filepath.Join(s.out, runName)); err == nil {
		return fmt.Errorf("%s holds a run: --out %s --resume goes on with it; for another, name another folder or remove this one", s.out, s.out)
	}
	if err := os.MkdirAll(s.out, 0o777); err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(s.out, runName), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

// A tokenCount is a flag for numbers such as 3M.
type tokenCount int64

func (c *tokenCount) String() string { return strconv.FormatInt(int64(*c), 10) }

// Type is what help calls the value.
func (c *tokenCount) Type() string { return "count" }

// Set reads a number with or without k, M or G, powers of a thousand.
func (c *tokenCount) Set(text string) error {
	number, factor := text, 1.0
	for suffix, f := range map[string]float64{"k": 1e3, "M": 1e6, "G": 1e9} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			number, factor = rest, f
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v*factor >= 1 && v*factor <= 1e15) {
		return fmt.Errorf("want a number of tokens such as 500000, 3M or 1.5G")
	}
	*c = tokenCount(v * factor)
	return nil
}
