package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"quadrant/evals/tasks"
)

// A journal keeps answers as they are given, so that a run that was stopped goes on. It is
// a file of JSON lines named after everything that answers depend on.
type journal struct {
	answers [][]tasks.Answer // by document; nil where there is none yet
	file    *os.File         // nil without --out
	synced  time.Time
}

// An entry is a line of a journal.
type entry struct {
	Doc     int            `json:"doc"`
	Answers []tasks.Answer `json:"answers"`
}

// syncEvery is how long answers may be in the system's hands alone: a power cut loses no
// more, a program that is stopped none.
const syncEvery = time.Second

// openJournal opens what there is of earlier runs of the same.
func (e *evaluation) openJournal(s taskSet) (*journal, error) {
	j := &journal{answers: make([][]tasks.Answer, len(s.Docs))}
	if e.o.out == "" {
		return j, nil
	}
	key, err := e.key(s)
	if err != nil {
		return nil, err
	}
	dir := e.folder()
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, fmt.Sprintf(".unfinished_%s_%s.jsonl", s.Task.Name, key))
	if j.file, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666); err != nil {
		return nil, err
	}
	whole, err := j.read(s)
	if err == nil {
		err = j.file.Truncate(whole) // a line that was cut off is answered again
	}
	if err == nil {
		_, err = j.file.Seek(whole, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: remove it to begin again", name, err), j.file.Close())
	}
	return j, nil
}

// folder is where the results of the model go.
func (e *evaluation) folder() string { return filepath.Join(e.o.out, tasks.Sanitize(e.preset.Name)) }

// key is a hash of all that answers depend on.
func (e *evaluation) key(s taskSet) (string, error) {
	asked, err := tasks.RequestsSHA256(s.Task, s.Docs)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%d|%s|%s|%d|%s|%s", e.subject.Model, e.subject.Weights, e.subject.Total, e.subject.DType, e.tokenizer, e.o.window, e.device.Name(), asked))
	return hex.EncodeToString(sum[:6]), nil
}

// read takes the answers of all whole lines and returns where they end.
func (j *journal) read(s taskSet) (whole int64, err error) {
	in := bufio.NewReader(j.file)
	for line := 1; ; line++ {
		text, err := in.ReadBytes('\n')
		if err == io.EOF {
			return whole, nil
		}
		if err != nil {
			return whole, err
		}
		var e entry
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil {
			return whole, fmt.Errorf("line %d: %w", line, err)
		}
		if e.Doc < 0 || e.Doc >= len(s.Docs) || len(e.Answers) != len(s.Docs[e.Doc].Requests) {
			return whole, fmt.Errorf("line %d: document %d with %d answers is none of the task's", line, e.Doc, len(e.Answers))
		}
		j.answers[e.Doc] = e.Answers
		whole += int64(len(text))
	}
}

func (j *journal) add(doc int, answers []tasks.Answer) error {
	j.answers[doc] = answers
	if j.file == nil {
		return nil
	}
	line, err := json.Marshal(entry{doc, answers})
	if err != nil {
		return err
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return err
	}
	if now := time.Now(); now.Sub(j.synced) > syncEvery {
		j.synced = now
		return j.file.Sync()
	}
	return nil
}

func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	return errors.Join(j.file.Sync(), j.file.Close())
}
