package main

import (
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"quadrant/kernels"
	"quadrant/kernels/device"
)

// An app is what every subcommand shares.
type app struct {
	stdout, stderr io.Writer
	log            *slog.Logger

	deviceName string
	threads    int
	seed       uint64
	logLevel   string
	expertAct  string // of a BlackMamba checkpoint; "" is what its code computes

	gpus map[string]*gpuWatch // of the GPUs that were opened, by name
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	a := &app{stdout: stdout, stderr: stderr, gpus: map[string]*gpuWatch{}}
	root := &cobra.Command{
		Use:   "quadrant",
		Short: "Four language-model architectures on one set of kernels, under one timer",
		Long: `Quadrant runs four language-model architectures on one set of kernels: dense
transformer, dense Mamba, transformer-MoE and Mamba-MoE (BlackMamba). It measures
generation latency by sequence length, counts FLOPs and bytes, watches where
routers send tokens, and draws the figures of the BlackMamba paper
(arXiv 2402.01771) from what it measured.`,
		Example: `  quadrant reproduce
  quadrant models
  quadrant latency --models tiny-transformer,tiny-mamba-moe --gen 128-1024*2`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return a.openLog()
		},
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return misuse(err) })
	f := root.PersistentFlags()
	f.StringVar(&a.deviceName, "device", "cpu", "device that computes: "+strings.Join(device.Names(), ", "))
	f.IntVar(&a.threads, "threads", 0, "threads that compute; 0 is one per core")
	f.Uint64Var(&a.seed, "seed", 1, "seed of random weights and prompts")
	f.StringVar(&a.expertAct, "expert-act", "", "activation of a BlackMamba checkpoint's experts: gelu (released code), silu")
	f.StringVar(&a.logLevel, "log-level", "info", "least level logged to standard error: debug, info, warn, error")
	root.AddCommand(
		newModels(a),
		newFLOPs(a),
		newLatency(a),
		newBenchKernels(a),
		newBalance(a),
		newReplay(a),
		newLogits(a),
		newGrads(a),
		newGenerate(a),
		newServe(a),
		newTokenize(a),
		newPull(a),
		newInspect(a),
		newExport(a),
		newTrain(a),
		newAblate(a),
		newSynth(a),
		newDevices(a),
		newData(a),
		newEval(a),
		newCompare(a),
		newFigure(a),
		newReproduce(a),
		newVersion(a),
	)
	return root
}

// noArgs is cobra.NoArgs as misuse: for a command that takes flags only.
func noArgs(cmd *cobra.Command, args []string) error { return misuse(cobra.NoArgs(cmd, args)) }

func (a *app) openLog() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
		return misusef("--log-level %q: want debug, info, warn or error", a.logLevel)
	}
	a.log = newLog(a.stderr, level)
	return nil
}

// openDevice opens the device that the flags name.
func (a *app) openDevice() (kernels.Device, error) {
	dev, err := device.Open(a.deviceName, a.threads)
	if err != nil {
		return nil, misuse(err)
	}
	if w := watchOf(dev); w != nil {
		a.gpus[dev.Name()] = w
	}
	return dev, nil
}

// terminal reports whether w is a terminal.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
