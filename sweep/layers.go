package sweep

import (
	"fmt"
	"math"

	"quadrant/arch"
)

// setMoEEvery makes every n-th channel mixer a mixture of experts like the first that there
// is, and the others MLPs of the size that a token's experts have together.
func setMoEEvery(d *draft, n int) error {
	var like *arch.MoE
	for _, l := range d.cfg.Layers {
		if like == nil {
			like = l.Channel.MoE
		}
	}
	if like == nil || n < 0 {
		return fmt.Errorf("want a model with a mixture of experts, and a number of layers or 0 for none")
	}
	at, moes := 0, 0
	for i := range d.cfg.Layers {
		c := &d.cfg.Layers[i].Channel
		if c.MLP == nil && c.MoE == nil {
			continue
		}
		at++
		if n > 0 && at%n == 0 {
			moes++
			if c.MoE == nil {
				*c = arch.Channel{MoE: clone(like)}
			}
		} else if c.MoE != nil {
			mlp := c.MoE.Expert
			mlp.Hidden *= c.MoE.Router.TopK
			*c = arch.Channel{MLP: &mlp}
		}
	}
	if n > 0 && moes == 0 {
		return fmt.Errorf("the model has %d channel mixers only", at)
	}
	return nil
}

// setParallel lets the mixers of a layer read the same input, or the channel mixer what the
// sequence mixer made of it. A sequence mixer and a channel mixer that follow each other as
// layers of their own become one layer, which computes the same as long as it is not parallel.
func setParallel(d *draft, parallel bool) error {
	if !parallel {
		for i := range d.cfg.Layers {
			d.cfg.Layers[i].Parallel = false
		}
		return nil
	}
	var layers []arch.Layer
	whole := 0
	for _, l := range d.cfg.Layers {
		if n := len(layers); n > 0 && l.Sequence == (arch.Sequence{}) && layers[n-1].Channel == (arch.Channel{}) {
			layers[n-1].Channel = l.Channel
		} else {
			layers = append(layers, l)
		}
	}
	for i, l := range layers {
		if l.Sequence != (arch.Sequence{}) && l.Channel != (arch.Channel{}) {
			layers[i].Parallel = true
			whole++
		}
	}
	if whole == 0 {
		return fmt.Errorf("the model has no sequence mixer with a channel mixer after it")
	}
	d.cfg.Layers = layers
	return nil
}

// setAttentionRatio makes a share of the sequence mixers attention and the others Mamba: like
// the first that there is of each or, where there is none, of the usual sizes. Attention is in
// the middle of its stretch of layers.
func setAttentionRatio(d *draft, ratio float64) error {
	var at []int
	var attention *arch.Attention
	var mamba *arch.Mamba
	for i, l := range d.cfg.Layers {
		if l.Sequence != (arch.Sequence{}) {
			at = append(at, i)
		}
		if attention == nil {
			attention = l.Sequence.Attention
		}
		if mamba == nil {
			mamba = l.Sequence.Mamba
		}
	}
	n := len(at)
	k := int(math.Round(ratio * float64(n)))
	if !(ratio >= 0 && ratio <= 1) || n == 0 || math.Abs(ratio*float64(n)-float64(k)) > 0.01 {
		return fmt.Errorf("%v of %d sequence mixers is no number of them from 0 to all", ratio, n)
	}
	if attention == nil {
		attention = usualAttention(d.cfg.Dim)
	}
	if mamba == nil {
		mamba = &arch.Mamba{Inner: 2 * d.cfg.Dim, State: 16, Conv: 4, Rank: (d.cfg.Dim + 15) / 16, ConvBias: true}
	}
	for i, layer := range at {
		s := &d.cfg.Layers[layer].Sequence
		switch isAttention := ((i+1)*k+n/2)/n > (i*k+n/2)/n; {
		case isAttention && s.Attention == nil:
			*s = arch.Sequence{Attention: clone(attention)}
		case !isAttention && s.Mamba == nil:
			m := *mamba
			*s = arch.Sequence{Mamba: &m}
		}
	}
	return nil
}

// usualAttention has heads of 64, or four where the model is too narrow for that, and no
// grouping of keys.
func usualAttention(dim int) *arch.Attention {
	head := 64
	if dim < 4*head || dim%head != 0 {
		head = max(2, dim/4/2*2)
	}
	heads := max(1, dim/head)
	return &arch.Attention{Heads: heads, KVHeads: heads, HeadDim: head, Rotary: &arch.Rotary{Dim: head, Base: 10000}}
}
