package train

// NextTokens returns the targets of sequences that are told nothing else: each token's is the
// next, and the last one's is none (−1). scored is how many have one.
func NextTokens(ids []int32, seqs int) (targets []int32, scored int) {
	n := len(ids) / seqs
	targets = make([]int32, len(ids))
	for i := range ids {
		if (i+1)%n == 0 {
			targets[i] = -1
			continue
		}
		targets[i] = ids[i+1]
		scored++
	}
	return targets, scored
}
