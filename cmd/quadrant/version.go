package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the revision that the program was built from",
		Example: "  quadrant version",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			revision := commit()
			if revision == "" {
				revision = "unknown"
			}
			_, err := fmt.Fprintf(a.stdout, "quadrant, commit %s, %s, %s/%s\n", revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
