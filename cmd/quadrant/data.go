package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"quadrant/evals/tasks"
	"quadrant/reports"
)

func newData(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "data",
		Short: "Look at evaluation data",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDataCheck(a))
	return cmd
}

func newDataCheck(a *app) *cobra.Command {
	var names []string
	var format string
	cmd := &cobra.Command{
		Use:   "check PATH",
		Short: "Tell whether evaluation data are the published ones",
		Long: `Reads the data of evaluation tasks in a folder, or in a file with --task, builds
every request that a model would be asked, and compares their hash with that of
lm-evaluation-harness's own tests: known is yes where they are the same, so that
scores on these data can be compared with published ones.`,
		Example: `  quadrant data check ~/evaldata
  quadrant data check piqa/valid.jsonl --task piqa --format json`,
		Args: func(cmd *cobra.Command, args []string) error { return misuse(cobra.ExactArgs(1)(cmd, args)) },
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			t, err := a.checkData(args[0], names)
			if err != nil {
				return err
			}
			return a.table(t, format)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&names, "task", nil, "tasks to look for: "+taskNames()+"; if none is given, all whose data are there")
	f.StringVar(&format, "format", "table", "of the output: "+reports.Formats())
	return cmd
}

func taskNames() string {
	var names []string
	for _, t := range tasks.Published {
		names = append(names, t.Name)
	}
	return strings.Join(names, ", ")
}

// checkData reads the tasks called names, or all that path has data of.
func (a *app) checkData(path string, names []string) (reports.Table, error) {
	wanted := tasks.Published
	if len(names) > 0 {
		wanted = nil
		for _, n := range names {
			t, ok := tasks.Named(n)
			if !ok {
				return reports.Table{}, misusef("task %q is unknown: want one of %s", n, taskNames())
			}
			wanted = append(wanted, t)
		}
	}
	table := reports.Table{Columns: []reports.Column{
		textColumn("task", "Task"), numberColumn("records", "Records"), textColumn("requests_sha256", "SHA-256 of the requests"),
		textColumn("known", "Known"), textColumn("file", "File"),
	}}
	taken := map[string]bool{} // files that are some task's
	unread := map[string]error{}
	for _, t := range wanted {
		set, err := tasks.Read(t, path)
		if err != nil && len(names) == 0 {
			if !errors.Is(err, tasks.ErrNoData) {
				unread[set.Files[0]] = err
			}
			continue
		}
		if err != nil {
			return table, err
		}
		sum, err := tasks.RequestsSHA256(t, set.Docs)
		if err != nil {
			return table, err
		}
		taken[set.Files[0]] = true
		known := reports.Cell{Text: "no", Raw: false}
		if sum == t.SHA256 {
			known = reports.Cell{Text: "yes", Raw: true}
		}
		table.Rows = append(table.Rows, []reports.Cell{reports.Text(t.Name), count(len(set.Docs)), reports.Text(sum), known, reports.Text(set.Files[0])})
	}
	for _, file := range slices.Sorted(maps.Keys(unread)) {
		if !taken[file] { // a file called test.jsonl may be any task's
			a.log.Warn("left out", "why", unread[file])
		}
	}
	if len(table.Rows) == 0 {
		return table, fmt.Errorf("%s: %w of any of %s", path, tasks.ErrNoData, taskNames())
	}
	return table, nil
}
