package ngram

// An entry is what was counted of some bytes: how often they stand in a row, how often
// another byte follows them, and how many different ones do.
type entry struct {
	key                    uint64 // 0 where there is none
	count, followed, kinds uint32
}

// A table finds entries by key: a hash table with open addressing, several times as fast
// as a map, for millions of entries.
type table struct {
	entries []entry // a power of two of them
	used    int
}

func newTable() *table { return &table{entries: make([]entry, 1<<10)} }

// place is where key is, or would be.
func (t *table) place(key uint64) *entry {
	mask := uint64(len(t.entries) - 1)
	h := key * 0x9e3779b97f4a7c15
	for i := (h ^ h>>32) & mask; ; i = (i + 1) & mask {
		if e := &t.entries[i]; e.key == key || e.key == 0 {
			return e
		}
	}
}

// find returns the entry of key, or nil.
func (t *table) find(key uint64) *entry {
	if e := t.place(key); e.key != 0 {
		return e
	}
	return nil
}

// at returns the entry of key, which it makes if need be. It is valid until the next call.
func (t *table) at(key uint64) *entry {
	e := t.place(key)
	if e.key == key {
		return e
	}
	if t.used++; 2*t.used > len(t.entries) {
		t.grow()
		e = t.place(key)
	}
	e.key = key
	return e
}

func (t *table) grow() {
	old := t.entries
	t.entries = make([]entry, 2*len(old))
	for _, e := range old {
		if e.key != 0 {
			*t.place(e.key) = e
		}
	}
}
