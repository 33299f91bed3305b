package generated_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"quadrant/evals/generated"
	"quadrant/evals/tasks"
)

// prose is text with a grammar of its own: sentences of drawn words, and Go-like code.
func prose(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 1))
	nouns := strings.Fields("house garden window river mountain captain whale sailor letter morning evening village kitchen table forest winter summer")
	verbs := strings.Fields("watched carried followed opened painted crossed remembered counted answered gathered")
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "The %s quietly %s the %s near another %s before some other %s came. ",
			nouns[r.IntN(len(nouns))], verbs[r.IntN(len(verbs))], nouns[r.IntN(len(nouns))], nouns[r.IntN(len(nouns))], nouns[r.IntN(len(nouns))])
		if r.IntN(4) == 0 {
			b.WriteString("\n")
		}
	}
	return b.String()
}

func code(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 2))
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "func call%d(values []int) {\n\tprint(values[%d], other(values))\n}\n\n", r.IntN(1000), r.IntN(9))
	}
	return b.String()
}

func text() generated.Text {
	doc := func(name, text string) generated.Document { return generated.Document{Name: name, Text: []byte(text)} }
	return generated.Text{
		Name:  "made",
		Train: []generated.Document{doc("a.txt", prose(1, 60_000)), doc("a.go", code(1, 20_000))},
		Held:  []generated.Document{doc("b.txt", prose(2, 20_000)), doc("c.txt", prose(3, 20_000)), doc("b.go", code(2, 10_000))},
	}
}

// Every kind makes as many questions as it is asked for, the same each time, with the
// right answer in every place about as often, and choices that differ.
func TestKinds(t *testing.T) {
	for _, k := range generated.Kinds {
		t.Run(k.Name, func(t *testing.T) {
			items := 200
			if k.Name == "lexdec" { // has no more words
				items = 12
			}
			set, err := k.Make(text(), items, 7)
			if err != nil {
				t.Fatal(err)
			}
			if len(set.Docs) != items {
				t.Errorf("%d questions, want %d", len(set.Docs), items)
			}
			again, err := k.Make(text(), items, 7)
			if err != nil || !reflect.DeepEqual(set, again) {
				t.Errorf("made twice, it differs: %v", err)
			}
			other, err := k.Make(text(), items, 8)
			if err != nil || reflect.DeepEqual(set.Docs, other.Docs) {
				t.Errorf("another seed makes the same: %v", err)
			}
			gold := map[int]int{}
			for _, d := range set.Docs {
				gold[d.Gold]++
				seen := map[string]bool{}
				for _, r := range d.Requests {
					if r.Continuation == "" || seen[r.Continuation] || strings.TrimRight(r.Context, " \n\t") != r.Context && k.Name != "wordswap" && k.Name != "continuation" && k.Name != "bracket" {
						t.Errorf("request %q", r)
					}
					seen[r.Continuation] = true
				}
			}
			n := len(set.Docs[0].Requests)
			if c := set.Task.Chance; n > 1 && c != 1/float64(n) {
				t.Errorf("chance %v of %d choices", c, n)
			}
			for place := range n {
				share := float64(gold[place]) / float64(len(set.Docs))
				if math.Abs(share-1/float64(n)) > 4*math.Sqrt(0.25/float64(len(set.Docs))) {
					t.Errorf("the right choice is number %d in %.0f %%", place, 100*share)
				}
			}
		})
	}
}

