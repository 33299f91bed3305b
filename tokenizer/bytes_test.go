package tokenizer

import (
	"slices"
	"strings"
	"testing"
)

func TestBytes(t *testing.T) {
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	for _, text := range []string{"", "héllo\n", "\x00\xff", string(all[:])} {
		ids, err := Bytes{}.Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		for i, id := range ids {
			if id != int32(text[i]) {
				t.Errorf("%q: id %d is %d, want the byte %d", text, i, id, text[i])
			}
		}
		if back, err := (Bytes{}).Decode(ids); err != nil || back != text {
			t.Errorf("%q became %q (%v)", text, back, err)
		}
	}
	if ids, _ := (Bytes{}).Encode("é"); !slices.Equal(ids, []int32{0xc3, 0xa9}) {
		t.Errorf("é is %v, want [195 169]", ids)
	}
	if (Bytes{}).Name() != "bytes" || (Bytes{}).Vocab() != 256 {
		t.Errorf("name %s, vocab %d", Bytes{}.Name(), Bytes{}.Vocab())
	}
}

func TestBytesDecodeErrors(t *testing.T) {
	for _, c := range []struct {
		ids  []int32
		want string
	}{
		{[]int32{65, 256}, "tokenizer: bytes: id 256 at position 1 is not in the vocabulary, want 0 to 255"},
		{[]int32{-1}, "id -1 at position 0"},
	} {
		if text, err := (Bytes{}).Decode(c.ids); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v became %q, error %v, want one with %q", c.ids, text, err, c.want)
		}
	}
}
