package python_test

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"quadrant/internal/python"
)

// The wanted values in this file are what CPython 3.11 prints.

func TestRandom(t *testing.T) {
	r := python.NewRandom(42)
	for i, want := range []float64{0.6394267984578837, 0.025010755222666936, 0.27502931836911926} {
		if got := r.Random(); got != want {
			t.Errorf("number %d of random.Random(42) is %v, want %v", i, got, want)
		}
	}
	xs := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	python.NewRandom(42).Shuffle(len(xs), func(i, j int) { xs[i], xs[j] = xs[j], xs[i] })
	if want := []int{7, 3, 2, 8, 5, 6, 9, 4, 0, 1}; !slices.Equal(xs, want) {
		t.Errorf("shuffled %v, want %v", xs, want)
	}
	picked := make([]int32, 6)
	python.NewRandom(0).Choices(picked, 1000)
	if want := []int32{844, 757, 420, 258, 511, 404}; !slices.Equal(picked, want) {
		t.Errorf("choices %v, want %v", picked, want)
	}
	for n, want := range map[int]int{1: 0, 2: 1, 3: 1, 1 << 20: 924283, math.MaxInt32: 2075443164} {
		if got := python.NewRandom(1234).Below(n); got != want {
			t.Errorf("randrange(%d) is %d, want %d", n, got, want)
		}
	}
}

func TestSample(t *testing.T) {
	for _, c := range []struct {
		n    int
		want []int
	}{
		{10, []int{7, 1, 0}},
		{100, []int{99, 56, 14}},
		{21, []int{14, 3, 0, 2, 1}},
		{22, []int{14, 3, 0, 2, 18}},
		{50, []int{49, 28, 7, 0, 5, 37}},
		{100, []int{99, 56, 14, 0, 11, 74, 4, 85, 88, 10, 12, 98, 45, 30, 2, 3, 44, 82, 79, 61}},
		{1000, []int{989, 796, 451, 119, 7, 92, 932, 965, 961, 826, 596, 35, 687, 709, 85, 100, 784, 363, 242, 17}},
		{7, []int{6, 3, 0, 4, 5, 2, 1}},
		{5, []int{}},
	} {
		if got := python.NewRandom(1234).Sample(c.n, len(c.want)); !slices.Equal(got, c.want) {
			t.Errorf("sample(range(%d), %d) is %v, want %v", c.n, len(c.want), got, c.want)
		}
	}
}

func TestJSON(t *testing.T) {
	v := []any{
		"a\"\\/\b\f\n\r\t\x00\x1f\x7f é\u2028 😀 <>&", 1.5, 1e-5, 1e16, 1e22, 123456789.0, 0.1, math.Copysign(0, -1), true, nil,
		python.Object{{"a", []any{1, int64(2)}}, {"b", python.Object{}}}, []string{}, math.Inf(1), math.NaN(), 1e-7,
		json.Number("12345678901234567890"), json.Number("1.50"), 1e15, 0.0001, math.Inf(-1),
	}
	const rest = `, 1.5, 1e-05, 1e+16, 1e+22, 123456789.0, 0.1, -0.0, true, null, ` +
		`{"a": [1, 2], "b": {}}, [], Infinity, NaN, 1e-07, 12345678901234567890, 1.5, 1000000000000000.0, 0.0001, -Infinity]`
	for want, j := range map[string]python.JSON{
		`["a\"\\/\b\f\n\r\t\u0000\u001f\u007f \u00e9\u2028 \ud83d\ude00 <>&"` + rest: {ASCII: true},
		`["a\"\\/\b\f\n\r\t\u0000\u001f` + "\x7f é\u2028 😀 <>&" + `"` + rest:         {},
	} {
		got, err := j.Dumps(v)
		if err != nil || got != want {
			t.Errorf("%+v: %s, %v; want %s", j, got, err, want)
		}
	}
	got, err := python.JSON{Indent: 2}.Dumps(python.Object{{"a", []int{1, 2}}, {"b", []any{}}, {"c", []python.Object{{{"d", "e"}}}}})
	if want := "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": [],\n  \"c\": [\n    {\n      \"d\": \"e\"\n    }\n  ]\n}"; err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
	if _, err := (python.JSON{}).Dumps(struct{}{}); err == nil {
		t.Error("a struct has JSON")
	}
}

func TestCapitalize(t *testing.T) {
	for s, want := range map[string]string{
		"ǅunGLa ÉCOLE ßtraße": "ǅungla école ßtraße", "ßa": "Ssa", "ŉA": "ʼNa", "ΣΑΣ": "Σας", "ﬁNE": "Fine", "ǆX": "ǅx", "": "", "1aB": "1ab",
		"the Man (UK)": "The man (uk)", "'Tis IT": "'tis it", "İI": "İi",
	} {
		if got := python.Capitalize(s); got != want {
			t.Errorf("%q becomes %q, want %q", s, got, want)
		}
	}
}

func TestStrip(t *testing.T) {
	const s = "\x1c\u3000 \u0085a b\u00a0\u2029\x1f"
	if python.Strip(s) != "a b" || python.LStrip(s) != s[len("\x1c\u3000 \u0085"):] || python.RStrip(s) != s[:len(s)-len("\u00a0\u2029\x1f")] {
		t.Errorf("%q becomes %q", s, python.Strip(s))
	}
}