// What a question says is so.
func TestQuestionsAreRight(t *testing.T) {
	made := text()
	train := string(made.Train[0].Text) + string(made.Train[1].Text)
	held := ""
	for _, d := range made.Held {
		held += string(d.Text) + "\x00"
	}
	for _, k := range generated.Kinds {
		set, err := k.Make(made, 40, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range set.Docs {
			right := d.Requests[d.Gold]
			whole := right.Context + right.Continuation
			switch k.Name {
			case "lastword_seen", "lastword_new":
				if seen := d.Fields.Get("seen"); seen != (k.Name == "lastword_seen") || seen != strings.Contains(right.Context, strings.TrimSpace(right.Continuation)) {
					t.Errorf("%s: %q, seen %v", k.Name, whole, seen)
				}
			case "lastword", "continuation", "cloze4", "wordswap", "bracket":
				if !strings.Contains(held, whole) {
					t.Errorf("%s: %q is not in the held-out text", k.Name, whole)
				}
			case "lexdec":
				words := strings.FieldsFunc(train, func(r rune) bool { return r < 'a' || r > 'z' })
				for i, r := range d.Requests {
					if known := slices.Contains(words, strings.TrimSpace(r.Continuation)); known != (i == d.Gold) {
						t.Errorf("lexdec: %q is a word: %v", r.Continuation, known)
					}
				}
			case "arith4":
				lines := strings.Split(strings.TrimSpace(whole), "\n")
				for _, l := range lines {
					var a, b, c int
					var op rune
					if _, err := fmt.Sscanf(l, "%d%c%d=%d", &a, &op, &b, &c); err != nil || op == '+' && a+b != c || op == '-' && a-b != c {
						t.Errorf("arith4: %q", l)
					}
				}
			case "recall":
				if key := right.Context[len(right.Context)-1:]; !strings.Contains(right.Context, key+right.Continuation+" ") {
					t.Errorf("recall: %q", whole)
				}
			}
		}
	}
}

func TestErrors(t *testing.T) {
	bracket, _ := generated.Named("bracket")
	prosaic := text()
	prosaic.Held = prosaic.Held[:2]
	if _, err := bracket.Make(prosaic, 4, 1); err == nil || !strings.Contains(err.Error(), "no Go code") {
		t.Errorf("error %v", err)
	}
	for _, k := range generated.Kinds {
		_, err := k.Make(generated.Text{Name: "nothing"}, 4, 1)
		if synthetic := k.Name == "arith4" || k.Name == "recall"; synthetic != (err == nil) {
			t.Errorf("%s of nothing: %v", k.Name, err)
		}
		if _, err := k.Make(text(), 0, 1); err == nil {
			t.Errorf("%s makes 0 items", k.Name)
		}
	}
	if _, ok := generated.Named("poetry"); ok {
		t.Error("there is a task called poetry")
	}
	if _, err := generated.NewBaseline(8, nil); err == nil {
		t.Error("there are 8-grams")
	}
}

// The probabilities of what may follow add up to one, after any history; and they are
// what the definition gives by hand.
func TestBaseline(t *testing.T) {
	g, err := generated.NewBaseline(3, []generated.Document{{Text: []byte("abab")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []string{"", "a", "ab", "xab", "ba", "zz", "aaaa"} {
		sum := 0.0
		for b := range 256 {
			sum += g.Prob([]byte(h), byte(b))
		}
		if math.Abs(sum-1) > 1e-12 {
			t.Errorf("after %q: probabilities add up to %v", h, sum)
		}
	}
	// Of four bytes two are a, of two kinds; a is followed by b twice, one kind; ab by a once.
	zero := (2 + 2.0/256) / (4 + 2)
	one := (0 + 1*zero) / (2 + 1) // a after a
	if got := g.Prob([]byte("a"), 'a'); math.Abs(got-one) > 1e-15 {
		t.Errorf("P(a|a) is %v, want %v", got, one)
	}
	b := (1 + 1*zero) / (1 + 1) // a after b
	two := (1 + 1*b) / (1 + 1)  // a after ab
	if got := g.Prob([]byte("ab"), 'a'); math.Abs(got-two) > 1e-15 {
		t.Errorf("P(a|ab) is %v, want %v", got, two)
	}
	a := g.Answer(tasks.Request{Context: "ab", Continuation: "ab"})
	if !a.Greedy || a.Tokens != 2 || math.Abs(a.LogLikelihood-math.Log(two*g.Prob([]byte("aba"), 'b'))) > 1e-12 {
		t.Errorf("answer %+v", a)
	}
	small, err1 := g.Order(2)
	fresh, err2 := generated.NewBaseline(2, []generated.Document{{Text: []byte("abab")}})
	if err1 != nil || err2 != nil || small.Prob([]byte("ab"), 'a') != fresh.Prob([]byte("ab"), 'a') || small.Name() != "2-gram" {
		t.Errorf("a 2-gram of 3-grams differs from one of its own: %v, %v", err1, err2)
	}
	if _, err := g.Order(4); err == nil {
		t.Error("3-grams make 4-grams")
	}
	if g.Answer(tasks.Request{Context: "ab", Continuation: "aa"}).Greedy {
		t.Error("aa is greedy after ab")
	}
}

// Counting bytes knows words from what is none, and no sums.
func TestBaselines(t *testing.T) {
	made := text()
	g, err := generated.NewBaseline(5, made.Train)
	if err != nil {
		t.Fatal(err)
	}
	for name, atLeast := range map[string]float64{"lexdec": 0.9, "wordswap": 0.7, "bracket": 0.8, "cloze4": 0.25} {
		k, _ := generated.Named(name)
		set, err := k.Make(made, 100, 1)
		if err != nil {
			t.Fatal(err)
		}
		scores, err := g.Scores(set)
		if err != nil {
			t.Fatal(err)
		}
		if scores[0].Value < atLeast {
			t.Errorf("%s: %v, want at least %v", name, scores[0].Value, atLeast)
		}
	}
}
