package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// A BPE is a byte-pair encoding read from a tokenizer.json file: byte-level, as GPT-2,
// GPT-NeoX and Llama 3 have, or of characters, as SentencePiece makes them for Llama 2.
type BPE struct {
	name  string
	texts []string // of each id
	kinds []kind   // of each id
	inRaw,
	inNormalized matcher // added tokens that are looked for in raw text, and in normalized text

	normalizer   normalizer
	preTokenizer []preTokenizer
	template     template
	decoder      *decoder

	byteLevel bool
	bytes     [256]int32       // id of each byte: byte-level, or by fallback; −1 where there is none
	runes     map[rune]int32   // id of each character, unless byte-level
	whole     map[string]int32 // words that are ids whatever the merges say; nil if the merges decide
	fallback  bool             // characters without an id become bytes
	unk       int32            // stands for what has no id, or −1
	fuseUnk   bool             // several in a row become one
	merges    *merges
	cache     *cache
}

var _ Tokenizer = (*BPE)(nil)

// A kind is what an id is.
type kind uint8

const (
	absent kind = iota
	ordinary
	addedKind
	specialKind
)

// maxID bounds ids, and so the memory that a file can ask for: no vocabulary that is in
// use has a million.
const maxID = 1 << 21

// maxAdded is the bytes of the longest added token: the time to find them can grow with it.
const maxAdded = 1 << 10

// Parse reads a tokenizer.json, to be called name.
func Parse(name string, data []byte) (*BPE, error) {
	b, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %s: %w", name, err)
	}
	b.name = name
	return b, nil
}

func parse(data []byte) (*BPE, error) {
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("not a tokenizer.json: %w", err)
	}
	model, err := parseModel(f.Model)
	if err != nil {
		return nil, err
	}
	b := &BPE{cache: newCache(), unk: -1, fallback: model.ByteFallback, fuseUnk: model.FuseUnk}
	if b.normalizer, err = parseNormalizer(f.Normalizer); err != nil {
		return nil, err
	}
	if b.preTokenizer, b.byteLevel, err = parsePreTokenizer(f.PreTokenizer); err != nil {
		return nil, err
	}
	if b.decoder, err = parseDecoder(f.Decoder); err != nil {
		return nil, err
	}
	if err := b.readVocab(model.Vocab); err != nil {
		return nil, err
	}
	if err := b.readAdded(f.Added, model.Vocab); err != nil {
		return nil, err
	}
	if b.template, err = parseTemplate(f.PostProcessor, b.known); err != nil {
		return nil, err
	}
	if b.merges, err = newMerges(model.Merges, model.Vocab); err != nil {
		return nil, err
	}
	return b, b.readModel(model)
}

// place makes room for an id.
func (b *BPE) place(id int32, token string) error {
	if id < 0 || id >= maxID {
		return fmt.Errorf("token %.60q has id %d, want 0 to %d", token, id, maxID-1)
	}
	for int(id) >= len(b.texts) {
		b.texts, b.kinds = append(b.texts, ""), append(b.kinds, absent)
	}
	return nil
}

func (b *BPE) readVocab(vocab map[string]int32) error {
	tokens := make(map[int32]string, len(vocab))
	for token, id := range vocab {
		if other, ok := tokens[id]; ok {
			return fmt.Errorf("tokens %.60q and %.60q both have id %d", min(token, other), max(token, other), id)
		}
		tokens[id] = token
		if err := b.place(id, token); err != nil {
			return err
		}
		text, err := b.decoder.text(token, false)
		if err != nil {
			return err
		}
		b.texts[id], b.kinds[id] = text, ordinary
	}
	return nil
}

