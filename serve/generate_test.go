package serve_test

import (
	"math"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"quadrant/kernels"
	"quadrant/sample"
	"quadrant/serve"
	"quadrant/tokenizer"
)

// generated is the definition of a completion: tokens chosen one after the other, in a
// session of its own.
func generated(t *testing.T, kind string, prompt []int32, o sample.Options, n int) (ids []int32) {
	t.Helper()
	dev, m := build(t, kind)
	s, err := sample.New(o)
	if err != nil {
		t.Fatal(err)
	}
	session, out, row := m.Open(1, len(prompt)+n), dev.Alloc(kernels.F32, 1, m.Vocab), make([]float32, m.Vocab)
	next := prompt
	for range n {
		in := dev.Alloc(kernels.I32, len(next), 1)
		kernels.Put(dev, in, next)
		session.Forward(out, in)
		kernels.Get(dev, row, out)
		id, err := s.Next(row)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		next = []int32{id}
	}
	return ids
}

// readable is the text of ids as it is streamed.
func readable(t *testing.T, ids []int32) string {
	t.Helper()
	s := tokenizer.NewStream(tokenizer.Bytes{})
	text, err := s.Push(ids...)
	if err != nil {
		t.Fatal(err)
	}
	return text + s.Close()
}

// same reports whether texts are equal, however many U+FFFD stand for a run of bad bytes.
func same(a, b string) bool {
	once := func(s string) string {
		for strings.Contains(s, "\uFFFD\uFFFD") {
			s = strings.ReplaceAll(s, "\uFFFD\uFFFD", "\uFFFD")
		}
		return s
	}
	return once(a) == once(b)
}

func TestGenerate(t *testing.T) {
	const prompt = "Call me"
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			r := start(t, kind, serve.Options{Sequences: 2})
			for _, c := range []struct {
				body object
				o    sample.Options
				n    int
			}{
				{object{"temperature": 0}, sample.Options{}, 16},
				{object{"temperature": 0, "max_tokens": 1}, sample.Options{}, 1},
				{object{"temperature": 0, "max_tokens": 40, "logprobs": 2}, sample.Options{}, 40},
				{object{"seed": 7, "max_tokens": 20}, sample.Options{Temperature: 1, TopP: 1, Seed: 7}, 20},
				{object{"seed": -1, "max_tokens": 20, "top_p": 0.5, "temperature": 1.5}, sample.Options{Temperature: 1.5, TopP: 0.5, Seed: math.MaxUint64}, 20},
				{object{"seed": 7, "max_tokens": 20, "top_k": 3}, sample.Options{Temperature: 1, TopK: 3, Seed: 7}, 20},
			} {
				want := readable(t, generated(t, kind, ids(prompt), c.o, c.n))
				for _, echo := range []bool{false, true} {
					c.body["prompt"], c.body["echo"] = prompt, echo
					if echo {
						want = prompt + want
					}
					delete(c.body, "stream")
					got := r.ok(t, c.body)
					ch := got.Choices[0]
					if !same(ch.Text, want) || *ch.FinishReason != "length" || got.Usage.Prompt != 7 || got.Usage.Completion != c.n || got.Usage.Total != 7+c.n ||
						got.Object != "text_completion" || got.Model != "tiny" || !strings.HasPrefix(got.ID, "cmpl-") {
						t.Errorf("%v: %+v, want %q", c.body, got, want)
					}
					checkStream(t, r, c.body, got)
				}
			}
		})
	}
}

