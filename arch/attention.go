package arch

import (
	"math"

	"quadrant/kernels"
)

type attention struct {
	Attention
	qkv, qkvBias Param // rows: queries, keys, values
	out, outBias Param
}

func newAttention(c Attention, dim int, st style) *attention {
	q, rows := c.Heads*c.HeadDim, (c.Heads+2*c.KVHeads)*c.HeadDim
	return &attention{
		Attention: c,
		qkv:       st.linear(rows, dim), qkvBias: vectorIf(c.QKVBias, rows, constant(0)),
		out: st.residual(dim, q), outBias: vectorIf(c.OutBias, dim, constant(0)),
	}
}

func (a *attention) params(visit visitor) {
	visit = visit.under("attention")
	visit("qkv", &a.qkv)
	visit("qkv_bias", &a.qkvBias)
	visit("out", &a.out)
	visit("out_bias", &a.outBias)
}

func (a *attention) open(dev kernels.Device, cache kernels.Type, seqs, maxLen int) memory {
	kv := a.KVHeads * a.HeadDim
	return &kvCache{a, dev.Alloc(cache, seqs*maxLen, kv), dev.Alloc(cache, seqs*maxLen, kv), maxLen}
}

// A kvCache is what attention remembers: every key and value, [seqs·maxLen, kv heads·head].
type kvCache struct {
	*attention
	k, v   kernels.Mat
	maxLen int
}

func (c *kvCache) reset(*kernels.Stream) {} // rows past the end are never read

func (c *kvCache) copyFrom(s *kernels.Stream, src memory, i, j, past int) {
	if past == 0 {
		return
	}
	from := src.(*kvCache)
	i, j = i*c.maxLen, j*from.maxLen
	s.Do(kernels.Copy{Dst: c.k.RowRange(i, i+past), X: from.k.RowRange(j, j+past)})
	s.Do(kernels.Copy{Dst: c.v.RowRange(i, i+past), X: from.v.RowRange(j, j+past)})
}

func (c *kvCache) mix(s step, dst, x kernels.Mat) {
	sc := s.Scope("attention", -1)
	defer sc.End()
	nq, nkv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	qkv := s.Temp(kernels.F32, x.Rows, nq+2*nkv)
	y := s.Temp(kernels.F32, x.Rows, nq)
	q, k, v := qkv.ColRange(0, nq), qkv.ColRange(nq, nq+nkv), qkv.ColRange(nq+nkv, nq+2*nkv)

	s.Do(kernels.MatMul{Dst: qkv, A: x, B: c.qkv.Mat, Bias: c.qkvBias.Mat})
	store := kernels.RotaryStore{
		Q: q, K: k, V: v, KCache: c.k, VCache: c.v,
		Seqs: s.seqs, Past: s.past, HeadDim: c.HeadDim,
	}
	if c.Rotary != nil {
		store.Rotary, store.Base = c.Rotary.Dim, c.Rotary.Base
	}
	s.Do(store)
	s.Do(kernels.Attend{
		Dst: y, Q: q, K: c.k, V: c.v,
		Seqs: s.seqs, Past: s.past, HeadDim: c.HeadDim,
		Scale: float32(1 / math.Sqrt(float64(c.HeadDim))),
	})
	s.Do(kernels.MatMul{Dst: dst, A: y, B: c.out.Mat, Bias: c.outBias.Mat})
}