// readAdded takes in the added tokens: special ones first, as the reference does, which
// decides between two that normalize to one text.
func (b *BPE) readAdded(added []addedToken, vocab map[string]int32) error {
	ids := make(map[string]int32)
	var found []string // what to look for
	for i := range added {
		a := &added[i]
		id, ok := vocab[a.Content]
		if !ok {
			id, ok = ids[a.Content]
		}
		if ok && id != a.ID {
			return fmt.Errorf("added token %.60q has id %d, but also id %d", a.Content, a.ID, id)
		}
		if err := b.place(a.ID, a.Content); err != nil {
			return err
		}
		if b.kinds[a.ID] != absent && !ok {
			return fmt.Errorf("added token %.60q has id %d, which another token has", a.Content, a.ID)
		}
		ids[a.Content] = a.ID
		content := a.Content
		if a.normalized() {
			var err error
			if content, err = b.normalizer.apply(content); err != nil {
				return fmt.Errorf("added token %.60q: %w", a.Content, err)
			}
		}
		if len(content) > maxAdded {
			return fmt.Errorf("added token %.60q has %d bytes, want at most %d", a.Content, len(content), maxAdded)
		}
		text, err := b.decoder.text(content, true)
		if err != nil {
			return err
		}
		b.texts[a.ID], b.kinds[a.ID] = text, addedKind
		if a.Special {
			b.kinds[a.ID] = specialKind
		}
		found = append(found, content)
	}
	for _, special := range []bool{true, false} {
		for i := range added {
			a := &added[i]
			switch {
			case a.Special != special:
			case a.normalized():
				b.inNormalized.add(found[i], a)
			default:
				b.inRaw.add(found[i], a)
			}
		}
	}
	return nil
}

// readModel fills the tables that words are encoded by.
func (b *BPE) readModel(m *modelFile) error {
	if m.UnkToken != nil {
		id, ok := m.Vocab[*m.UnkToken]
		if !ok {
			return fmt.Errorf("model: unk_token %q is not in the vocabulary", *m.UnkToken)
		}
		b.unk = id
	}
	if m.IgnoreMerges {
		b.whole = make(map[string]int32, len(m.Vocab))
	}
	if !b.byteLevel {
		b.runes = make(map[rune]int32)
	}
	for i := range b.bytes {
		token := string(byteRunes[i])
		if !b.byteLevel {
			token = fmt.Sprintf("<0x%02X>", i)
		}
		id, ok := m.Vocab[token]
		if !ok || !b.byteLevel && !b.fallback {
			id = -1
		}
		b.bytes[i] = id
	}
	for token, id := range m.Vocab {
		if r, n := utf8.DecodeRuneInString(token); !b.byteLevel && n == len(token) && n > 0 {
			b.runes[r] = id
		}
		if b.whole != nil {
			word, ok := token, true
			if b.byteLevel {
				word, ok = fromByteLevel(token)
			}
			if ok {
				b.whole[word] = id
			}
		}
	}
	return nil
}

// Name is the name that the tokenizer was opened by.
func (b *BPE) Name() string { return b.name }

// Vocab is one more than the largest id. Not every id below need stand for something.
func (b *BPE) Vocab() int { return len(b.texts) }

func (b *BPE) known(id int32) bool {
	return id >= 0 && int(id) < len(b.kinds) && b.kinds[id] != absent
}

func (b *BPE) isSpecial(id int32) bool { return b.known(id) && b.kinds[id] == specialKind }

// Encode returns the ids of text, without what the template puts round it: see Prompt.
// Added tokens are recognised in the text, special ones too.
func (b *BPE) Encode(text string) ([]int32, error) {
	if len(text) > math.MaxInt32/8 {
		return nil, fmt.Errorf("tokenizer: %s: a text of %d bytes is too long, want at most %d", b.name, len(text), math.MaxInt32/8)
	}
	e := encoder{BPE: b, ids: make([]int32, 0, len(text)/4+8)}
	e.words = pipe(b.preTokenizer, e.word)
	if err := b.inRaw.segments(text, e.raw); err != nil {
		return nil, fmt.Errorf("tokenizer: %s: %w", b.name, err)
	}
	return e.ids, nil
}

