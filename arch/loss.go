package arch

import (
	"fmt"

	"quadrant/kernels"
)

// lossRows is how many rows of logits [Session.Loss] holds at a time: enough for a product
// at full speed, and far below the memory of all, which is what a vocabulary makes large.
const lossRows = 512

// Loss reads the next tokens of every sequence, as [Session.Forward] does, and writes what
// predicting targets costs. ids and targets are [seqs·n, 1] I32, losses is [seqs·n, 1] F32,
// in nats; a target of −1 is none, and costs nothing. Logits are held for a few rows at a
// time. scale is what the whole loss makes of each token's, as 1/(seqs·n) for their mean:
// gradients are those of scale·Σ losses, with what routers add for balance.
//
// With Training, it also moves what routers learn without gradients.
func (s *Session) Loss(losses, ids, targets kernels.Mat, scale float32) {
	if losses.Rows != ids.Rows || targets.Rows != ids.Rows {
		panic(fmt.Sprintf("arch: %d rows of losses and %d of targets for %d of ids", losses.Rows, targets.Rows, ids.Rows))
	}
	st := s.begin(ids)
	st.learning, st.share = s.Training, scale*float32(ids.Rows)
	whole := st.Scope("model", -1)
	x, delta := s.body(st, ids)
	sc := st.Scope("head", -1)
	h := st.Temp(kernels.F32, ids.Rows, s.Dim)
	s.finalNorm.apply(st.Stream, h, x, delta)
	logits := st.Temp(kernels.F32, min(ids.Rows, lossRows), s.Vocab)
	for from := 0; from < ids.Rows; from += lossRows {
		to := min(from+lossRows, ids.Rows)
		part := logits.RowRange(0, to-from)
		s.project(st, part, h.RowRange(from, to))
		st.Do(kernels.CrossEntropy{Loss: losses.RowRange(from, to), Logits: part, Targets: targets.RowRange(from, to), Scale: scale})
	}
	sc.End()
	whole.End()
	s.past += ids.Rows / s.seqs
}
