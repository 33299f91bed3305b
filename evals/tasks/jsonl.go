package tasks

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxLine is the bytes of the longest line that is read. Passages have thousands.
const maxLine = 16 << 20

// readWithLabels reads JSON lines, each with the label that a file beside has for it, if
// there is one.
func readWithLabels(name string, in io.Reader, take func(record) error) error {
	labels, file, err := labelsOf(name)
	if err != nil {
		return err
	}
	n := 0
	err = readLines(name, in, func(r record) error {
		if file != "" {
			if n >= len(labels) {
				return fmt.Errorf("%s has %d labels, and %s more lines", file, len(labels), name)
			}
			r.fields["label"] = labels[n]
		}
		n++
		return take(r)
	})
	if err == nil && file != "" && n < len(labels) {
		err = fmt.Errorf("%s has %d labels, and %s only %d lines", file, len(labels), name, n)
	}
	return err
}

// readLines hands the object on each line that is not empty to take.
func readLines(name string, in io.Reader, take func(record) error) error {
	b := bufio.NewReaderSize(in, 1<<16)
	for n := 1; ; n++ {
		line, err := readLine(b)
		if err != nil && err != io.EOF {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
		if len(bytes.TrimSpace(line)) > 0 {
			r := record{where: fmt.Sprintf("%s:%d", name, n)}
			if r.fields, err = parseObject(line); err != nil {
				return fmt.Errorf("%s: %w", r.where, err)
			}
			if err := take(r); err != nil {
				return err
			}
		} else if err == io.EOF {
			return nil
		}
	}
}

// readLine is the next line, at the end of the file an empty one and io.EOF.
func readLine(b *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := b.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == bufio.ErrBufferFull && len(line) <= maxLine:
			continue
		case err == bufio.ErrBufferFull:
			return nil, fmt.Errorf("the line is longer than %d bytes", maxLine)
		case err == io.EOF && len(line) > 0:
			return line, nil
		}
		return line, err
	}
}

func parseObject(line []byte) (map[string]any, error) {
	if !utf8.Valid(line) {
		return nil, errors.New("the line is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var fields map[string]any
	if err := d.Decode(&fields); err != nil {
		return nil, fmt.Errorf("want a JSON object on the line: %w", err)
	}
	if fields == nil {
		return nil, errors.New("want a JSON object on the line: it is null")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one JSON object on the line")
	}
	return fields, nil
}
