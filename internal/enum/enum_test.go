package enum

import "testing"

func TestNames(t *testing.T) {
	n := Names{"a", "b"}
	for i, want := range map[uint8]string{0: "unset", 1: "a", 2: "b", 3: "unset", 255: "unset"} {
		if got := n.Of(i); got != want {
			t.Errorf("name of %d is %q, want %q", i, got, want)
		}
	}
	if v, err := n.Parse("letter", []byte("b")); v != 2 || err != nil {
		t.Errorf("b is %d, %v", v, err)
	}
	for _, text := range []string{"", "c", "unset", "A"} {
		if _, err := n.Parse("letter", []byte(text)); err == nil {
			t.Errorf("%q is a letter", text)
		} else if want := `letter "` + text + `" is unknown: want one of a, b`; err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
