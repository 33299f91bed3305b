package main

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"quadrant/results"
)

func TestParseGPUState(t *testing.T) {
	driver, got, err := parseGPUState("580.159.04, 1980, 3201, 612.35, 54, 0x0000000000000204\n")
	want := results.GPUState{Clock: 1.98e9, MemoryClock: 3.201e9, Power: 612.35, Temperature: 54, Slowed: []string{"software power cap", "reason 0x200"}}
	if err != nil || driver != "580.159.04" || !reflect.DeepEqual(got, want) {
		t.Errorf("%q, %+v, %v; want %+v", driver, got, err, want)
	}
	driver, got, err = parseGPUState("580.1, [N/A], [N/A], [Not Supported], [N/A], [N/A]\n")
	if err != nil || driver != "580.1" || !reflect.DeepEqual(got, results.GPUState{}) {
		t.Errorf("nothing told: %q, %+v, %v", driver, got, err)
	}
	for _, text := range []string{"", "No devices were found", "580.1, 1, 2"} {
		if _, _, err := parseGPUState(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// An older driver is asked by the older name; what was learnt a moment ago is not asked again;
// without nvidia-smi nothing is known.
func TestGPUWatch(t *testing.T) {
	asked := 0
	w := &gpuWatch{uuid: "GPU-1", ask: func(uuid, fields string) (string, error) {
		asked++
		if uuid != "GPU-1" || strings.Contains(fields, "event") {
			return "", errors.New("no such field")
		}
		return "470.1, 1500, 1000, 100, 40, 0x0", nil
	}}
	for range 3 {
		if s := w.state(); s == nil || s.Clock != 1.5e9 || s.Slowed != nil || w.driver != "470.1" {
			t.Errorf("%+v, driver %q", s, w.driver)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times, want once by each name", asked)
	}
	none := &gpuWatch{ask: func(string, string) (string, error) { return "", errors.New("no nvidia-smi") }}
	if s := none.state(); s != nil {
		t.Errorf("%+v without nvidia-smi", s)
	}
}

// A result of a GPU is written with the state it is in then, others with none.
func TestSinkLogsGPUs(t *testing.T) {
	s := &sink{have: map[string]results.Result{}}
	s.gpus = map[string]*gpuWatch{"cuda/X": {ask: func(string, string) (string, error) { return "1.0, 2, 3, 4, 5, 0x1", nil }}}
	for device, clock := range map[string]float64{"cuda/X": 2e6, "cpu/go": 0} {
		r := results.Result{Env: results.Env{Device: device}, Metric: "read_rate"}
		if err := s.write(r); err != nil {
			t.Fatal(err)
		}
		after := s.have[r.Key()].Env.After
		if clock == 0 && after != nil || clock > 0 && (after == nil || after.Clock != clock) {
			t.Errorf("%s: %+v", device, after)
		}
	}
}
