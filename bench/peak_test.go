package bench_test

import (
	"testing"
	"time"

	"quadrant/bench"
	"quadrant/flops"
)

func TestMatMulRate(t *testing.T) {
	var meter flops.Meter
	rate, err := bench.MatMulRate(&meter, time.Microsecond)
	if err != nil || !(rate > 0) {
		t.Errorf("%v FLOP/s, %v", rate, err)
	}
	if each := int64(2 * 768 * 768 * 768); meter.FLOPs < 2*each || meter.FLOPs%(2*each) != 0 {
		t.Errorf("it multiplied %d FLOPs, want pairs of %d", meter.FLOPs, each)
	}
}