// Decode returns the text of ids, special tokens as they are written. Bytes that are no
// UTF-8 stay what they are.
func (b *BPE) Decode(ids []int32) (string, error) {
	s := NewStream(b)
	var text []byte
	for i, id := range ids {
		var err error
		if text, err = s.append(text, id); err != nil {
			return "", fmt.Errorf("%w, at position %d", err, i)
		}
	}
	return string(text), nil
}

// text is the bytes of an id that is not the first of a text.
func (b *BPE) text(id int32) (string, error) {
	if !b.known(id) {
		return "", fmt.Errorf("tokenizer: %s: id %d is not in the vocabulary, whose ids are below %d", b.name, id, b.Vocab())
	}
	return b.texts[id], nil
}

// An encoder encodes one text.
type encoder struct {
	*BPE
	ids   []int32
	words func(piece) error // pre-tokenizes, then word
	first bool              // the text begins with the raw segment in hand
	word1 []int32
}

// raw encodes a segment of the text as it came.
func (e *encoder) raw(s segment) error {
	if s.token != nil {
		e.ids = append(e.ids, s.token.ID)
		return nil
	}
	text, err := e.normalizer.apply(s.text)
	if err != nil {
		return err
	}
	e.first = s.start == 0
	return e.inNormalized.segments(text, e.normalized)
}

// normalized encodes a segment of normalized text.
func (e *encoder) normalized(s segment) error {
	if s.token != nil {
		e.ids = append(e.ids, s.token.ID)
		return nil
	}
	return e.words(piece{s.text, e.first && s.start == 0})
}

// word encodes what the pre-tokenizers leave in one piece.
func (e *encoder) word(p piece) error {
	if len(p.text) > maxCached {
		ids, err := e.merge(p.text)
		e.ids = append(e.ids, ids...)
		return err
	}
	place := e.cache.place(p.text)
	if c := place.Load(); c != nil && c.word == p.text {
		e.ids = append(e.ids, c.ids...)
		return nil
	}
	ids, err := e.merge(p.text)
	if err != nil {
		return err
	}
	remember(place, p.text, ids)
	e.ids = append(e.ids, ids...)
	return nil
}

// merge returns the ids of a word, good until the next call.
func (e *encoder) merge(word string) ([]int32, error) {
	if id, ok := e.whole[word]; ok {
		return append(e.word1[:0], id), nil
	}
	ids, err := e.atoms(e.word1[:0], word)
	if err != nil {
		return nil, err
	}
	e.word1 = ids
	return e.merges.apply(ids), nil
}

// atoms appends the ids of a word's bytes or characters.
func (e *encoder) atoms(ids []int32, word string) ([]int32, error) {
	if e.byteLevel {
		for i := range len(word) {
			id := e.bytes[word[i]]
			if id < 0 {
				if id = e.unk; id < 0 {
					return nil, fmt.Errorf("byte 0x%02X is not in the vocabulary, which has no unk_token", word[i])
				}
				if e.fuseUnk && i > 0 && e.bytes[word[i-1]] < 0 {
					continue
				}
			}
			ids = append(ids, id)
		}
		return ids, nil
	}
	unknown := false // the character before was
	for i := 0; i < len(word); {
		r, n := utf8.DecodeRuneInString(word[i:])
		char := word[i : i+n]
		i += n
		if id, ok := e.runes[r]; ok && (r != utf8.RuneError || n > 1) {
			ids, unknown = append(ids, id), false
			continue
		}
		if e.fallsBack(char) {
			for k := range len(char) {
				ids = append(ids, e.bytes[char[k]])
			}
			unknown = false
			continue
		}
		if e.unk < 0 {
			return nil, errors.New("character " + strconv.Quote(char) + " is not in the vocabulary, which has no unk_token")
		}
		if !unknown || !e.fuseUnk {
			ids = append(ids, e.unk)
		}
		unknown = true
	}
	return ids, nil
}

// fallsBack reports whether every byte of a character has an id.
func (e *encoder) fallsBack(char string) bool {
	for i := range len(char) {
		if e.bytes[char[i]] < 0 {
			return false
		}
	}
	return e.fallback
}
