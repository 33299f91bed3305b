// Quadrant runs four language-model architectures, dense transformer, dense Mamba,
// transformer-MoE and Mamba-MoE, on one set of kernels under one timer, and draws the
// figures of the BlackMamba paper from what it measured.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second Ctrl-C ends the program at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // something went wrong, or the command was interrupted
	exitMisuse = 2 // the command line asks for what cannot be
)

// run is the program, for main and for tests.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot(stdout, stderr)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "quadrant: %v\n", err)
	var misuse *usageError
	if errors.As(err, &misuse) {
		fmt.Fprintf(stderr, "see '%s --help'\n", cmd.CommandPath())
		return exitMisuse
	}
	return exitFailed
}

// A usageError is a command line that asks for what cannot be.
type usageError struct{ error }

func misuse(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err}
}

func misusef(format string, args ...any) error { return misuse(fmt.Errorf(format, args...)) }

func (e *usageError) Unwrap() error { return e.error }
