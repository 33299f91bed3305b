package main

import (
	"fmt"
	"maps"
	"slices"

	"quadrant/corpus/ngram"
	"quadrant/results"
	"quadrant/tokenizer"
	"quadrant/train"
)

// ngramOrders are the baselines that stand beside a byte model.
var ngramOrders = []int{3, 5}

// ngrams measures what counting the bytes that training has read knows of the text held out:
// each window once, however often it was read.
func (r *trainRun) ngrams() error {
	if r.tokens.Name() != (tokenizer.Bytes{}).Name() {
		return nil
	}
	all, err := ngram.New(slices.Max(ngramOrders))
	if err != nil {
		return err
	}
	n := r.Options.Context
	ids, targets, text := make([]int32, n), make([]int32, n), make([]byte, n+1)
	for at := range r.trainer.Tokens() / int64(n) {
		if r.text.Epoch(at, n) > 0 {
			continue
		}
		r.text.Sequence(at, ids, targets)
		for i, id := range ids {
			text[i] = byte(id)
		}
		text[n] = byte(targets[n-1])
		all.Count(text)
	}
	var rs []results.Result
	for _, order := range ngramOrders {
		m, err := all.Order(order)
		if err != nil {
			return err
		}
		for _, h := range r.held {
			res := r.of("training_bits_per_byte", results.Point{Step: r.trainer.Steps(), Tokens: int(r.trainer.Tokens()), Domain: h.Name}, m.Bits(bytesOf(h))/float64(h.Bytes))
			res.Subject = results.Subject{Model: m.Name(), Family: "n-gram", Weights: fmt.Sprintf("counts of the %d tokens that training read, seed %d", r.trainer.Tokens(), r.Seed)}
			rs = append(rs, res)
		}
	}
	return r.writeNew(rs)
}

func bytesOf(h train.Held) []byte {
	text := make([]byte, len(h.IDs))
	for i, id := range h.IDs {
		text[i] = byte(id)
	}
	return text
}

// rowsOf are the models that results of bits per byte are of, those of n-grams last, in the
// order in which they were written.
func rowsOf(rs []results.Result, step int) (rows [][2]string) {
	seen := map[[2]string]bool{}
	for _, grams := range []bool{false, true} {
		for _, res := range rs {
			row := [2]string{res.Subject.Model, res.Point.Choice}
			if res.Metric == "training_bits_per_byte" && res.Point.Step == step && (res.Subject.Family == "n-gram") == grams && !seen[row] {
				seen[row] = true
				rows = append(rows, row)
			}
		}
	}
	return rows
}

// means are the mean over domains of each row's bits per byte.
func means(bits map[[2]string]map[string]float64) map[[2]string]float64 {
	all := map[[2]string]float64{}
	for row, of := range bits {
		for _, domain := range slices.Sorted(maps.Keys(of)) {
			all[row] += of[domain] / float64(len(of))
		}
	}
	return all
}
