package tasks

import (
	"crypto/sha256"
	"encoding/hex"

	"quadrant/internal/python"
)

// shuffleSeed is that of the order in which the harness's tests ask for documents.
const shuffleSeed = 42

// shuffled is docs in that order.
func shuffled(docs []Doc) []Doc {
	order := make([]Doc, len(docs))
	copy(order, docs)
	python.NewRandom(shuffleSeed).Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	return order
}

// RequestsSHA256 is the hash by which the harness's tests know that a task asks what it
// always asked: of the JSON of all its requests, shuffled. A request for a log-likelihood
// and for greediness is there twice.
func RequestsSHA256(t Task, docs []Doc) (string, error) {
	var all []any
	for _, d := range shuffled(docs) {
		for _, r := range d.Requests {
			one := []string{r.Context, r.Continuation}
			all = append(all, one)
			if t.Output == LogLikelihood {
				all = append(all, one)
			}
		}
	}
	text, err := python.JSON{ASCII: true}.Dumps(all)
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:]), err
}
