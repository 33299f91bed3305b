package checkpoint

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Pickles, written piece by piece as CPython's pickler does in protocol 2.
func pInt(n int) string { return "J" + string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
func pLong(n int64) string {
	return "\x8a\x08" + string(binary.LittleEndian.AppendUint64(nil, uint64(n)))
}
func pText(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}
func pInts(n ...int) string {
	s := "("
	for _, v := range n {
		s += pLong(int64(v))
	}
	return s + "t"
}

func pStorage(kind, key string, count int) string {
	return "(" + pText("storage") + "ctorch\n" + kind + "\n" + pText(key) + pText("cpu") + pLong(int64(count)) + "tQ"
}

func pTensor(kind, key string, count, offset int, shape, strides []int) string {
	return "ctorch._utils\n_rebuild_tensor_v2\n(" + pStorage(kind, key, count) + pLong(int64(offset)) + pInts(shape...) + pInts(strides...) +
		"\x89ccollections\nOrderedDict\n)RtR"
}

// pDict is a whole pickle of a dict, its keys and values in turn.
func pDict(items ...string) string {
	s := "\x80\x02}("
	for i, item := range items {
		if i%2 == 0 {
			item = pText(item)
		}
		s += item
	}
	return s + "u."
}

// A zipped is an entry of a zip file to write.
type zipped struct {
	name   string
	data   string
	size   int64 // if not 0, so many zeros instead of data, which a sparse file does not store
	method uint16
	flags  uint16
	local  string // its name where it lies, if that is another
	claim  int64  // its offset in the directory, if not 0
	real   int64  // its uncompressed size in the directory, if not 0
}

// writeZip writes a zip file. zip64 puts all sizes and offsets into ZIP64 fields.
func writeZip(w io.WriterAt, entries []zipped, zip64 bool) error {
	var directory []byte
	at := int64(0)
	put := func(b []byte) error {
		_, err := w.WriteAt(b, at)
		at += int64(len(b))
		return err
	}
	le := binary.LittleEndian
	for _, e := range entries {
		size := int64(len(e.data))
		if e.size != 0 {
			size = e.size
		}
		local := e.name
		if e.local != "" {
			local = e.local
		}
		offset := at
		if e.claim != 0 {
			offset = e.claim
		}
		whole := size
		if e.real != 0 {
			whole = e.real
		}
		h := []byte(zipLocal)
		h = le.AppendUint16(h, 45)
		h = le.AppendUint16(h, e.flags)
		h = le.AppendUint16(h, e.method)
		h = append(h, make([]byte, 16)...) // time, date, checksum, sizes: the directory's count
		h = le.AppendUint16(h, uint16(len(local)))
		h = le.AppendUint16(h, 0)
		if err := put(append(h, local...)); err != nil {
			return err
		}
		if e.size != 0 {
			at += e.size
		} else if err := put([]byte(e.data)); err != nil {
			return err
		}

		c := []byte(zipCentral)
		c = append(c, 45, 0, 45, 0)
		c = le.AppendUint16(c, e.flags)
		c = le.AppendUint16(c, e.method)
		c = append(c, make([]byte, 8)...) // time, date, checksum
		var extra []byte
		if zip64 {
			c = append(c, "\xff\xff\xff\xff\xff\xff\xff\xff"...)
			extra = le.AppendUint16(extra, 1)
			extra = le.AppendUint16(extra, 24)
			for _, v := range []int64{whole, size, offset} {
				extra = le.AppendUint64(extra, uint64(v))
			}
			extra = append([]byte("\x0a\x00\x02\x00zz"), extra...) // another field before it
		} else {
			c = le.AppendUint32(c, uint32(size))
			c = le.AppendUint32(c, uint32(whole))
		}
		c = le.AppendUint16(c, uint16(len(e.name)))
		c = le.AppendUint16(c, uint16(len(extra)))
		c = append(c, make([]byte, 10)...) // comment, disk, attributes
		if zip64 {
			c = append(c, "\xff\xff\xff\xff"...)
		} else {
			c = le.AppendUint32(c, uint32(offset))
		}
		directory = append(append(append(directory, c...), e.name...), extra...)
	}
	start := at
	if err := put(directory); err != nil {
		return err
	}
	count, size, offset := uint64(len(entries)), uint64(len(directory)), uint64(start)
	if zip64 {
		end := at
		r := append([]byte(zip64End), make([]byte, 20)...)
		for _, v := range []uint64{count, count, size, offset} {
			r = le.AppendUint64(r, v)
		}
		r = append(append(r, zip64Locator...), make([]byte, 4)...)
		r = le.AppendUint32(le.AppendUint64(r, uint64(end)), 1)
		if err := put(r); err != nil {
			return err
		}
		count, size, offset = 1<<16-1, 1<<32-1, 1<<32-1
	}
	r := append([]byte(zipEnd), make([]byte, 4)...)
	r = le.AppendUint16(le.AppendUint16(r, uint16(count)), uint16(count))
	r = le.AppendUint32(le.AppendUint32(r, uint32(size)), uint32(offset))
	return put(append(r, 0, 0))
}

// A memoryFile is a file to write at any place.
type memoryFile struct{ data []byte }

func (f *memoryFile) WriteAt(b []byte, at int64) (int, error) {
	f.data = append(f.data, make([]byte, max(0, int(at)+len(b)-len(f.data)))...)
	return copy(f.data[at:], b), nil
}

func zipImage(t testing.TB, zip64 bool, entries ...zipped) []byte {
	t.Helper()
	var f memoryFile
	if err := writeZip(&f, entries, zip64); err != nil {
		t.Fatal(err)
	}
	return f.data
}

// torchImage is a file of torch.save with a pickle and storages in the order of their keys.
func torchImage(t testing.TB, pickle string, storages ...string) []byte {
	t.Helper()
	entries := []zipped{{name: "archive/data.pkl", data: pickle}, {name: "archive/version", data: "3\n"}}
	for i, s := range storages {
		entries = append(entries, zipped{name: fmt.Sprintf("archive/data/%d", i), data: s})
	}
	return zipImage(t, false, entries...)
}

func TestTorch(t *testing.T) {
	pickle := pDict("epoch", pInt(-3), "model", "}("+
		pText("a")+pTensor("FloatStorage", "0", 6, 0, []int{2, 3}, []int{3, 1})+
		pText("b")+pTensor("FloatStorage", "0", 6, 1, []int{2}, []int{3})+
		pText("note")+pText("hello")+"u")
	data := make([]byte, 24)
	for i := range data {
		data[i] = byte(i)
	}
	for _, zip64 := range []bool{false, true} {
		f, err := parseTorch(zipImage(t, zip64, zipped{name: "x/y/data.pkl", data: pickle}, zipped{name: "x/y/byteorder", data: "little"},
			zipped{name: "x/y/.data/serialization_id", data: "123"}, zipped{name: "x/y/data/0", data: string(data)}))
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Tensors) != 2 || f.Tensors[0].Name != "a" || string(f.Tensors[0].Data) != string(data) || f.Tensors[0].Strides != nil {
			t.Errorf("tensors are %+v", f.Tensors)
		}
		b, err := f.Tensors[1].Contiguous()
		if err != nil || string(b.Data) != string(data[4:8])+string(data[16:20]) {
			t.Errorf("b is %+v, %v", b, err)
		}
		if len(f.Others) != 1 || f.Others[0] != "note" {
			t.Errorf("others are %q, want note", f.Others)
		}
	}
}

