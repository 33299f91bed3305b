package main

import (
	"encoding/csv"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"quadrant/kernels"
	"quadrant/results"
)

// A gpuWatch asks nvidia-smi how a GPU fares while results of it are written.
type gpuWatch struct {
	uuid   string
	ask    func(uuid, fields string) (string, error)
	driver string
	before *results.GPUState // nil where nothing is known, like last
	begun  bool
	last   *results.GPUState
	at     time.Time // of last
}

// gpuStateAge is how old the state of a GPU may be that a result is logged with: asking takes
// tens of milliseconds.
const gpuStateAge = 3 * time.Second

// gpuFields are asked for first; drivers before 535 have another name for the last.
const (
	gpuFields     = "driver_version,clocks.sm,clocks.mem,power.draw,temperature.gpu,clocks_event_reasons.active"
	gpuFieldsOnce = "driver_version,clocks.sm,clocks.mem,power.draw,temperature.gpu,clocks_throttle_reasons.active"
)

// watchOf is the watch of dev if it is a GPU that has a name, nil for others.
func watchOf(dev kernels.Device) *gpuWatch {
	d, ok := dev.(interface{ UUID() string })
	if !ok || d.UUID() == "" {
		return nil
	}
	return &gpuWatch{uuid: d.UUID(), ask: askGPU}
}

func askGPU(uuid, fields string) (string, error) {
	out, err := exec.Command("nvidia-smi", "--id="+uuid, "--query-gpu="+fields, "--format=csv,noheader,nounits").Output()
	return string(out), err
}

// begin notes the state before anything is measured, once. A nil watch does nothing.
func (w *gpuWatch) begin() {
	if w != nil && !w.begun {
		w.begun, w.before = true, w.state()
	}
}

// log adds to env what is known of the GPU that it is of. A nil watch adds nothing.
func (w *gpuWatch) log(env *results.Env) {
	if w == nil {
		return
	}
	env.After = w.state()
	env.Driver, env.Before = w.driver, w.before
}

// state is how the GPU fares, now or not long ago; nil where nvidia-smi does not tell.
func (w *gpuWatch) state() *results.GPUState {
	if !w.at.IsZero() && time.Since(w.at) < gpuStateAge {
		return w.last
	}
	w.last = nil
	for _, fields := range []string{gpuFields, gpuFieldsOnce} {
		text, err := w.ask(w.uuid, fields)
		if err != nil {
			continue
		}
		if driver, s, err := parseGPUState(text); err == nil {
			w.driver, w.last = driver, &s
			break
		}
	}
	w.at = time.Now()
	return w.last
}

// parseGPUState reads a line of nvidia-smi with the values of gpuFields. What it does not know,
// such as "[N/A]", is left out.
func parseGPUState(text string) (driver string, s results.GPUState, err error) {
	r := csv.NewReader(strings.NewReader(strings.TrimSpace(text)))
	r.TrimLeadingSpace = true
	values, err := r.Read()
	if err != nil {
		return "", s, fmt.Errorf("nvidia-smi: %q: %w", text, err)
	}
	if want := strings.Count(gpuFields, ",") + 1; len(values) != want {
		return "", s, fmt.Errorf("nvidia-smi: %q has %d values, want %d", text, len(values), want)
	}
	number := func(i int, scale float64) float64 {
		v, err := strconv.ParseFloat(strings.TrimSpace(values[i]), 64)
		if err != nil {
			return 0
		}
		return v * scale
	}
	s = results.GPUState{
		Clock: number(1, 1e6), MemoryClock: number(2, 1e6), Power: number(3, 1), Temperature: number(4, 1),
		Slowed: slowedBy(strings.TrimSpace(values[5])),
	}
	if !strings.HasPrefix(values[0], "[") {
		driver = strings.TrimSpace(values[0])
	}
	return driver, s, nil
}

// clockReasons are NVML's reasons for clocks below the highest, by bit.
var clockReasons = []string{
	"idle", "applications clocks", "software power cap", "hardware slowdown", "sync boost",
	"software thermal slowdown", "hardware thermal slowdown", "hardware power brake", "display clocks",
}

// slowedBy names the bits of a number such as 0x0000000000000004.
func slowedBy(hex string) (reasons []string) {
	bits, err := strconv.ParseUint(hex, 0, 64)
	if err != nil {
		return nil
	}
	for i := range 64 {
		if bits>>i&1 == 0 {
			continue
		}
		if i < len(clockReasons) {
			reasons = append(reasons, clockReasons[i])
		} else {
			reasons = append(reasons, fmt.Sprintf("reason %#x", uint64(1)<<i))
		}
	}
	return reasons
}
