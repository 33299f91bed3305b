package arch

import (
	"fmt"

	"quadrant/kernels"
)

// Types are the element types of a model's memory. Everything else is F32.
type Types struct {
	Weights kernels.Type // of matrices; vectors, A_log and routers stay F32
	Cache   kernels.Type // of attention's keys and values
}

// A Model is weights on a device. Running it does not change it, but for [Session.Loss] in
// training, which moves what routers learn without gradients.
type Model struct {
	Config
	types       Types
	dev         kernels.Device
	embed, head Param // head is absent where it is tied to embed
	headBias    Param
	layers      []layer
	finalNorm   norm
}

type layer struct {
	seqNorm, chnNorm norm
	seq              sequenceMixer // nil where the layer has none
	chn              channelMixer  // nil where the layer has none
	parallel         bool
}

// A sequenceMixer remembers earlier tokens: Open returns its memory of a number of
// sequences of bounded length.
type sequenceMixer interface {
	params
	open(dev kernels.Device, cache kernels.Type, seqs, maxLen int) memory
}

type memory interface {
	mix(s step, dst, x kernels.Mat)
	reset(s *kernels.Stream) // forgets every token
	// copyFrom makes sequence i remember what sequence j of src, the same mixer's memory in
	// another session, does: past tokens.
	copyFrom(s *kernels.Stream, src memory, i, j, past int)
}

// A channelMixer treats every token alike and remembers nothing.
type channelMixer interface {
	params
	mix(s step, dst, x kernels.Mat)
}

// A step is what mixers know of the call that they are part of. They write to dst; x
// stays as it is, for a mixer in parallel may read it too.
type step struct {
	*kernels.Stream
	seqs, past int
	ids        kernels.Mat
	embedding  kernels.Mat // of ids, where a router reads it
	training   bool        // routers choose as in training
	learning   bool        // and what they learn without gradients moves
	share      float32     // of the whole loss, what a mean over this step's tokens is
}

// New builds a model with room on dev for its weights, whose values are unspecified.
func New(cfg Config, dev kernels.Device, types Types) (*Model, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("arch: %w", err)
	}
	if types.Weights == kernels.I32 || types.Cache == kernels.I32 {
		return nil, fmt.Errorf("arch: weights of type %v and cache of %v, want floating-point types", types.Weights, types.Cache)
	}
	st := styleOf(cfg)
	m := &Model{
		Config: cfg, types: types, dev: dev,
		embed:     matrix(cfg.Vocab, cfg.Dim, normal(0.02)),
		headBias:  vectorIf(cfg.HeadBias, cfg.Vocab, constant(0)),
		finalNorm: newNorm(cfg.FinalNorm, cfg.Dim),
	}
	if !cfg.TiedHead {
		m.head = matrix(cfg.Vocab, cfg.Dim, normal(0.02))
	}
	for _, l := range cfg.Layers {
		m.layers = append(m.layers, newLayer(cfg, l, st))
	}
	m.Params(func(_ string, p *Param) {
		t := types.Weights
		if p.Wide {
			t = kernels.F32
		}
		p.Mat = dev.Alloc(t, p.Rows, p.Cols)
	})
	for _, l := range m.layers {
		if s, ok := l.seq.(*mamba); ok {
			s.a = dev.Alloc(kernels.F32, s.aLog.Rows, s.aLog.Cols)
		}
	}
	return m, nil
}

func newLayer(cfg Config, l Layer, st style) layer {
	out := layer{parallel: l.Parallel}
	switch {
	case l.Sequence.Attention != nil:
		out.seq = newAttention(*l.Sequence.Attention, cfg.Dim, st)
	case l.Sequence.Mamba != nil:
		out.seq = newMamba(*l.Sequence.Mamba, cfg.Dim, st)
	}
	switch {
	case l.Channel.MLP != nil:
		out.chn = newMLP(*l.Channel.MLP, cfg.Dim, st)
	case l.Channel.MoE != nil:
		out.chn = newMoE(*l.Channel.MoE, cfg.Dim, st)
	}
	if out.seq != nil {
		out.seqNorm = newNorm(cfg.Norm, cfg.Dim)
	}
	if out.chn != nil {
		out.chnNorm = newNorm(cfg.Norm, cfg.Dim)
	}
	return out
}

// Params shows every weight to visit, in a fixed order. A tied head is not shown: it is
// the embedding.
func (m *Model) Params(visit func(name string, p *Param)) {
	v := visitor(func(name string, p *Param) {
		if p.Rows > 0 {
			visit(name, p)
		}
	})
	v("embed", &m.embed)
	for i := range m.layers {
		l, at := &m.layers[i], v.under(fmt.Sprintf("layers.%d", i))
		if l.seq != nil {
			l.seqNorm.params(at.under("sequence_norm"))
			l.seq.params(at)
		}
		if l.chn != nil {
			l.chnNorm.params(at.under("channel_norm"))
			l.chn.params(at)
		}
	}
	m.finalNorm.params(v.under("final_norm"))
	v("head", &m.head)
	v("head_bias", &m.headBias)
}

// Init draws the weights from seed as the reference implementations do (Mamba's and
// BlackMamba's layers: spec of mamba_simple.py; transformers: N(0, 0.02)). The values do
// not depend on the device, on the number of threads or on the weights' type, but for
// its rounding.
func (m *Model) Init(seed uint64) {
	index := 0
	m.Params(func(_ string, p *Param) {
		p.fill(m.dev, seed, index)
		if !p.Buffer { // a router's choice of balance changes no other weight
			index++
		}
	})
}

// Device is where m's weights are, and where its ops go.
func (m *Model) Device() kernels.Device { return m.dev }

// A Count is a model's number of parameters.
type Count struct {
	Total  int64
	Active int64 // that one token uses: of experts, only those chosen
	Bytes  int64 // of the weights as they lie in memory
}

// Count counts m's parameters.
func (m *Model) Count() Count {
	var c Count
	m.Params(func(_ string, p *Param) {
		c.Bytes += p.Bytes()
		if p.Buffer {
			return
		}
		n := int64(p.Rows) * int64(p.Cols)
		c.Total += n
		if p.Experts > 0 {
			n = n / int64(p.Experts) * int64(p.Chosen)
		}
		c.Active += n
	})
	return c
}

// CheckIDs returns an error for the first id that is not a row of the embedding.
func (c Config) CheckIDs(ids []int32) error {
	for i, id := range ids {
		if id < 0 || int(id) >= c.Vocab {
			return fmt.Errorf("token id %d at position %d is out of range: the vocabulary has %d", id, i, c.Vocab)
		}
	}
	return nil
}

// norm is a Norm with its weights.
type norm struct {
	Norm
	gain, bias Param
}

func newNorm(n Norm, dim int) norm {
	return norm{n, vector(dim, constant(1)), vectorIf(n.Bias, dim, constant(0))}
}

func (n *norm) params(visit visitor) {
	visit("gain", &n.gain)
	visit("bias", &n.bias)
}

// apply is x += delta (where there is one), dst = norm(x).
func (n *norm) apply(s *kernels.Stream, dst, x, delta kernels.Mat) {
	if n.Kind == LayerNorm {
		s.Do(kernels.LayerNorm{Dst: dst, X: x, Delta: delta, Gain: n.gain.Mat, Bias: n.bias.Mat, Eps: n.Eps})
		return
	}
	s.Do(kernels.RMSNorm{Dst: dst, X: x, Delta: delta, Gain: n.gain.Mat, Eps: n.Eps})
}
