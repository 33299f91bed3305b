package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"quadrant/arch"
	"quadrant/checkpoint"
	"quadrant/evals"
	"quadrant/kernels"
)

func newLogits(a *app) *cobra.Command {
	var model, dtype, out string
	var ids []string
	cmd := &cobra.Command{
		Use:   "logits",
		Short: "Write a model's logits for given token ids",
		Long: `Runs a model on sequences of token ids, all of one length, and writes a
safetensors file with

  logits                   [sequences, tokens, vocabulary] F32
  layers.I.expert_index    [sequences·tokens] or [sequences·tokens, k] I64, per MoE layer

so that another implementation can be compared number by number.`,
		Example: `  quadrant logits --model tiny-mamba-moe --ids 72,101,108,108,111 --out logits.safetensors
  quadrant logits --model tiny-transformer --ids 1,2,3 --ids 4,5,6 --out two.safetensors`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if out == "" {
				return misuse(errors.New("no file named: --out takes the safetensors file to write"))
			}
			seqs, err := parseIDs(ids)
			if err != nil {
				return misuse(err)
			}
			return a.logits(model, dtype, seqs, out)
		},
	}
	f := cmd.Flags()
	f.StringVar(&model, "model", "", "preset, YAML file or checkpoint folder")
	f.StringArrayVar(&ids, "ids", nil, "token ids of a sequence, by comma; once per sequence")
	f.StringVar(&dtype, "dtype", "", "type of weights and KV cache: "+dtypeUsage)
	f.StringVar(&out, "out", "", "safetensors file to write")
	return cmd
}

// parseIDs reads sequences of one length.
func parseIDs(lists []string) ([][]int32, error) {
	if len(lists) == 0 {
		return nil, errors.New("no token ids: --ids takes them by comma, such as --ids 1,2,3")
	}
	var seqs [][]int32
	for i, list := range lists {
		var ids []int32
		for _, item := range strings.Split(list, ",") {
			id, err := strconv.ParseInt(strings.TrimSpace(item), 10, 32)
			if err != nil {
				return nil, fmt.Errorf("--ids %q: %q is not a token id", list, item)
			}
			ids = append(ids, int32(id))
		}
		if i > 0 && len(ids) != len(seqs[0]) {
			return nil, fmt.Errorf("sequence %d has %d token ids and the first %d: they must have one length", i+1, len(ids), len(seqs[0]))
		}
		seqs = append(seqs, ids)
	}
	return seqs, nil
}

func (a *app) logits(model, dtype string, seqs [][]int32, out string) error {
	p, err := findModel(model)
	if err != nil {
		return err
	}
	chosen, err := a.typesOf(p, dtype)
	if err != nil {
		return err
	}
	types := chosen.types
	flat := slices.Concat(seqs...)
	if err := p.Config.CheckIDs(flat); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	n := len(seqs[0])
	bytes, err := need(p, size{types, len(seqs), n})
	if err != nil {
		return err
	}
	dev, err := a.openDevice()
	if err != nil {
		return err
	}
	if err := checkMemory(dev, p.Name, bytes+4*int64(len(flat))*int64(p.Config.Vocab)); err != nil {
		return err
	}
	subject, err := a.subject(p, types)
	if err != nil {
		return err
	}
	routes := &evals.Routes{Device: dev}
	m, err := a.build(routes, p, types)
	if err != nil {
		return err
	}
	tensors, err := logits(routes, m, len(seqs), flat)
	if err != nil {
		return err
	}
	return checkpoint.WriteSafetensors(out, tensors, map[string]string{
		"model": p.Name, "weights": subject.Weights, "dtype": subject.DType, "device": dev.Name(),
	})
}

// logits reads ids, the tokens of seqs sequences one after another, and returns what the
// command writes.
func logits(routes *evals.Routes, m *arch.Model, seqs int, ids []int32) ([]checkpoint.Tensor, error) {
	if err := evals.TokensChoose(m.Config, false); err != nil {
		return nil, err
	}
	n := len(ids) / seqs
	chosen := make(map[int]checkpoint.Tensor)
	routes.See = func(layer int, experts []int32, k int) {
		t := checkpoint.Tensor{Name: fmt.Sprintf("layers.%d.expert_index", layer), DType: "I64", Shape: []int{len(experts) / k, k}}
		if k == 1 {
			t.Shape = t.Shape[:1]
		}
		for _, e := range experts {
			t.Data = binary.LittleEndian.AppendUint64(t.Data, uint64(e))
		}
		chosen[layer] = t
	}
	in, out := routes.Alloc(kernels.I32, len(ids), 1), routes.Alloc(kernels.F32, len(ids), m.Vocab)
	kernels.Put(routes, in, ids)
	m.Open(seqs, n).Forward(out, in)
	if err := routes.Sync(); err != nil {
		return nil, err
	}
	values := make([]float32, out.Len())
	kernels.Get(routes, values, out)
	logits := checkpoint.Tensor{Name: "logits", DType: "F32", Shape: []int{seqs, n, m.Vocab}, Data: make([]byte, 0, 4*len(values))}
	for _, v := range values {
		logits.Data = binary.LittleEndian.AppendUint32(logits.Data, math.Float32bits(v))
	}
	tensors := []checkpoint.Tensor{logits}
	for _, layer := range slices.Sorted(maps.Keys(chosen)) {
		tensors = append(tensors, chosen[layer])
	}
	return tensors, nil
}
