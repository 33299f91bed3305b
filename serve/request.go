package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"quadrant/sample"
	"quadrant/tokenizer"
)

// A body is a completions request as it comes. Fields that are absent or null have
// OpenAI's defaults.
type body struct {
	Model         *string         `json:"model"`
	Prompt        json.RawMessage `json:"prompt"`
	MaxTokens     *int            `json:"max_tokens"`
	Temperature   *float64        `json:"temperature"`
	TopP          *float64        `json:"top_p"`
	TopK          *int            `json:"top_k"` // not OpenAI's
	Seed          *int64          `json:"seed"`
	Stop          json.RawMessage `json:"stop"`
	Echo          bool            `json:"echo"`
	LogProbs      *int            `json:"logprobs"`
	Stream        bool            `json:"stream"`
	StreamOptions *streamOptions  `json:"stream_options"`
	User          string          `json:"user"` // who asks does not matter

	// Taken only with the values that ask for nothing.
	N                int                `json:"n"`
	BestOf           int                `json:"best_of"`
	PresencePenalty  float64            `json:"presence_penalty"`
	FrequencyPenalty float64            `json:"frequency_penalty"`
	LogitBias        map[string]float64 `json:"logit_bias"`
	Suffix           string             `json:"suffix"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

// params are what all choices of a request share.
type params struct {
	max      int // tokens to generate
	sample   sample.Options
	stop     []string
	echo     bool
	logProbs int // most likely tokens to tell at each place; −1: no log-probabilities at all
	stream   bool
	usage    bool // at the end of a stream
}

// Bounds of a request.
const (
	maxLogProbs   = 5
	maxStops      = 16
	maxStopLength = 1 << 10 // bytes
	defaultTokens = 16
)

// parse reads a request.
func (s *Server) parse(data []byte) (*params, []prompt, *apiError) {
	b := body{N: 1, BestOf: 1}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return nil, nil, badJSON(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, nil, wrong("", "the body goes on after the request, at byte %d", d.InputOffset())
	}
	if b.Model != nil && *b.Model != s.Name {
		e := newError(http.StatusNotFound, typeRequest, "model_not_found", "model %q is not served here: want %q", *b.Model, s.Name)
		return nil, nil, e
	}
	if e := b.unsupported(); e != nil {
		return nil, nil, e
	}
	p, e := b.params()
	if e != nil {
		return nil, nil, e
	}
	prompts, e := s.prompts(b.Prompt)
	if e != nil {
		return nil, nil, e
	}
	for i, q := range prompts {
		switch n := len(q.ids); {
		case n == 0:
			return nil, nil, wrong("prompt", "prompt %d has no tokens: want at least one", i)
		case n > s.opts.Window || p.max > s.opts.Window-n:
			e := wrong("prompt", "prompt %d has %d tokens and max_tokens is %d: together at most %d are read", i, n, p.max, s.opts.Window)
			code := "context_length_exceeded"
			e.Code = &code
			return nil, nil, e
		}
	}
	return p, prompts, nil
}

// badJSON says what is wrong with a body.
func badJSON(err error) *apiError {
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) && typ.Field == "" {
		return wrong("", "the body is JSON of type %s, want an object", typ.Value)
	}
	if typ != nil {
		return wrong(typ.Field, "%s is of type %s, want %v", typ.Field, typ.Value, typ.Type)
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		name, _ := strconv.Unquote(field)
		return wrong(name, "field %s is unknown here", field)
	}
	return wrong("", "the body is not JSON: %v", err)
}

// unsupported returns an error for a field that asks for what is not done here.
func (b *body) unsupported() *apiError {
	switch {
	case b.N != 1:
		return wrong("n", "n is %d: one choice for each prompt is made", b.N)
	case b.BestOf != 1:
		return wrong("best_of", "best_of is %d: one choice for each prompt is made", b.BestOf)
	case b.PresencePenalty != 0:
		return wrong("presence_penalty", "presence_penalty is %v: penalties are not supported", b.PresencePenalty)
	case b.FrequencyPenalty != 0:
		return wrong("frequency_penalty", "frequency_penalty is %v: penalties are not supported", b.FrequencyPenalty)
	case len(b.LogitBias) > 0:
		return wrong("logit_bias", "logit_bias is not supported")
	case b.Suffix != "":
		return wrong("suffix", "suffix is not supported")
	}
	return nil
}

// params checks the fields that all choices share.
func (b *body) params() (*params, *apiError) {
	p := &params{max: defaultTokens, echo: b.Echo, logProbs: -1, stream: b.Stream, sample: sample.Options{Temperature: 1, TopP: 1, Seed: rand.Uint64()}}
	set(&p.max, b.MaxTokens)
	set(&p.logProbs, b.LogProbs)
	set(&p.sample.Temperature, b.Temperature)
	set(&p.sample.TopP, b.TopP)
	set(&p.sample.TopK, b.TopK)
	if b.Seed != nil {
		p.sample.Seed = uint64(*b.Seed)
	}
	if b.StreamOptions != nil {
		if !p.stream {
			return nil, wrong("stream_options", "stream_options without stream")
		}
		p.usage = b.StreamOptions.IncludeUsage
	}
	switch {
	case p.max < 0:
		return nil, wrong("max_tokens", "max_tokens is %d, want 0 or more", p.max)
	case b.LogProbs != nil && (p.logProbs < 0 || p.logProbs > maxLogProbs):
		return nil, wrong("logprobs", "logprobs is %d, want 0 to %d", p.logProbs, maxLogProbs)
	case p.sample.TopP == 0: // for a sampler: no limit
		return nil, wrong("top_p", "top_p is 0, want above 0 and at most 1; temperature 0 takes the likeliest")
	}
	if err := p.sample.Validate(); err != nil {
		return nil, wrong("", "%s", strings.TrimPrefix(err.Error(), "sample: "))
	}
	var e *apiError
	p.stop, e = stops(b.Stop)
	return p, e
}

// set sets field to what a request says, if it does.
func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// stops reads texts that end a completion: null, a string or a list.
func stops(raw json.RawMessage) ([]string, *apiError) {
	if isNull(raw) {
		return nil, nil
	}
	list, err := oneOrMore[text](raw)
	if err != nil {
		return nil, wrong("stop", "stop: %v", err)
	}
	if len(list) > maxStops {
		return nil, wrong("stop", "stop has %d texts, want at most %d", len(list), maxStops)
	}
	stops := make([]string, len(list))
	for i, t := range list {
		if t == "" || len(t) > maxStopLength {
			return nil, wrong("stop", "stop %d has %d bytes, want 1 to %d", i, len(t), maxStopLength)
		}
		stops[i] = string(t)
	}
	return stops, nil
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// opening is the first byte of a value and, where that is a list, of its first item.
func opening(raw json.RawMessage) (value, item byte) {
	value = raw[0]
	if value == '[' {
		item = bytes.TrimLeft(raw[1:], " \t\r\n")[0]
	}
	return value, item
}

// oneOrMore reads a value or a list of them.
func oneOrMore[T any](raw json.RawMessage) ([]T, error) {
	if raw[0] == '[' {
		var list []T
		err := json.Unmarshal(raw, &list)
		return list, err
	}
	var one T
	err := json.Unmarshal(raw, &one)
	return []T{one}, err
}

// A text is a string that cannot be null.
type text string

// UnmarshalJSON reads a string.
func (t *text) UnmarshalJSON(data []byte) error {
	if data[0] != '"' {
		return fmt.Errorf("%.20s is no string", data)
	}
	return json.Unmarshal(data, (*string)(t))
}

// A tokenID is a number that cannot be null.
type tokenID int32

// UnmarshalJSON reads a whole number.
func (t *tokenID) UnmarshalJSON(data []byte) error {
	n, err := strconv.ParseInt(string(data), 10, 32)
	if err != nil {
		return fmt.Errorf("%.20s is no token id", data)
	}
	*t = tokenID(n)
	return nil
}

// cost estimates the bytes that the answer to a request takes in memory.
func cost(p *params, prompts []prompt) int64 {
	perToken := int64(32)
	if p.logProbs >= 0 {
		perToken = 400 + 100*int64(p.logProbs) // as kept, and as JSON
	}
	var n int64
	for _, q := range prompts {
		n += int64(len(q.ids)+p.max) * perToken
	}
	return n
}

// A prompt is what a choice begins with.
type prompt struct {
	ids  []int32
	text string // as echo repeats it
	// Where each token begins in the text, in characters. Those that the tokenizer puts
	// round a text have no part in it.
	offsets []int
	decoder *tokenizer.Stream // has read the prompt
}

// prompts reads the field prompt: a string, a list of strings, a list of token ids, or a
// list of such lists.
func (s *Server) prompts(raw json.RawMessage) ([]prompt, *apiError) {
	if isNull(raw) {
		return nil, wrong("prompt", "prompt is missing")
	}
	value, item := opening(raw)
	var prompts []prompt
	var err error
	switch {
	case value == '"' || item == '"':
		var list []text
		if list, err = oneOrMore[text](raw); err == nil && len(list) <= s.opts.Prompts {
			for _, t := range list {
				var p prompt
				if p, err = s.textPrompt(string(t)); err != nil {
					break
				}
				prompts = append(prompts, p)
			}
		} else if err == nil {
			return nil, s.tooMany(len(list))
		}
	case value == '[' && item != ']':
		lists := make([][]tokenID, 1)
		if item == '[' {
			err = json.Unmarshal(raw, &lists)
		} else {
			err = json.Unmarshal(raw, &lists[0])
		}
		if err == nil && len(lists) > s.opts.Prompts {
			return nil, s.tooMany(len(lists))
		}
		for i := 0; i < len(lists) && err == nil; i++ {
			var p prompt
			p, err = s.idsPrompt(lists[i])
			prompts = append(prompts, p)
		}
	default:
		return nil, wrong("prompt", "prompt is %.20s: want a string, a list of strings, a list of token ids or a list of such lists, none empty", raw)
	}
	if err != nil {
		var typ *json.UnmarshalTypeError
		if errors.As(err, &typ) {
			err = fmt.Errorf("a %s is no list of token ids", typ.Value)
		}
		return nil, wrong("prompt", "prompt: %v", err)
	}
	return prompts, nil
}

func (s *Server) tooMany(n int) *apiError {
	return wrong("prompt", "prompt is a list of %d, want at most %d", n, s.opts.Prompts)
}

// textPrompt encodes a text from its beginning.
func (s *Server) textPrompt(text string) (prompt, error) {
	inner, err := s.Tokenizer.Encode(text)
	if err != nil {
		return prompt{}, err
	}
	ids, err := tokenizer.Prompt(s.Tokenizer, text)
	if err != nil {
		return prompt{}, err
	}
	before := 0 // tokens put before the text
	for before < len(ids)-len(inner) && !slices.Equal(ids[before:before+len(inner)], inner) {
		before++
	}
	p := prompt{ids: ids}
	if err := s.decode(&p, before, before+len(inner)); err != nil {
		return p, err
	}
	p.text = text // as it came, even where normalization changed it
	return p, nil
}

func (s *Server) idsPrompt(list []tokenID) (prompt, error) {
	p := prompt{ids: make([]int32, len(list))}
	for i, id := range list {
		p.ids[i] = int32(id)
	}
	return p, s.decode(&p, 0, len(list))
}

// decode sets all of p but its ids, of which those from lo to hi are its text.
func (s *Server) decode(p *prompt, lo, hi int) error {
	if err := s.Model.Model.CheckIDs(p.ids); err != nil {
		return err
	}
	p.decoder = tokenizer.NewStream(s.Tokenizer)
	var text strings.Builder
	n := 0
	for i, id := range p.ids {
		p.offsets = append(p.offsets, n)
		if i < lo || i >= hi {
			continue
		}
		piece, err := p.decoder.Push(id)
		if err != nil {
			return err
		}
		text.WriteString(piece)
		n += characters(piece)
	}
	p.text = text.String()
	return nil
}
