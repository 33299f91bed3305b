package main

import (
	"fmt"
	"io"
	"time"

	"quadrant/reports"
)

// A trainStatus shows how training goes: on a terminal one line that changes, elsewhere a
// line now and then.
type trainStatus struct {
	w        io.Writer
	terminal bool
	name     string
	last     int     // step
	flops    float64 // of a step
	peak     float64 // FLOP/s; 0 where it is not known
	next     time.Time
	pace     float64 // seconds of a step, averaged over the latest
}

func newTrainStatus(w io.Writer, name string, last int, flops, peak float64) *trainStatus {
	return &trainStatus{w: w, terminal: terminal(w), name: name, last: last, flops: flops, peak: peak, next: time.Now().Add(lineEvery)}
}

// step shows a step that was made.
func (s *trainStatus) step(l stepLine) {
	if s.pace == 0 {
		s.pace = l.Seconds
	}
	s.pace += 0.1 * (l.Seconds - s.pace)
	if now := time.Now(); now.Before(s.next) && l.Step < s.last {
		return
	} else if s.terminal {
		s.next = now.Add(time.Second / 4)
	} else {
		s.next = now.Add(lineEvery)
	}
	tokens := l.Rate * l.Seconds
	text := fmt.Sprintf("%s: step %d/%d, loss %.3f, %s tokens/s", s.name, l.Step, s.last, l.Loss, count(int64(tokens/s.pace)).Text)
	if s.peak > 0 {
		text += fmt.Sprintf(", MFU %.0f %% of %s", 100*s.flops/s.pace/s.peak, reports.Quantity(s.peak, "FLOP/s").Text)
	}
	left := time.Duration(s.pace * float64(s.last-l.Step) * float64(time.Second))
	text += fmt.Sprintf(", %v left", left.Round(time.Second))
	if s.terminal {
		fmt.Fprintf(s.w, "\r\x1b[K%s", text)
		return
	}
	fmt.Fprintln(s.w, text)
}

// end makes room for other lines.
func (s *trainStatus) end() {
	if s.terminal {
		fmt.Fprint(s.w, "\r\x1b[K")
	}
}
