package serve

import (
	"testing"

	"quadrant/arch"
	"quadrant/kernels/ref"
	"quadrant/tokenizer"
)

// tinyServer is a server that is not served.
func tinyServer(t testing.TB) *Server {
	t.Helper()
	norm := arch.Norm{Kind: arch.RMSNorm, Eps: 1e-5}
	cfg := arch.Config{Vocab: 256, Dim: 4, Norm: norm, FinalNorm: norm, TiedHead: true,
		Layers: []arch.Layer{{Sequence: arch.Sequence{Mamba: &arch.Mamba{Inner: 4, State: 2, Conv: 2, Rank: 1}}}}}
	dev := ref.New()
	m, err := arch.New(cfg, dev, arch.Types{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Model{"tiny", dev, m, tokenizer.Bytes{}}, Options{Window: 64, Prompts: 4})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The gate's counts come back to nothing, and it lets in what fits and no more.
func TestGate(t *testing.T) {
	g := newGate(2, 100)
	if g.enter(60) != nil || g.grow(30) != nil {
		t.Fatal("what fits is refused")
	}
	if e := g.grow(11); e == nil || e.status != 429 {
		t.Errorf("%+v", e)
	}
	if e := g.grow(101); e == nil || e.status != 400 {
		t.Errorf("%+v", e)
	}
	if e := g.enter(11); e == nil || e.status != 429 {
		t.Errorf("%+v", e)
	}
	if g.enter(10) != nil {
		t.Error("what fits is refused")
	}
	if e := g.enter(0); e == nil || e.status != 429 {
		t.Errorf("a third request: %+v", e)
	}
	if n := g.close(); n != 2 {
		t.Errorf("%d are there, want 2", n)
	}
	g.leave(90)
	if e := g.enter(1); e != errClosing {
		t.Errorf("%+v", e)
	}
	select {
	case <-g.empty:
		t.Error("empty with a request")
	default:
	}
	g.leave(10)
	<-g.empty
	if g.requests != 0 || g.bytes != 0 {
		t.Errorf("%d requests of %d bytes are left", g.requests, g.bytes)
	}
}
