package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"quadrant/configs"
	"quadrant/flops"
	"quadrant/serve"
)

// serveOptions is what the flags of serve say.
type serveOptions struct {
	model, tokenizer, dtype, addr, name string
	serve                               serve.Options
}

// tokenVariable is where a token may stand that is not for the list of processes to see.
const tokenVariable = "QUADRANT_TOKEN"

func newServe(a *app) *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Answer completions requests of OpenAI's API",
		Long: `Serves a model at /v1/completions, /v1/models and /health until it is interrupted;
then it finishes the requests it has. Prompts are texts or token ids; with echo and
logprobs every token of a prompt is scored, as 'quadrant eval' does to the last bit.

Other machines are let in only with a token, which requests must bear
(Authorization: Bearer TOKEN): --token, or better ` + tokenVariable + ` in the environment,
which other users of the machine do not see.`,
		Example: `  quadrant serve --model tiny-mamba-moe
  quadrant serve --model ./mamba-130m --dtype bf16 --addr 127.0.0.1:8080
  curl -s localhost:8000/v1/completions -H 'Content-Type: application/json' \
      -d '{"prompt": "Call me", "max_tokens": 16, "temperature": 0}'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.serve(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.model, "model", "", "preset, YAML file or checkpoint folder")
	f.StringVar(&o.tokenizer, "tokenizer", "", "tokenizer.json file, folder that holds one, or bytes; if not given, the model's")
	f.StringVar(&o.dtype, "dtype", "", "type of weights and KV cache: "+dtypeUsage)
	f.StringVar(&o.name, "name", "", "what requests call the model; if not given, its own name")
	f.StringVar(&o.addr, "addr", "127.0.0.1:8000", "address to listen at")
	f.StringVar(&o.serve.Token, "token", "", "that requests must bear; needed where other machines reach --addr")
	f.IntVar(&o.serve.Window, "window", 2048, "most tokens of a prompt and its completion together")
	f.IntVar(&o.serve.Sequences, "sequences", 4, "completions generated side by side")
	f.IntVar(&o.serve.Requests, "requests", 256, "requests held at once; more are refused")
	f.DurationVar(&o.serve.Drain, "drain", 30*time.Second, "time to finish requests after an interrupt")
	return cmd
}

func (a *app) serve(ctx context.Context, o serveOptions) error {
	if o.serve.Token == "" {
		o.serve.Token = os.Getenv(tokenVariable)
	}
	if err := serve.CheckAddr(o.addr, o.serve.Token); err != nil {
		return misuse(err)
	}
	if o.serve.Window < 2 || o.serve.Sequences < 1 || o.serve.Requests < 1 || o.serve.Drain <= 0 {
		return misusef("--window %d, --sequences %d, --requests %d, --drain %v: want at least 2, 1, 1, and more than none",
			o.serve.Window, o.serve.Sequences, o.serve.Requests, o.serve.Drain)
	}
	m, err := a.served(o)
	if err != nil {
		return err
	}
	o.serve.Log = a.log
	s, err := serve.New(m, o.serve)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", o.addr)
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	fmt.Fprintf(a.stderr, "serving %s at http://%s\n", m.Name, l.Addr())
	return s.Serve(ctx, l)
}

// served makes the model ready.
func (a *app) served(o serveOptions) (serve.Model, error) {
	var m serve.Model
	p, err := findModel(o.model)
	if err != nil {
		return m, err
	}
	chosen, err := a.typesOf(p, o.dtype)
	if err != nil {
		return m, err
	}
	types := chosen.types
	if m.Tokenizer, err = openTokenizer(p, o.tokenizer); err != nil {
		return m, err
	}
	bytes, err := servedBytes(p, size{types, o.serve.Sequences, o.serve.Window})
	if err != nil {
		return m, err
	}
	if m.Device, err = a.openDevice(); err != nil {
		return m, err
	}
	what := fmt.Sprintf("%s with %d completions of %d tokens side by side", p.Name, o.serve.Sequences, o.serve.Window)
	if err := checkMemory(m.Device, what, bytes); err != nil {
		return m, err
	}
	if m.Model, err = a.build(m.Device, p, types); err != nil {
		return m, err
	}
	if p.Checkpoint == "" {
		fmt.Fprintf(a.stderr, "%s has random weights: what it says is noise\n", p.Name)
	}
	m.Name = p.Name
	if o.name != "" {
		m.Name = o.name
	}
	return m, nil
}

// servedBytes is the memory that serving takes, without scratch: weights, completions, and
// prompts that are read side by side, which have the window's tokens at most together.
func servedBytes(p configs.Preset, s size) (int64, error) {
	var tallies [2]flops.Tally
	for i, n := range []int{s.maxLen, (s.maxLen + serve.Beside - 1) / serve.Beside} {
		var err error
		if tallies[i], err = countAt(p, n, s.types); err != nil {
			return 0, err
		}
	}
	prompts := max(tallies[0].StateBytes, serve.Beside*tallies[1].StateBytes)
	return tallies[0].Params.Bytes + int64(s.seqs)*tallies[0].StateBytes + prompts, nil
}