// Each kind of hostile or broken file has its own error.
func TestTorchErrors(t *testing.T) {
	a := func(kind string, count, offset int, shape, strides []int) string {
		return pDict("a", pTensor(kind, "0", count, offset, shape, strides))
	}
	good := a("FloatStorage", 2, 0, []int{2}, []int{1})
	pickled := func(p string) []byte { return torchImage(t, p, "12345678") }
	entries := func(es ...zipped) []byte {
		return zipImage(t, false, append([]zipped{{name: "r/data.pkl", data: good}, {name: "r/data/0", data: "12345678"}}, es...)...)
	}
	whole := pickled(good)
	if _, err := parseTorch(whole); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "no zip file begins like these 0 bytes"},
		{"web page", []byte("<html>"), "looks like a web page"},
		{"legacy", []byte(legacyMagic + "."), "format of PyTorch before 1.6"},
		{"tar", append(make([]byte, 257), "ustar\x0000"...), "format of PyTorch before 1.6"},
		{"truncated", whole[:len(whole)-1], "is cut off, or is no zip file"},
		{"only the end", whole[len(whole)-22:], "want it to end before byte 0"},
		{"ordinary zip", zipImage(t, false, zipped{name: "a.txt", data: "x"}), "no entry that ends in /data.pkl"},
		{"two pickles", entries(zipped{name: "s/data.pkl"}), "both r/data.pkl and s/data.pkl"},
		{"TorchScript", entries(zipped{name: "r/constants.pkl"}), "TorchScript program"},
		{"big-endian", entries(zipped{name: "r/byteorder", data: "big"}), `says "big": only little-endian`},
		{"zip bomb", entries(zipped{name: "r/data/1", data: "x", method: 8, real: 1 << 31}), `"r/data/1" is compressed (method 8)`},
		{"bomb that says it is stored", entries(zipped{name: "r/data/1", data: "x", real: 1 << 31}), `"r/data/1" has 2147483648 bytes, but 1 stored`},
		{"encrypted", entries(zipped{name: "r/data/1", data: "x", flags: 1}), `"r/data/1" is encrypted`},
		{"duplicate entry", entries(zipped{name: "r/data/0", data: "x"}), `zip entry "r/data/0" occurs twice`},
		{"other name", entries(zipped{name: "r/data/1", local: "r/data/2"}), `"r/data/1" is called "r/data/2"`},
		{"overlap", overlapping(t), `zip entries "r/data/0" and "r/data/1" overlap`},
		{"wrong offset", entries(zipped{name: "r/data/1", claim: 7}), `"r/data/1" does not begin at byte 7`},

		{"os.system", pickled("\x80\x02cos\nsystem\n" + pText("touch /tmp/owned") + "\x85R."), `names "os.system", which a checkpoint of tensors does not need`},
		{"os.system, protocol 4", pickled("\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R."), `names "os.system"`},
		{"builtins.eval", pickled("\x80\x02cbuiltins\neval\n" + pText("1") + "\x85R."), `names "builtins.eval"`},
		{"torch.load", pickled("\x80\x02ctorch\nload\n."), `names "torch.load"`},
		{"INST", pickled("(ios\nsystem\n."), "opcode INST (0x69) is not allowed"},
		{"NEWOBJ", pickled("\x80\x02ccollections\nOrderedDict\n)\x81."), "opcode NEWOBJ (0x81) is not allowed"},
		{"unknown opcode", pickled("\x80\x02\xff."), "opcode 0xff is unknown"},
		{"protocol 0", pickled("\x80\x00."), "protocol 0, want 2 to 5"},
		{"storage called", pickled("\x80\x02ctorch\nFloatStorage\n)R."), "a call of torch.FloatStorage, which is no function"},
		{"number called", pickled("\x80\x02K\x01)R."), "a call of 1, which is no function"},
		{"unknown storage", pickled(a("QInt8Storage", 2, 0, []int{2}, []int{1})), `names "torch.QInt8Storage"`},
		{"not a dict", pickled("\x80\x02]."), "the file holds a list of 0, want a dict"},
		{"no tensors", pickled(pDict("epoch", "K\x01")), "the dict holds no tensors, only epoch"},
		{"number as name", pickled("\x80\x02}K\x01" + pTensor("FloatStorage", "0", 2, 0, []int{2}, []int{1}) + "s."), "is called 1, want a string"},
		{"duplicate name", pickled(pDict("a", "N", "a", "N")), `key "a" occurs twice`},
		{"pickle cut off", pickled(good[:len(good)-1]), "the pickle ends too early"},
		{"string cut off", pickled("\x80\x02X\xff\xff\xff\x7fabc"), "the pickle ends too early"},
		{"long string", pickled("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc"), "the pickle ends too early"},
		{"empty stack", pickled("\x80\x02."), "0 values on the stack, want 1"},
		{"no mark", pickled("\x80\x02t."), "there is no mark"},
		{"below the mark", pickled("\x80\x02N(\x85."), "0 values on the stack, want 1"},
		{"no memo", pickled("\x80\x02h\x05."), "memo 5 was never written"},
		{"marks", pickled("\x80\x02" + strings.Repeat("(", 2000)), "more than 1000 open marks"},
		{"stack", pickled("\x80\x02" + strings.Repeat("N", 1<<20+1)), "more than 1048576 values on the stack"},
		{"objects", pickled("\x80\x02" + strings.Repeat("}\x85", 1<<20)), "more than 1048576 objects"},
		{"items", pickled("\x80\x02]" + strings.Repeat("("+strings.Repeat("N", 1<<19)+"e", 9)), "more than 4194304 items"},
		{"list as key", pickled("\x80\x02}]Ns."), "a list of 0 cannot be a key"},
		{"odd items", pickled("\x80\x02}(Nu."), "setting 1 items of a dict of 0, want pairs"},
		{"append to dict", pickled("\x80\x02}Na."), "appending to a dict of 0, want a list"},
		{"build", pickled("\x80\x02]}b."), "BUILD on a list of 0, want a dict"},

		{"no storage", torchImage(t, good), `tensor "a": the zip file has no entry data/0`},
		{"short storage", torchImage(t, good, "1234567"), `tensor "a": its storage of 2 F32 takes 4 bytes each, but entry data/0 has 7 bytes`},
		{"beyond the storage", pickled(a("FloatStorage", 2, 1, []int{2}, []int{1})), `reaches beyond its storage "0" of 2 elements`},
		{"stride beyond", pickled(a("FloatStorage", 2, 0, []int{2}, []int{2})), `reaches beyond its storage`},
		{"stride overflow", pickled(a("FloatStorage", 2, 0, []int{3, 3}, []int{1 << 62, 1 << 62})), `reaches beyond its storage`},
		{"negative stride", pickled(a("FloatStorage", 2, 0, []int{2}, []int{-1})), `stride is -1, want a whole number`},
		{"negative offset", pickled(a("FloatStorage", 2, -1, []int{2}, []int{1})), `offset is -1, want a whole number`},
		{"huge shape", pickled(a("FloatStorage", 2, 0, []int{1 << 40, 1 << 40}, []int{0, 0})), `has more than 9223372036854775807 elements`},
		{"expanded bomb", pickled(a("FloatStorage", 2, 0, []int{1 << 40}, []int{0})), `has 1099511627776 elements, but its storage only 2`},
		{"dimensions", pickled(a("FloatStorage", 2, 0, []int{2}, []int{1, 1})), `have 1 and 2 dimensions`},
		{"many dimensions", pickled(a("FloatStorage", 2, 0, make([]int, 65), make([]int, 65))), "want a tuple of at most 64 numbers"},
		{"huge count", pickled(a("FloatStorage", 1<<62, 0, []int{2}, []int{1})), `its storage of 4611686018427387904 F32`},
		{"persistent id", pickled("\x80\x02" + pText("x") + "Q."), `persistent id is "x", want`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseTorch(c.file)
			wantError(t, err, c.want)
		})
	}
	if _, err := os.Stat("/tmp/owned"); err == nil {
		t.Error("the pickle was run")
	}
}

