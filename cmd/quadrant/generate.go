package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quadrant/arch"
	"quadrant/configs"
	"quadrant/kernels"
	"quadrant/sample"
	"quadrant/tokenizer"
)

// generateOptions is what the flags of generate say.
type generateOptions struct {
	model, tokenizer, prompt, dtype string
	most                            int // tokens to generate
	stream, onAndOn                 bool
	sample                          sample.Options
}

func newGenerate(a *app) *cobra.Command {
	var o generateOptions
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Continue a prompt",
		Long: `Reads a prompt and writes what the model continues it with, one token at a time:
the likeliest token each time, or with --temperature one drawn from the
distribution that --top-k and --top-p leave, for one --seed always the same.

Presets have random weights, so what they write is noise: they show that
generation works and how fast it is.

The text goes to standard output, the speed to standard error.`,
		Example: `  quadrant generate --model tiny-mamba --prompt 'Call me' --max-tokens 64 --stream
  quadrant generate --model blackmamba-1.5b --dtype bf16 --tokenizer 20B_tokenizer.json \
      --prompt 'Call me' --max-tokens 16 --temperature 0.8 --top-p 0.95 --seed 3`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("prompt") {
				return misuse(errors.New("no prompt: --prompt takes the text to continue"))
			}
			o.sample.Seed = a.seed
			return a.generate(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.model, "model", "", "preset, YAML file or checkpoint folder")
	f.StringVar(&o.tokenizer, "tokenizer", "", "tokenizer.json file, folder that holds one, or bytes; if not given, the model's")
	f.StringVar(&o.prompt, "prompt", "", "text to continue")
	f.IntVar(&o.most, "max-tokens", 128, "tokens to generate at most")
	f.StringVar(&o.dtype, "dtype", "", "type of weights and KV cache: "+dtypeUsage)
	f.Float64Var(&o.sample.Temperature, "temperature", 0, "divides the logits before a token is drawn; 0 takes the likeliest")
	f.IntVar(&o.sample.TopK, "top-k", 0, "draw from the so many likeliest tokens; 0 is all")
	f.Float64Var(&o.sample.TopP, "top-p", 1, "draw from the likeliest tokens that together have this probability")
	f.BoolVar(&o.stream, "stream", false, "write each character as soon as it is whole")
	f.BoolVar(&o.onAndOn, "ignore-eos", false, "go on after a special token, such as the end of a text")
	return cmd
}

// maxTokens is the most that --max-tokens may be.
const maxTokens = 1 << 30

func (a *app) generate(ctx context.Context, o generateOptions) error {
	g, err := a.newGeneration(o)
	if err != nil {
		return err
	}
	w := &writer{out: a.stdout, text: tokenizer.NewStream(g.tok), now: o.stream}
	err = g.run(ctx, w.take)
	interrupted := errors.Is(err, context.Canceled)
	if err == nil || interrupted {
		err = w.close()
	}
	fmt.Fprintln(a.stderr, g.speed())
	if interrupted {
		return errors.Join(fmt.Errorf("interrupted after %d tokens", g.tokens), err)
	}
	return err
}

// newGeneration makes ready what the flags ask for.
func (a *app) newGeneration(o generateOptions) (*generation, error) {
	g := &generation{most: o.most, onAndOn: o.onAndOn}
	var err error
	if g.sampler, err = sample.New(o.sample); err != nil {
		return nil, misuse(err)
	}
	if o.most < 1 || o.most > maxTokens {
		return nil, misusef("--max-tokens is %d, want 1 to %d", o.most, maxTokens)
	}
	p, err := findModel(o.model)
	if err != nil {
		return nil, err
	}
	chosen, err := a.typesOf(p, o.dtype)
	if err != nil {
		return nil, err
	}
	types := chosen.types
	if g.tok, err = openTokenizer(p, o.tokenizer); err != nil {
		return nil, err
	}
	if g.prompt, err = promptIDs(p, g.tok, o.prompt); err != nil {
		return nil, err
	}
	length := len(g.prompt) + o.most
	bytes, err := need(p, size{types, 1, length})
	if err != nil {
		return nil, err
	}
	if g.dev, err = a.openDevice(); err != nil {
		return nil, err
	}
	if err := checkMemory(g.dev, fmt.Sprintf("%s with %d tokens of prompt and %d to generate", p.Name, len(g.prompt), o.most), bytes); err != nil {
		return nil, err
	}
	subject, err := a.subject(p, types)
	if err != nil {
		return nil, err
	}
	m, err := a.build(g.dev, p, types)
	if err != nil {
		return nil, err
	}
	g.session, g.vocab = m.Open(1, length), min(m.Vocab, g.tok.Vocab())
	if strings.HasPrefix(subject.Weights, "random") {
		fmt.Fprintf(a.stderr, "%s has random weights: what follows is noise\n", p.Name)
	}
	return g, nil
}

