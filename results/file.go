package results

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// A LineError is a line that is not a result.
type LineError struct {
	File string
	Line int  // from 1
	Cut  bool // the last line, without its end: the writer was stopped in the middle
	Err  error
}

func (e *LineError) Error() string {
	if e.Cut {
		return fmt.Sprintf("%s:%d: the line is cut off: %v", e.File, e.Line, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
}

func (e *LineError) Unwrap() error { return e.Err }

// Read reads results, one JSON object a line. Unknown fields, unknown metrics and lines
// that are not JSON are errors with the file's name and the line; the results before the
// line are returned with the error. Empty lines are skipped.
func Read(r io.Reader, name string) ([]Result, error) {
	var all []Result
	in := bufio.NewReader(r)
	for line := 1; ; line++ {
		text, err := in.ReadBytes('\n')
		whole := err == nil
		if err != nil && err != io.EOF {
			return all, fmt.Errorf("%s:%d: %w", name, line, err)
		}
		if len(bytes.TrimSpace(text)) > 0 {
			result, err := parse(text)
			if err != nil {
				return all, &LineError{name, line, !whole, err}
			}
			all = append(all, result)
		}
		if !whole {
			return all, nil
		}
	}
}

func parse(line []byte) (Result, error) {
	var r Result
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, err
	}
	if d.More() {
		return r, errors.New("more than one object on the line")
	}
	return r, r.Validate()
}

// ReadFile reads the results in the file called name; see [Read].
func ReadFile(name string) ([]Result, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(f, name)
}

// A Writer appends results to a file, each whole line synced before the next, so that a
// program stopped at any moment loses at most the line it was writing.
type Writer struct{ f *os.File }

// Append opens the file called name for more results, creating it if need be, and
// returns those that it holds. A last line that was cut off is removed and reported as
// cut; any other line that cannot be read is an error, and nothing is changed.
func Append(name string) (w *Writer, have []Result, cut *LineError, err error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, nil, nil, fmt.Errorf("%s is not a regular file: results are appended to one", name)
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, nil, nil, err
	}
	have, err = Read(f, name)
	if errors.As(err, &cut) && cut.Cut {
		err = dropLastLine(f)
	} else {
		cut = nil
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekEnd)
	}
	if err == nil {
		err = endLine(f)
	}
	if err != nil {
		f.Close()
		return nil, have, cut, err
	}
	return &Writer{f}, have, cut, nil
}

// dropLastLine removes what follows the last newline of f.
func dropLastLine(f *os.File) error {
	all, err := os.ReadFile(f.Name())
	if err != nil {
		return err
	}
	return f.Truncate(int64(bytes.LastIndexByte(all, '\n') + 1))
}

// endLine writes a newline at the end of f unless there is one: a last line may be whole
// and only lack its end.
func endLine(f *os.File) error {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || end == 0 {
		return err
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, end-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = f.Write([]byte{'\n'})
	return err
}

// Write appends results. All of them reach the disk, or an error says that they may not.
func (w *Writer) Write(rs ...Result) error {
	var lines []byte
	for _, r := range rs {
		if err := r.Validate(); err != nil {
			return fmt.Errorf("results: writing %s of %s: %w", r.Metric, r.Subject.Model, err)
		}
		line, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("results: writing %s of %s: %w", r.Metric, r.Subject.Model, err)
		}
		lines = append(append(lines, line...), '\n')
	}
	if _, err := w.f.Write(lines); err != nil {
		return err
	}
	return w.f.Sync()
}

// Close closes the file.
func (w *Writer) Close() error { return w.f.Close() }