// overlapping is a file with an entry within another.
func overlapping(t *testing.T) []byte {
	t.Helper()
	inner := zipImage(t, false, zipped{name: "r/data/1", data: "abc"})
	inner = inner[:zipLocalLen+len("r/data/1abc")]
	first := zipped{name: "r/data.pkl", data: "N."}
	outer := zipped{name: "r/data/0", data: string(inner)}
	at := zipLocalLen + len(first.name) + len(first.data) + zipLocalLen + len(outer.name)
	f := zipImage(t, false, first, outer, zipped{name: "r/data/1", data: "abc", claim: int64(at)})
	return f
}

// A checkpoint is cut at every byte: each is an error, and none a panic.
func TestTorchTruncated(t *testing.T) {
	whole := torchImage(t, pDict("a", pTensor("FloatStorage", "0", 2, 0, []int{2}, []int{1})), "12345678")
	for n := range whole {
		if _, err := parseTorch(whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are a checkpoint", n, len(whole))
		}
	}
}

// Opening a large checkpoint reads its pickle only. The file is sparse: it needs no room.
func TestOpenLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("not in -short: it makes files of 3 and 5 GiB, which need no room where files can be sparse")
	}
	for _, size := range []int64{3 << 30, 5 << 30} {
		path := filepath.Join(t.TempDir(), "pytorch_model.bin")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		n := int(size / 4)
		err = writeZip(f, []zipped{
			{name: "m/data/0", size: size},
			{name: "m/data.pkl", data: pDict("a", pTensor("FloatStorage", "0", n, 0, []int{n / 1024, 1024}, []int{1024, 1}))},
		}, size > 1<<32)
		if err != nil {
			t.Skipf("cannot write a sparse file of %d bytes: %v", size, err)
		}
		_ = f.Close()
		before := resident(t)
		start := time.Now()
		w, err := OpenWeights(path)
		if err != nil {
			t.Fatal(err)
		}
		took, grown := time.Since(start), resident(t)-before
		a, ok := w.Tensor("a")
		if !ok || len(a.Data) != int(size) || a.Data[size-1] != 0 {
			t.Errorf("tensor a has %d bytes, want %d", len(a.Data), size)
		}
		t.Logf("%d bytes opened in %v, resident memory grown by %d KiB", size, took, grown>>10)
		if grown > 50<<20 {
			t.Errorf("opening took %d bytes of memory", grown)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

// resident is the memory of this process, or 0 where it cannot be known.
func resident(t *testing.T) int64 {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	text, err := os.ReadFile("/proc/self/statm")
	var total, pages int64
	if _, scan := fmt.Sscan(string(text), &total, &pages); err != nil || scan != nil {
		t.Fatal(err, scan)
	}
	return pages * int64(os.Getpagesize())
}

func FuzzUnpickle(f *testing.F) {
	f.Add([]byte(pDict("a", pTensor("FloatStorage", "0", 6, 0, []int{2, 3}, []int{3, 1}), "n", pInt(1), "l", "]K\x01a")))
	f.Add([]byte("\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94K\x01u."))
	f.Add([]byte("\x80\x02]q\x00h\x00a."))
	f.Add([]byte("\x80\x02cos\nsystem\n."))
	f.Add([]byte("\x80\x02G?\xf0\x00\x00\x00\x00\x00\x00\x88\x89\x87."))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := unpickle(data)
		if err == nil {
			_ = describe(v)
			_ = new(Torch).collect(v, map[string][]byte{"0": make([]byte, 64)})
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("error %q has more than one line", err)
		}
	})
}

func FuzzTorchZip(f *testing.F) {
	pickle := pDict("a", pTensor("FloatStorage", "0", 6, 1, []int{2, 2}, []int{2, 1}), "b", pTensor("HalfStorage", "1", 3, 0, []int{3, 2}, []int{1, 0}))
	f.Add(torchImage(f, pickle, strings.Repeat("x", 24), "yyyyyy"))
	f.Add(zipImage(f, true, zipped{name: "a/data.pkl", data: pickle}, zipped{name: "a/data/0", data: strings.Repeat("x", 24)}, zipped{name: "a/data/1", data: "yyyyyy"}))
	f.Add([]byte(legacyMagic))
	f.Fuzz(func(t *testing.T, file []byte) {
		torch, err := parseTorch(file)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q has more than one line", err)
			}
			return
		}
		for _, tensor := range torch.Tensors {
			c, err := tensor.Contiguous()
			if err != nil {
				t.Errorf("a tensor that was read is not whole: %v", err)
			} else if size, _ := byteSize(c.DType, c.Shape); size != int64(len(c.Data)) {
				t.Errorf("%s %v has %d bytes", c.DType, c.Shape, len(c.Data))
			}
			_, _ = tensor.Float32s()
			_, _ = tensor.Ints()
		}
	})
}
