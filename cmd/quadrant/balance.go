package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"quadrant/corpus"
	"quadrant/evals"
	"quadrant/reports"
	"quadrant/results"
	"quadrant/tokenizer"
)

// balanceOptions are what 'balance' and 'reproduce' watch.
type balanceOptions struct {
	model  string
	name   string // that results give it, "" for its own
	dtype  string
	corpus []string // files and folders; none is the texts of the Go toolchain
	tokens int
	window int
	phase  string // "inference" or "training"
}

func newBalance(a *app) *cobra.Command {
	var o balanceOptions
	var format, out string
	cmd := &cobra.Command{
		Use:   "balance",
		Short: "Count the tokens that each expert of each layer is given on real text",
		Long: `Reads text with a model that has mixtures of experts and counts, layer by layer,
how many tokens the router sends to each expert. Text is read as bytes, in windows
that start afresh. --phase training lets routers that balance their load while
training (Sinkhorn) do so within each window.

The default corpus is text that comes with Go: Newton's Opticks and the sources of
the standard library.`,
		Example: `  quadrant balance --model tiny-mamba-moe
  quadrant balance --model tiny-transformer-moe --corpus ~/books --tokens 100000 --phase training`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			s, err := a.openSink(out)
			if err != nil {
				return err
			}
			if err := errors.Join(a.balance(cmd.Context(), o, s), s.close()); err != nil {
				return resumable(err, out)
			}
			t, err := reports.BalanceTable(s.results())
			if err != nil {
				return err
			}
			return a.table(t, format)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.model, "model", "", "preset, YAML file or checkpoint folder")
	f.StringSliceVar(&o.corpus, "corpus", nil, "files, folders or patterns to read; none is text that comes with Go")
	f.IntVar(&o.tokens, "tokens", 32768, "tokens to read")
	f.IntVar(&o.window, "window", 512, "tokens after which a sequence starts afresh")
	f.StringVar(&o.phase, "phase", "inference", "how routers choose: inference, training")
	f.StringVar(&o.dtype, "dtype", "", "type of weights and KV cache: "+dtypeUsage)
	f.StringVar(&format, "format", "table", "of the output: "+reports.Formats())
	f.StringVar(&out, "out", "", "file to append the counts to, as JSON lines")
	return cmd
}

func openCorpus(ctx context.Context, paths []string) (corpus.Corpus, error) {
	if len(paths) == 0 {
		return corpus.Default(ctx)
	}
	return corpus.Open(paths...)
}

// balance counts what o asks for, unless s has it.
func (a *app) balance(ctx context.Context, o balanceOptions, s *sink) error {
	if o.tokens < 1 || o.window < 1 {
		return misusef("--tokens %d, --window %d: want at least 1", o.tokens, o.window)
	}
	if o.phase != "inference" && o.phase != "training" {
		return misusef("phase %q is unknown: want inference or training", o.phase)
	}
	p, err := findModel(o.model)
	if err != nil {
		return err
	}
	if o.name != "" {
		p.Name = o.name
	}
	chosen, err := a.typesOf(p, o.dtype)
	if err != nil {
		return err
	}
	types := chosen.types
	subject, err := a.subject(p, types)
	if err != nil {
		return err
	}
	bytes, err := need(p, size{types, 1, o.window})
	if err != nil {
		return err
	}
	dev, err := a.openDevice()
	if err != nil {
		return err
	}
	if err := checkMemory(dev, p.Name, bytes); err != nil {
		return err
	}
	c, err := openCorpus(ctx, o.corpus)
	if err != nil {
		return err
	}
	text, err := c.Take(o.tokens)
	if err != nil {
		return err
	}
	ids, err := tokenizer.Bytes{}.Encode(string(text))
	if err != nil {
		return err
	}
	if len(ids) < o.tokens {
		a.log.Warn("the corpus has fewer tokens than asked for", "corpus", c.Name, "has", len(ids), "asked", o.tokens)
	}
	of := func(layer int, loads ...float64) results.Result {
		return results.Result{
			Schema: results.Schema, Env: environment(dev), Subject: subject, Metric: "expert_tokens", Values: loads,
			Point: results.Point{Phase: o.phase, Layer: &layer, Corpus: c.Name, Tokens: len(ids), Window: o.window, Tokenizer: tokenizer.Bytes{}.Name()},
		}
	}
	known, layers := true, 0
	for i, l := range p.Config.Layers {
		if l.Channel.MoE != nil {
			known, layers = s.known(of(i)) && known, layers+1
		}
	}
	if known && layers > 0 {
		return nil
	}
	routes := &evals.Routes{Device: dev}
	m, err := a.build(routes, p, types)
	if err != nil {
		return err
	}
	bar := newProgress(a.stderr, "balance", len(ids))
	defer bar.end()
	loads, err := evals.Balance(ctx, routes, m, ids, o.window, o.phase == "training", func(done int) { bar.set(done, len(ids)) })
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	var rs []results.Result
	for _, l := range loads {
		rs = append(rs, of(l.Layer, l.Tokens...))
	}
	return s.write(rs...)
}
