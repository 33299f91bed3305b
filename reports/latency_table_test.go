package reports

import (
	"strings"
	"testing"

	"quadrant/results"
)

// Runs are gathered by model, setting and length; a model's rows stand together however
// runs alternated.
func TestLatencyTable(t *testing.T) {
	of := func(model, metric string, gen, run int, seconds float64) results.Result {
		return results.Result{
			Metric: metric, Values: []float64{seconds}, Subject: results.Subject{Model: model, DType: "f32"},
			Env:   results.Env{Device: "cpu/go", Threads: 2},
			Point: results.Point{Prompt: 100, Gen: gen, Batch: 4, Run: run},
		}
	}
	with := func(r results.Result, values ...float64) results.Result {
		r.Values = values
		return r
	}
	table := LatencyTable([]results.Result{
		of("a", "prefill", 0, 1, 0.5), of("a", "generation", 8, 1, 1), of("b", "generation", 8, 1, 9),
		of("a", "prefill", 0, 2, 1.5), of("a", "generation", 8, 2, 3), of("a", "generation", 8, 3, 2),
		// a step of a takes 0.1 s on the median, and moves 5 bytes; the device moves 100 in a second
		with(of("a", "token", 8, 1, 0.1), 0.1, 0.1, 0.1, 0.1, 0.1, 0.3, 9), with(of("a", "token_bytes", 8, 0, 0), 5),
		with(of("b", "token", 8, 1, 0.1), 0.1, 0.1, 0.1, 0.1, 0.1, 0.3, 9), with(of("c", "token_bytes", 8, 0, 0), 5),
		{Metric: "copy_rate", Env: results.Env{Device: "cpu/go", Threads: 2}, Values: []float64{100}},
		{Metric: "copy_rate", Env: results.Env{Device: "cpu/go", Threads: 1}, Values: []float64{7}},
	})
	var b strings.Builder
	if err := table.Write(&b, "csv"); err != nil {
		t.Fatal(err)
	}
	want := `model,dtype,device,threads,batch,test,prompt,gen,runs,median_s,min_s,max_s,tokens_per_s,mbu
a,f32,cpu/go,2,4,pp100,100,1,2,1,0.5,1.5,400,
a,f32,cpu/go,2,4,pp100+tg8,100,8,3,2,1,3,16,0.5
b,f32,cpu/go,2,4,pp100+tg8,100,8,1,9,9,9,3.5555555555555554,
`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
