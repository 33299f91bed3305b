package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"quadrant/internal/atomicfile"
	"quadrant/train"
)

// A stepLine is what a run's log says of a step.
type stepLine struct {
	train.Record
	Seconds float64 `json:"seconds"`
	Rate    float64 `json:"tokens_per_s"`
}

// readSteps reads the lines of the log at path up to that of step last. A log is written
// ahead of checkpoints, and its last line may be cut off: what is beyond is made again.
func readSteps(path string, last int) ([]stepLine, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && last == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []stepLine
	for b := bufio.NewReader(f); len(all) < last; {
		line, err := b.ReadBytes('\n')
		if err != nil {
			return nil, fmt.Errorf("%s ends after step %d, before the checkpoint of step %d", path, len(all), last)
		}
		var s stepLine
		if err := json.Unmarshal(line, &s); err != nil || s.Step != len(all)+1 {
			return nil, fmt.Errorf("%s:%d: want the line of step %d (%w)", path, len(all)+1, len(all)+1, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// openSteps opens the log at path to go on after the lines in have, and drops others.
func openSteps(path string, have []stepLine) (*os.File, error) {
	var text bytes.Buffer
	for _, s := range have {
		line, err := json.Marshal(s)
		if err != nil {
			return nil, err
		}
		text.Write(append(line, '\n'))
	}
	err := atomicfile.Write(path, func(w io.Writer) error {
		_, err := w.Write(text.Bytes())
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0o666)
}
