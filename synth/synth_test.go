package synth

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// solvers answer the questions of each task from the sequence alone, or the facts learned.
var solvers = map[string]func(t *Task, ids []int32, at int) int32{
	"mqar": func(t *Task, ids []int32, at int) int32 {
		for i := 0; i < 2*t.Difficulty.Items; i += 2 {
			if ids[i] == ids[at] {
				return ids[i+1]
			}
		}
		return -1
	},
	"selcopy": func(t *Task, ids []int32, at int) int32 {
		data := slices.DeleteFunc(slices.Clone(ids[:len(ids)-t.Difficulty.Items]), func(id int32) bool { return id == 0 })
		return data[at-(len(ids)-t.Difficulty.Items)]
	},
	"induction": func(t *Task, ids []int32, at int) int32 { return ids[slices.Index(ids, ids[at])+1] },
	"copy":      func(t *Task, ids []int32, at int) int32 { return ids[at-t.Difficulty.Items] },
	"facts": func(t *Task, ids []int32, at int) int32 {
		first := at / 5 * 5
		for _, f := range t.table {
			if slices.Equal(f[:3], ids[first:first+3]) {
				return f[at-first+1]
			}
		}
		return -1
	},
}

// Every question has one answer, which can be told from what stands before it; sequences are
// functions of their number.
func TestTasksCanBeSolved(t *testing.T) {
	for _, k := range Kinds {
		t.Run(k.Name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				d := Difficulty{Symbols: rapid.IntRange(8, 40).Draw(rt, "symbols")}
				if k.Name != "induction" {
					d.Items = rapid.IntRange(1, 8).Draw(rt, "items")
				}
				if k.Default.Length > 0 {
					d.Length = rapid.IntRange(4*max(1, d.Items), 90).Draw(rt, "length")
				}
				task, err := k.New(d, rapid.Uint64().Draw(rt, "seed"))
				if err != nil {
					rt.Fatal(err)
				}
				ids, targets := make([]int32, task.Length), make([]int32, task.Length)
				number := rapid.Int64Range(0, 2*Test).Draw(rt, "number")
				task.Sequence(number, ids, targets)
				asked := 0
				for i, target := range targets {
					if ids[i] < 0 || int(ids[i]) >= task.Vocab || target < -1 || int(target) >= task.Vocab {
						rt.Fatalf("id %d, target %d of a vocabulary of %d", ids[i], target, task.Vocab)
					}
					if target < 0 {
						continue
					}
					asked++
					if got := solvers[k.Name](task, ids, i); got != target {
						rt.Fatalf("at %d of %v the answer is %d, want %d", i, ids, got, target)
					}
				}
				want := task.Difficulty.Items
				switch k.Name {
				case "mqar":
					want = task.Length - 2*task.Difficulty.Items
				case "facts":
					want = 2 * task.Difficulty.PerPass
				}
				if asked != want {
					rt.Fatalf("%d questions, want %d", asked, want)
				}
				again, answers := make([]int32, task.Length), make([]int32, task.Length)
				task.Sequence(number, again, answers)
				if !slices.Equal(ids, again) || !slices.Equal(targets, answers) {
					rt.Fatal("the same number gives another sequence")
				}
			})
		})
	}
}

// Sequences differ, and with them what is asked.
func TestSequencesDiffer(t *testing.T) {
	for _, k := range Kinds {
		task, err := k.New(Difficulty{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for i := range int64(20) {
			ids, targets := make([]int32, task.Length), make([]int32, task.Length)
			task.Sequence(i, ids, targets)
			seen[string(bytesOf(ids))] = true
			task.Sequence(Test+i, ids, targets)
			seen[string(bytesOf(ids))] = true
		}
		if len(seen) != 40 {
			t.Errorf("%s: of 40 sequences %d differ", k.Name, len(seen))
		}
	}
}

func bytesOf(ids []int32) (b []byte) {
	for _, id := range ids {
		b = append(b, byte(id), byte(id>>8))
	}
	return b
}

func TestDifficulties(t *testing.T) {
	for _, c := range []struct {
		kind string
		d    Difficulty
		want string
	}{
		{"mqar", Difficulty{Items: 20, Length: 64}, "the length is 64, want at least 80"},
		{"mqar", Difficulty{Items: 70, Length: 600}, "70 pairs of 64 keys"},
		{"mqar", Difficulty{PerPass: 2}, "no such setting as the 2 given"},
		{"copy", Difficulty{Length: 9}, "no such setting as the 9 given"},
		{"induction", Difficulty{Items: 2}, "2 items: want 1"},
		{"facts", Difficulty{Items: 40, Symbols: 4}, "40 facts of 64 keys"},
		{"selcopy", Difficulty{Items: -1}, "want sizes of 1"},
	} {
		k, err := Named(c.kind)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.New(c.d, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s of %+v: error %v, want one with %q", c.kind, c.d, err, c.want)
		}
	}
	if _, err := Named("mqr"); err == nil || !strings.Contains(err.Error(), "want one of [mqar selcopy induction copy facts]") {
		t.Errorf("error %v, want one that lists the tasks", err)
	}
}
