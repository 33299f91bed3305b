package cuda_test

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"quadrant/arch"
	"quadrant/kernels"
	"quadrant/kernels/cuda"
	"quadrant/kernels/cuda/ptxsim"
)

// A frugal driver counts what it is asked for, and has memory for a limited number of bytes.
type frugal struct {
	driver
	sizes                       map[uint64]int
	allocs, frees, hosts, loads int
	left                        int
}

func (d *frugal) Alloc(n int) (uint64, error) {
	d.allocs++
	if n > d.left {
		return 0, errors.New("no memory left")
	}
	p, err := d.driver.Alloc(n)
	d.sizes[p] = n
	d.left -= n
	return p, err
}

func (d *frugal) Free(p uint64) error {
	d.frees++
	d.left += d.sizes[p]
	return d.driver.Free(p)
}

func (d *frugal) AllocHost(n int) ([]byte, uint64, error) {
	d.hosts++
	return d.driver.AllocHost(n)
}

func (d *frugal) Load(ptx string) error {
	d.loads++
	return d.driver.Load(ptx)
}

// collect waits until the memory of n matrices that are gone is known to be unused.
func collect(t *testing.T, dev *cuda.Device, n int) {
	t.Helper()
	for range 1000 {
		runtime.GC()
		if cuda.Unused(dev) >= n {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%d matrices are unused, want %d", cuda.Unused(dev), n)
}

// Decoding asks the driver for no memory and frees none. A session that is opened again asks for
// none once earlier ones are known to be gone.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	drv := &frugal{driver: driver{machine(ptxsim.Forward)}, sizes: map[uint64]int{}, left: 1 << 40}
	dev, err := cuda.New(drv, cuda.Split)
	if err != nil {
		t.Fatal(err)
	}
	cfg := preset(t, "tiny-mamba")
	cfg.Layers, cfg.Vocab = cfg.Layers[:1], 32
	m, err := arch.New(cfg, dev, arch.Types{Weights: kernels.F32, Cache: kernels.F32})
	if err != nil {
		t.Fatal(err)
	}
	m.Init(1)
	session := func(steps int) (matrices int) {
		before := drv.allocs
		s := m.Open(1, 2+steps)
		prompt, ids, logits := dev.Alloc(kernels.I32, 2, 1), dev.Alloc(kernels.I32, 1, 1), dev.Alloc(kernels.F32, 1, m.Vocab)
		next := dev.Alloc(kernels.I32, 1, 1)
		stream := kernels.NewStream(dev)
		kernels.Put(dev, prompt, []int32{1, 2})
		s.Forward(logits, prompt)
		var opened, freed int
		token := []int32{3}
		for i := range steps {
			if i == 3 { // the first is launched, the second recorded
				opened, freed = drv.allocs, drv.frees
			}
			kernels.Put(dev, ids, token)
			s.Forward(logits, ids)
			stream.Do(kernels.ArgMax{Dst: next, X: logits})
			kernels.Get(dev, token, next)
		}
		if err := dev.Sync(); err != nil {
			t.Fatal(err)
		}
		if drv.allocs != opened || drv.frees != freed {
			t.Errorf("steps of decoding ask for memory %d times and free it %d times", drv.allocs-opened, drv.frees-freed)
		}
		return drv.allocs - before
	}
	if first := session(5); first < 5 {
		t.Fatalf("a session asks for memory %d times", first)
	}
	hosts, loads, again := drv.hosts, drv.loads, -1
	for range 50 { // until the collector has seen that earlier ones are gone
		if again = session(5); again == 0 {
			break
		}
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
	}
	if again != 0 {
		t.Errorf("a session like many before asks for memory %d times", again)
	}
	if drv.hosts != hosts || drv.loads != loads {
		t.Errorf("memory of the host is asked for %d times, PTX loaded %d times", drv.hosts-hosts, drv.loads-loads)
	}
}

// What is idle serves the next matrix of its size, and is given back when the driver has no more.
func TestArena(t *testing.T) {
	drv := &frugal{driver: driver{machine(ptxsim.Forward)}, sizes: map[uint64]int{}, left: 1 << 40}
	dev, err := cuda.New(drv, cuda.Split)
	if err != nil {
		t.Fatal(err)
	}
	alloc := func(n int, fill float32) {
		m := dev.Alloc(kernels.F32, 1, n)
		got := make([]float32, n)
		kernels.Get(dev, got, m)
		for i, v := range got {
			if v != 0 {
				t.Fatalf("element %d of a matrix is %v before anything is written", i, v)
			}
			got[i] = fill
		}
		kernels.Put(dev, m, got)
	}
	alloc(1000, 7)
	collect(t, dev, 1)
	asked := drv.allocs
	alloc(1000, 8)
	if drv.allocs != asked || drv.frees != 0 {
		t.Errorf("a matrix of the size of one that is gone asks for memory %d times, frees %d", drv.allocs-asked, drv.frees)
	}
	collect(t, dev, 1)
	drv.left = 3000 // less than the next needs without what is idle
	alloc(1500, 9)
	if drv.frees != 1 {
		t.Errorf("what was idle was freed %d times, want once", drv.frees)
	}
	if err := dev.Close(); err != nil {
		t.Error(err)
	}
}
