package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"quadrant/kernels/device"
	"quadrant/reports"
)

func newDevices(a *app) *cobra.Command {
	var format, out string
	cmd := &cobra.Command{
		Use:   "devices",
		Short: "List the devices that --device takes on this machine",
		Long: `Lists what computes on this machine: the processor in every variant of its kernels,
the float64 definition of all ops, and the GPUs. Where there are no GPUs, a line on
standard error says why: this program is built without them, there is no driver, or
the driver finds none.`,
		Example: `  quadrant devices
  quadrant devices --format json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			t, why := devicesTable()
			if err := a.output(out, func(w io.Writer) error { return t.Write(w, format) }); err != nil {
				return err
			}
			if why != nil {
				_, err := fmt.Fprintf(a.stderr, "no GPUs: %v\n", why)
				return err
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "of the output: "+reports.Formats())
	cmd.Flags().StringVar(&out, "out", "", "file to write instead of standard output")
	return cmd
}

// devicesTable returns the devices of this machine, and why no GPUs are among them.
func devicesTable() (t reports.Table, why error) {
	t = reports.Table{
		Caption: "Devices of this machine. Memory: of the device. Compute capability, multiprocessors and the newest CUDA that the driver serves: of a GPU.",
		Columns: []reports.Column{
			textColumn("device", "Device"), textColumn("name", "Name"), numberColumn("memory_bytes", "Memory"),
			numberColumn("compute_capability", "Compute"), numberColumn("multiprocessors", "Multiprocessors"), numberColumn("cuda", "CUDA"),
		},
	}
	memory := reports.Cell{}
	if total := totalMemory(); total >= 0 {
		memory = byteSize(total)
	}
	for _, name := range device.Names() {
		if strings.HasPrefix(name, "cuda:") {
			continue
		}
		t.Rows = append(t.Rows, []reports.Cell{reports.Text(name), reports.Text(cpuBrand()), memory, {}, {}, {}})
	}
	gpus, why := device.GPUs()
	for i, g := range gpus {
		t.Rows = append(t.Rows, []reports.Cell{
			reports.Text(fmt.Sprintf("cuda:%d", i)), reports.Text(g.Name), byteSize(g.Memory),
			reports.Text(fmt.Sprintf("%d.%d", g.Major, g.Minor)), reports.Int(g.Multiprocessors),
			reports.Text(fmt.Sprintf("%d.%d", g.CUDA/1000, g.CUDA%1000/10)),
		})
	}
	return t, why
}
