package train

// A Source is an endless list of sequences to learn from, each a function of its number
// alone, so that a run goes on where it stopped by knowing how many it has read.
type Source interface {
	// Describe says what the sequences are, so that a run goes on with no others.
	Describe() string
	// Sequence sets ids to sequence number at, and targets[t] to what follows ids[:t+1],
	// or to −1 where nothing is to be predicted. Both have the length of the sequence.
	Sequence(at int64, ids, targets []int32)
	// Err is the first error of whatever the sequences are read from.
	Err() error
}
