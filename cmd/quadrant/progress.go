package main

import (
	"fmt"
	"io"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// A progress shows how far long work has come and when it may end: a bar on a terminal,
// a line now and then elsewhere.
type progress struct {
	name  string
	total int
	start time.Time

	bars *mpb.Progress
	bar  *mpb.Bar

	lines io.Writer
	next  time.Time // of a line
}

// lineEvery is how often a line is written where there is no terminal.
const lineEvery = 15 * time.Second

func newProgress(w io.Writer, name string, total int) *progress {
	p := &progress{name: name, total: total, start: time.Now()}
	if !terminal(w) {
		p.lines, p.next = w, p.start.Add(lineEvery)
		return p
	}
	p.bars = mpb.New(mpb.WithOutput(w), mpb.WithWidth(40))
	p.bar = p.bars.AddBar(int64(total),
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(name+" ")),
		mpb.AppendDecorators(decor.Percentage(), decor.Name(" "), decor.AverageETA(decor.ET_STYLE_GO, decor.WC{W: 6}), decor.Name(" left")))
	return p
}

// set says that done of the total are done; total may have become another.
func (p *progress) set(done, total int) {
	if p.bar != nil {
		if total != p.total {
			p.total = total
			p.bar.SetTotal(int64(total), false)
		}
		p.bar.SetCurrent(int64(done))
		return
	}
	now := time.Now()
	if done <= 0 || now.Before(p.next) {
		return
	}
	p.next = now.Add(lineEvery)
	left := time.Duration(float64(now.Sub(p.start)) * float64(total-done) / float64(done))
	fmt.Fprintf(p.lines, "%s: %d%%, about %v left\n", p.name, 100*done/max(1, total), left.Round(time.Second))
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		p.bar.Abort(true)
		p.bars.Wait()
	}
}