// openTokenizer opens the tokenizer that --tokenizer names, or the model's.
func openTokenizer(p configs.Preset, name string) (tokenizer.Tokenizer, error) {
	if name != "" {
		return tokenizer.Open(name)
	}
	if p.Tokenizer == "" {
		return nil, misusef("%s comes with no tokenizer: pass one with --tokenizer FILE, or bytes", p.Name)
	}
	tok, err := tokenizer.Open(p.Tokenizer)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, misusef("%s reads ids of the tokenizer %s, which is not built in: pass its file with --tokenizer FILE", p.Name, p.Tokenizer)
	}
	return tok, err
}

// promptIDs encodes a prompt for a model.
func promptIDs(p configs.Preset, tok tokenizer.Tokenizer, prompt string) ([]int32, error) {
	ids, err := tokenizer.Prompt(tok, prompt)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, misuse(errors.New("the prompt has no tokens: --prompt wants at least one character"))
	}
	if err := p.Config.CheckIDs(ids); err != nil {
		return nil, fmt.Errorf("%s does not go with tokenizer %s, which has %d tokens: %w", p.Name, tok.Name(), tok.Vocab(), err)
	}
	return ids, nil
}

// A generation continues one sequence.
type generation struct {
	dev     kernels.Device
	session *arch.Session
	tok     tokenizer.Tokenizer
	sampler *sample.Sampler
	prompt  []int32
	most    int  // tokens to generate
	onAndOn bool // after special tokens too
	vocab   int  // tokens that may be chosen: rows of the head beyond are padding

	tokens  int           // generated
	reading time.Duration // until the first token is chosen
	writing time.Duration // from then on
}

// promptStep is the tokens of a prompt that are read at once: few enough that an
// interrupt is heeded and that memory does not grow with the prompt.
const promptStep = 256

// run reads the prompt and hands on tokens, until there are as many as asked for or one
// ends the text.
func (g *generation) run(ctx context.Context, take func(id int32) error) error {
	start := time.Now()
	values := make([]float32, g.session.Vocab)
	logits := g.dev.Alloc(kernels.F32, 1, g.session.Vocab)
	next := g.dev.Alloc(kernels.I32, 1, 1)
	for ids := range slices.Chunk(g.prompt, promptStep) {
		in := g.dev.Alloc(kernels.I32, len(ids), 1)
		if err := g.read(ctx, logits, in, ids); err != nil {
			return err
		}
	}
	for {
		kernels.Get(g.dev, values, logits)
		id, err := g.sampler.Next(values[:g.vocab])
		if err != nil {
			return err
		}
		if g.tokens == 0 {
			g.reading = time.Since(start)
			start = time.Now()
		}
		g.tokens++
		g.writing = time.Since(start)
		if tokenizer.Special(g.tok, id) && !g.onAndOn {
			return nil
		}
		if err := take(id); err != nil || g.tokens == g.most {
			return err
		}
		if err := g.read(ctx, logits, next, []int32{id}); err != nil {
			return err
		}
	}
}

// read reads ids, by way of in, and leaves the logits of what follows.
func (g *generation) read(ctx context.Context, logits, in kernels.Mat, ids []int32) error {
	kernels.Put(g.dev, in, ids)
	g.session.Forward(logits, in)
	return errors.Join(g.dev.Sync(), ctx.Err())
}

// speed says how fast it was.
func (g *generation) speed() string {
	text := fmt.Sprintf("prompt: %d tokens in %.3f s (%s)", len(g.prompt), g.reading.Seconds(), perSecond(len(g.prompt), g.reading))
	if g.tokens > 1 { // the first comes of the prompt
		text += fmt.Sprintf("; generated: %d tokens, %s", g.tokens, perSecond(g.tokens-1, g.writing))
	}
	return text
}

func perSecond(n int, d time.Duration) string {
	if d <= 0 {
		return "too fast to time"
	}
	return fmt.Sprintf("%.1f tokens/s", float64(n)/d.Seconds())
}

// A writer writes the text of tokens, at once or at the end.
type writer struct {
	out  io.Writer
	text *tokenizer.Stream
	now  bool
	kept strings.Builder
	last byte
}

func (w *writer) take(id int32) error {
	text, err := w.text.Push(id)
	if err != nil {
		return err
	}
	return w.write(text)
}

func (w *writer) write(text string) error {
	if text == "" {
		return nil
	}
	w.last = text[len(text)-1]
	if !w.now {
		w.kept.WriteString(text)
		return nil
	}
	_, err := io.WriteString(w.out, text)
	return err
}

// close writes what is left, and a newline where the text has none at its end.
func (w *writer) close() error {
	err := w.write(w.text.Close())
	if err == nil {
		_, err = io.WriteString(w.out, w.kept.String())
	}
	if err == nil && w.last != '\n' {
		_, err = io.WriteString(w.out, "\n")
	}
	return err
}
