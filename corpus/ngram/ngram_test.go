package ngram

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// plain is the definition, with maps of strings: P(b|h) = (c(hb) + t(h)·P(b|h′)) / (c(h·) + t(h)),
// where t(h) is the number of different bytes that followed h, and h′ is h without its first.
func plain(text string, n int, history string, b byte) float64 {
	lower := 1.0 / 256
	if len(history) > n-1 {
		history = history[len(history)-n+1:]
	}
	if history != "" {
		lower = plain(text, n, history[1:], b)
	}
	followed, count, kinds := 0.0, 0.0, map[byte]bool{}
	for i := 0; i+len(history) < len(text); i++ {
		if text[i:i+len(history)] == history {
			next := text[i+len(history)]
			followed++
			kinds[next] = true
			if next == b {
				count++
			}
		}
	}
	if followed == 0 {
		return lower
	}
	return (count + float64(len(kinds))*lower) / (followed + float64(len(kinds)))
}

func TestProbIsTheDefinition(t *testing.T) {
	text := "abracadabra, abracadabra: a bra and a cad"
	m, err := New(4)
	if err != nil {
		t.Fatal(err)
	}
	m.Count([]byte(text))
	for n := 1; n <= 4; n++ {
		o, err := m.Order(n)
		if err != nil {
			t.Fatal(err)
		}
		for _, history := range []string{"", "a", "ab", "bra", "abra", "zzz", "zbra", " "} {
			for _, b := range []byte("abcdz, ") {
				if got, want := o.Prob([]byte(history), b), plain(text, n, history, b); math.Abs(got-want) > 1e-12 {
					t.Errorf("%s: P(%q|%q) is %v, want %v", o.Name(), b, history, got, want)
				}
			}
		}
	}
}

// Probabilities sum to 1 after any history, and counts of a table that has grown are right.
func TestProbsSumToOne(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, 20_000)
	for i := range text {
		text[i] = byte(r.IntN(7) * r.IntN(30))
	}
	m, _ := New(5)
	m.Count(text)
	for range 200 {
		at := r.IntN(len(text) - 6)
		history, sum := text[at:at+r.IntN(6)], 0.0
		for b := range 256 {
			sum += m.Prob(history, byte(b))
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Fatalf("after %v probabilities sum to %v", history, sum)
		}
	}
}

func TestBits(t *testing.T) {
	m, _ := New(3)
	if got := m.Bits([]byte("abc")); got != 16 { // two bytes of which nothing is known
		t.Errorf("untrained: %v bits, want 16", got)
	}
	m.Count([]byte(strings.Repeat("ab", 5000)))
	if got := m.Bits([]byte("abababab")) / 7; got > 0.01 {
		t.Errorf("%v bits a byte for what was always so", got)
	}
	if _, err := New(0); err == nil {
		t.Error("0-grams are taken")
	}
	if _, err := New(8); err == nil {
		t.Error("8-grams are taken")
	}
	if _, err := m.Order(4); err == nil {
		t.Error("an order above that counted is taken")
	}
}