// checkStream wants a request to give in pieces what it gave whole.
func checkStream(t *testing.T, r *running, body object, whole completion) {
	t.Helper()
	body["stream_options"] = object{"include_usage": true}
	defer delete(body, "stream_options")
	list := r.events(t, body)
	last := list[len(list)-1]
	if !reflect.DeepEqual(last.Usage, whole.Usage) || len(last.Choices) != 0 {
		t.Errorf("%v: the last event is %+v, want usage %+v", body, last, whole.Usage)
	}
	for i, want := range whole.Choices {
		got := want
		got.Text, got.FinishReason = "", nil
		if want.LogProbs != nil {
			empty := *want.LogProbs
			empty.Tokens, empty.TokenLogProbs, empty.TopLogProbs, empty.TextOffset = nil, nil, nil, nil
			got.LogProbs = &empty
		}
		for _, e := range list {
			for _, ch := range e.Choices {
				if ch.Index != i {
					continue
				}
				if got.FinishReason != nil {
					t.Errorf("%v: choice %d goes on after its end", body, i)
				}
				got.Text += ch.Text
				got.FinishReason = ch.FinishReason
				if l := ch.LogProbs; l != nil {
					got.LogProbs.Tokens = append(got.LogProbs.Tokens, l.Tokens...)
					got.LogProbs.TokenLogProbs = append(got.LogProbs.TokenLogProbs, l.TokenLogProbs...)
					got.LogProbs.TopLogProbs = append(got.LogProbs.TopLogProbs, l.TopLogProbs...)
					got.LogProbs.TextOffset = append(got.LogProbs.TextOffset, l.TextOffset...)
				}
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%v: streamed choice %d is %+v, want %+v", body, i, got, want)
		}
	}
}

// Several prompts, of which some must wait for others, each end as they do alone.
func TestPromptsSideBySide(t *testing.T) {
	r := start(t, "mamba-moe", serve.Options{Sequences: 2})
	all := texts(9, 5)
	body := object{"prompt": all, "max_tokens": 12, "seed": 3, "logprobs": 1}
	got := r.ok(t, body)
	for i, text := range all {
		want := r.ok(t, object{"prompt": text, "max_tokens": 12, "seed": 3, "logprobs": 1}).Choices[0]
		want.Index = i
		if !reflect.DeepEqual(got.Choices[i], want) {
			t.Errorf("prompt %d: %+v, want %+v", i, got.Choices[i], want)
		}
	}
	checkStream(t, r, body, got)
}

// A completion ends before the first stop, which is not in its text.
func TestStop(t *testing.T) {
	r := start(t, "transformer", serve.Options{})
	ask := func(stop any) object { // hot enough to say many things
		return object{"prompt": "Call me", "max_tokens": 200, "temperature": 40, "seed": 4, "stop": stop}
	}
	long := r.ok(t, ask(nil)).Choices[0].Text
	at := 0 // of two ASCII characters that stand together, not at the beginning
	for i := 3; i+1 < len(long); i++ {
		if long[i] < 0x80 && long[i+1] < 0x80 && strings.Index(long, long[i:i+2]) == i {
			at = i
			break
		}
	}
	if at == 0 {
		t.Fatalf("the model says nothing to stop at: %q", long)
	}
	for _, stop := range []any{long[at : at+2], []string{"never said", long[at : at+2]}} {
		body := ask(stop)
		got := r.ok(t, body)
		if ch := got.Choices[0]; ch.Text != long[:at] || *ch.FinishReason != "stop" {
			t.Errorf("stop %q: %q, %s, want %q", stop, ch.Text, *ch.FinishReason, long[:at])
		}
		checkStream(t, r, body, got)
	}
	_, last := utf8.DecodeLastRuneInString(long)
	never := r.ok(t, ask(long[len(long)-last:]+"never said")).Choices[0]
	if never.Text != long || *never.FinishReason != "length" {
		t.Errorf("with a stop that only begins: %+v, want %q", never, long)
	}
}

// special is a tokenizer of which tokens 100 to 255 end a text, and 0 stands before it.
func special(t *testing.T) tokenizer.Tokenizer {
	t.Helper()
	var vocab, added []string
	for i := range 100 {
		vocab = append(vocab, `"`+string(rune('a'+i%26))+strings.Repeat("\u0120", i/26)+`": `+itoa(i))
	}
	for i := 100; i < 256; i++ {
		added = append(added, `{"id": `+itoa(i)+`, "content": "<end`+itoa(i)+`>", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}`)
	}
	tok, err := tokenizer.Parse("special", []byte(`{"added_tokens": [`+strings.Join(added, ",")+`],
		"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
		"decoder": {"type": "ByteLevel"},
		"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<end200>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
			"pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
			"special_tokens": {"<end200>": {"id": "<end200>", "ids": [200], "tokens": ["<end200>"]}}},
		"model": {"type": "BPE", "vocab": {`+strings.Join(vocab, ",")+`}, "merges": []}}`))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

// A token that ends the text is not in it, but is told of: clients that ask for one token
// to score a prompt count on it.
func TestEndOfText(t *testing.T) {
	r := startWith(t, "mamba", special(t), serve.Options{}, func(l net.Listener) net.Listener { return l })
	ended := 0
	for i := range 20 {
		prompt := []int32{int32(i), int32(3 * i), 150}
		for _, most := range []int{1, 12} {
			body := object{"prompt": prompt, "max_tokens": most, "temperature": 0, "echo": true, "logprobs": 1}
			got := r.ok(t, body)
			ch := got.Choices[0]
			n := got.Usage.Completion
			if len(ch.LogProbs.Tokens) != 3+n || n < 1 || n > most {
				t.Errorf("%d tokens told of, %d generated", len(ch.LogProbs.Tokens), n)
			}
			if last := ch.LogProbs.Tokens[2+n]; strings.HasPrefix(last, "<end") {
				ended++
				if *ch.FinishReason != "stop" || ch.Text != strings.Join(ch.LogProbs.Tokens[:2+n], "") {
					t.Errorf("the end %q: finish_reason %q, text %q", last, *ch.FinishReason, ch.Text)
				}
			}
			if !strings.Contains(ch.Text, "<end150>") { // of the prompt
				t.Errorf("echo %q", ch.Text)
			}
			checkStream(t, r, body, got)
		}
	}
	if ended == 0 {
		t.Error("no text ended")
	}
	// What the tokenizer puts before a text is read and told of, and has no part in it.
	got := r.ok(t, object{"prompt": "abc", "max_tokens": 0, "echo": true, "logprobs": 1})
	ch := got.Choices[0]
	if ch.Text != "abc" || !slices.Equal(ch.LogProbs.Tokens, []string{"<end200>", "a", "b", "c"}) || !slices.Equal(ch.LogProbs.TextOffset, []int{0, 0, 1, 2}) || got.Usage.Prompt != 4 {
		t.Errorf("%+v %+v", ch, ch.LogProbs)
	}
}

// Tokens that are half a character are named by their bytes, and begin where it does.
func TestHalfCharacters(t *testing.T) {
	r := start(t, "mamba", serve.Options{})
	l := r.ok(t, object{"prompt": "aé日b", "max_tokens": 0, "echo": true, "logprobs": 1}).Choices[0].LogProbs
	if want := []string{"a", `bytes:\xc3`, `bytes:\xa9`, `bytes:\xe6`, `bytes:\x97`, `bytes:\xa5`, "b"}; !slices.Equal(l.Tokens, want) {
		t.Errorf("tokens %q, want %q", l.Tokens, want)
	}
	if want := []int{0, 1, 1, 2, 2, 2, 3}; !slices.Equal(l.TextOffset, want) {
		t.Errorf("offsets %v, want %v", l.TextOffset, want)
	}
	for p, top := range l.TopLogProbs[1:] {
		if _, ok := top[l.Tokens[p+1]]; !ok {
			t.Errorf("token %d, %q, is not among %v", p+1, l.Tokens[p+1], top)
		}
	}
	// A prompt of ids may break off within a character.
	if got := r.ok(t, object{"prompt": []int32{'a', 0xc3}, "max_tokens": 0, "echo": true}).Choices[0].Text; got != "a\uFFFD" {
		t.Errorf("echo %q", got)
	}
}
