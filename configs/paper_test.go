package configs

import (
	"math"
	"strings"
	"testing"
)

// TestPaper compares the paper's facts with each other and with the presets.
func TestPaper(t *testing.T) {
	p, err := LoadPaper()
	if err != nil {
		t.Fatal(err)
	}
	if tasks, rows := len(p.Evaluation.Tasks), len(p.Evaluation.Rows); tasks != 7 || rows != 17 {
		t.Errorf("the table has %d tasks and %d rows, want 7 and 17", tasks, rows)
	}
	for i, row := range p.Evaluation.Rows {
		sum := 0.0
		for _, s := range row.Scores {
			sum += s.Value
			if s.Value <= 0 || s.Value >= 1 || s.Status != row.Average.Status {
				t.Errorf("row %d (%s): score %v", i, row.Model, s)
			}
		}
		if mean := sum / 7; math.Abs(mean-row.Average.Value) > 0.0011 {
			t.Errorf("row %d (%s): average is %v, but the scores' is %.4f", i, row.Model, row.Average.Value, mean)
		}
		if row.FLOPs.Status != Unverified || row.Active.Value > row.Total.Value {
			t.Errorf("row %d (%s): %+v", i, row.Model, row)
		}
	}
	for _, m := range p.Models {
		preset, err := Load(m.Preset)
		if err != nil {
			t.Error(err)
			continue
		}
		c := preset.Config
		mamba, moe := c.Layers[0].Sequence.Mamba, c.Layers[1].Channel.MoE
		total, active := count(c)
		for name, pair := range map[string][2]float64{
			"layers":            {m.Layers.Value, float64(len(c.Layers))},
			"d_model":           {m.Dim.Value, float64(c.Dim)},
			"expert_hidden":     {m.Hidden.Value, float64(moe.Expert.Hidden)},
			"experts":           {m.Experts.Value, float64(moe.Experts)},
			"top_k":             {m.TopK.Value, float64(moe.Router.TopK)},
			"d_inner":           {m.Inner.Value, float64(mamba.Inner)},
			"dt_rank":           {m.Rank.Value, float64(mamba.Rank)},
			"d_state":           {m.State.Value, float64(mamba.State)},
			"d_conv":            {m.Conv.Value, float64(mamba.Conv)},
			"vocab":             {m.Vocab.Value, float64(c.Vocab)},
			"total_parameters":  {m.Total.Value, float64(total)},
			"active_parameters": {m.Active.Value, float64(active)},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%s: %s is %v, but %v in preset %s", m.Name, name, pair[0], pair[1], m.Preset)
			}
		}
	}
	if last := p.Sinkhorn.Derived[3]; last.PaperIterations != nil || last.OnesIterations != (Value{18, Derived}) {
		t.Errorf("the last of the Sinkhorn rows is %+v", last)
	}
}

func TestPaperErrors(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"0.365 U", "0.365", `have "0.365", want a value, a space and a status, one of S, D, 2, U`},
		{"0.365 U", "0.365 X", `evaluation.rows[0].scores[0]: status "X" is unknown: want one of S, D, 2, U`},
		{"0.365 U", "much U", `have "much", want a finite number before the status`},
		{"0.365 U, ", "", "evaluation.rows[0] has 6 scores for 7 tasks"},
		{"      average: 0.439 U\n", "", "configs: p.yaml: evaluation.rows[0].average is missing"},
		{"layers: 30 S", "layer: 30 S", `models[0]: field "layer" is unknown`},
		{"precision: bf16 2", "precision: 2", "training.precision: "},
	} {
		_, err := parsePaper("p.yaml", []byte(strings.Replace(string(paper), c.old, c.new, 1)))
		wantError(t, err, c.want)
	}
	if s := Status(0).String() + Primary.String() + Unverified.String(); s != "unsetSU" {
		t.Errorf("statuses are written %s", s)
	}
}
