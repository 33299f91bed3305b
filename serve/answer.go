package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf8"

	"quadrant/tokenizer"
)

// An answer is a request being answered.
type answer struct {
	*params
	id      string
	created int64
	ctx     context.Context // of the request
	cancel  func()
	choices []*choice
	seen    []seen
	changed chan struct{}
}

// A completion is the answer to a request, or a piece of one that is streamed.
type completion struct {
	ID      string             `json:"id"`
	Object  string             `json:"object"`
	Created int64              `json:"created"`
	Model   string             `json:"model"`
	Choices []completionChoice `json:"choices"`
	Usage   *usage             `json:"usage,omitempty"`
}

type completionChoice struct {
	Text     string    `json:"text"`
	Index    int       `json:"index"`
	LogProbs *logProbs `json:"logprobs"`
	Finish   *string   `json:"finish_reason"`
}

// logProbs are what is told of tokens, an item for each.
type logProbs struct {
	Tokens  []string             `json:"tokens"`
	Log     []*float64           `json:"token_logprobs"` // nil of a token with nothing before it
	Top     []map[string]float64 `json:"top_logprobs"`   // with the token itself; nil where none are asked for
	Offsets []int                `json:"text_offset"`    // characters of the choice's text before the token
}

type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

func (a *answer) usage() *usage {
	u := new(usage)
	for _, c := range a.choices {
		u.Prompt += len(c.ids)
		u.Completion += c.generated()
	}
	u.Total = u.Prompt + u.Completion
	return u
}

// completion is an answer with choices yet to be put in.
func (s *Server) completion(a *answer) completion {
	return completion{ID: a.id, Object: "text_completion", Created: a.created, Model: s.Name, Choices: []completionChoice{}}
}

// put adds what is new of choice i, if anything is.
func (s *Server) put(to *completion, a *answer, i int) error {
	p, err := a.choices[i].look(&a.seen[i])
	if err != nil || p.text == "" && len(p.tokens) == 0 && p.finish == "" {
		return err
	}
	c := completionChoice{Text: p.text, Index: i}
	if p.finish != "" {
		c.Finish = &p.finish
	}
	if a.logProbs >= 0 {
		c.LogProbs = tellAll(s.Tokenizer, p.tokens, a.logProbs)
	}
	to.Choices = append(to.Choices, c)
	return nil
}

func tellAll(tok tokenizer.Tokenizer, tokens []told, likely int) *logProbs {
	l := &logProbs{Tokens: []string{}, Log: []*float64{}, Offsets: []int{}}
	if likely > 0 {
		l.Top = []map[string]float64{}
	}
	for i := range tokens {
		t := &tokens[i]
		l.Tokens = append(l.Tokens, name(tok, t.id))
		l.Offsets = append(l.Offsets, t.offset)
		var top map[string]float64
		if t.first {
			l.Log = append(l.Log, nil)
		} else {
			l.Log = append(l.Log, &t.logProb)
			top = map[string]float64{name(tok, t.id): t.logProb}
			for _, k := range t.likely[:t.likelyN] {
				// Where two tokens have one name, the likelier is told.
				if v, ok := top[name(tok, k.id)]; !ok || k.logProb > v {
					top[name(tok, k.id)] = k.logProb
				}
			}
		}
		if likely > 0 {
			l.Top = append(l.Top, top)
		}
	}
	return l
}

// name is a token as answers write it: its text, its bytes where they are no text of
// their own, or its id where it stands for nothing.
func name(tok tokenizer.Tokenizer, id int32) string {
	piece, err := tokenizer.Piece(tok, id)
	if err != nil {
		return "token_id:" + strconv.Itoa(int(id))
	}
	if utf8.ValidString(piece) {
		return piece
	}
	text := "bytes:"
	for _, b := range []byte(piece) {
		text += fmt.Sprintf(`\x%02x`, b)
	}
	return text
}

// await waits for news, or for the end of the request.
func (s *Server) await(a *answer) *apiError {
	select {
	case <-a.changed:
		return nil
	case <-a.ctx.Done():
		return errClosing // or the client is gone, and nobody reads it
	}
}

// over reports whether all of a has been seen.
func (a *answer) over() bool {
	for _, s := range a.seen {
		if !s.all {
			return false
		}
	}
	return true
}

// whole answers in one piece.
func (s *Server) whole(w http.ResponseWriter, a *answer) error {
	for _, c := range a.choices {
		for !c.over() {
			if e := s.await(a); e != nil {
				break
			}
		}
	}
	if err := a.ctx.Err(); err != nil {
		s.writing(w)
		errClosing.write(w)
		return err
	}
	out := s.completion(a)
	for i := range a.choices {
		if err := s.put(&out, a, i); err != nil {
			s.writing(w)
			failed(err).write(w)
			return err
		}
	}
	out.Usage = a.usage()
	s.writing(w)
	writeJSON(w, http.StatusOK, out)
	return nil
}

// stream answers in pieces, as server-sent events.
func (s *Server) stream(w http.ResponseWriter, a *answer) error {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	for {
		for i := range a.choices {
			out := s.completion(a)
			if err := s.put(&out, a, i); err != nil {
				return s.event(w, failed(err).object())
			}
			if len(out.Choices) == 0 {
				continue
			}
			if err := s.event(w, out); err != nil {
				return err
			}
		}
		if a.over() {
			break
		}
		if e := s.await(a); e != nil {
			return s.event(w, e.object())
		}
	}
	if a.params.usage {
		out := s.completion(a)
		out.Usage = a.usage()
		if err := s.event(w, out); err != nil {
			return err
		}
	}
	return s.send(w, []byte("[DONE]"))
}

// event sends v as an event.
func (s *Server) event(w http.ResponseWriter, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.send(w, data)
}

func (s *Server) send(w http.ResponseWriter, data []byte) error {
	s.writing(w)
	var b bytes.Buffer
	b.WriteString("data: ")
	b.Write(data)
	b.WriteString("\n\n")
	if _, err := w.Write(b.Bytes()); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}
