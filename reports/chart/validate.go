package chart

import (
	"errors"
	"fmt"
	"math"
)

// Validate returns the first thing wrong with c: what it asks to draw cannot be drawn.
func (c Chart) Validate() error {
	if len(c.Panels) == 0 {
		return errors.New("chart: no panels")
	}
	if c.Width != Single && c.Width != Double {
		return fmt.Errorf("chart: width %d is unknown", c.Width)
	}
	if c.Columns < 0 {
		return fmt.Errorf("chart: %d columns", c.Columns)
	}
	for i, p := range c.Panels {
		if err := p.validate(); err != nil {
			return fmt.Errorf("chart: panel %d %q: %w", i, p.Title, err)
		}
	}
	return nil
}

func (p Panel) validate() error {
	n := 0
	var err error
	if p.Lines != nil {
		n, err = n+1, p.Lines.validate(p.X, p.Y)
	}
	if p.Shares != nil {
		n, err = n+1, p.Shares.validate()
	}
	if p.Heat != nil {
		n, err = n+1, p.Heat.validate()
	}
	if p.Diagram != nil {
		n, err = n+1, validateFlow(p.Diagram.Flow)
	}
	if n != 1 {
		return fmt.Errorf("%d of lines, shares, heat and diagram are set, want one", n)
	}
	return err
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// check wants a value that the axis can show.
func (a Axis) check(what string, v float64) error {
	if !finite(v) {
		return fmt.Errorf("%s is %v, want a number", what, v)
	}
	if a.Scale != Linear && v <= 0 {
		return fmt.Errorf("%s is %v, but a logarithmic axis shows only values above 0", what, v)
	}
	return nil
}

func (l Lines) validate(x, y Axis) error {
	for _, a := range []Axis{x, y} {
		if a.Scale < Linear || a.Scale > Log10 {
			return fmt.Errorf("axis %q: scale %d is unknown", a.Label, a.Scale)
		}
	}
	points := 0
	for _, s := range l.Series {
		for i, p := range s.Points {
			at := fmt.Sprintf("series %q: point %d: ", s.Name, i)
			if err := x.check(at+"x", p.X); err != nil {
				return err
			}
			if err := y.check(at+"y", p.Y); err != nil {
				return err
			}
			// An interval may reach 0 on a logarithmic axis: it is drawn to the axis' end.
			if !(finite(p.Lo) && finite(p.Hi) && p.Lo <= p.Y && p.Y <= p.Hi) {
				return fmt.Errorf("%sinterval %v to %v does not hold y = %v", at, p.Lo, p.Hi, p.Y)
			}
			if i > 0 && s.Look.Dash != NoLine && p.X <= s.Points[i-1].X {
				return fmt.Errorf("%sx is %v, not above %v before it", at, p.X, s.Points[i-1].X)
			}
		}
		points += len(s.Points)
	}
	if points == 0 {
		return errors.New("lines without points")
	}
	return nil
}

func (s Shares) validate() error {
	if len(s.Bars) == 0 || len(s.Parts) == 0 {
		return fmt.Errorf("%d bars of %d parts, want at least one of each", len(s.Bars), len(s.Parts))
	}
	if len(s.Share) != len(s.Bars) || s.Above != nil && len(s.Above) != len(s.Bars) {
		return fmt.Errorf("%d bars, but shares of %d and words above %d", len(s.Bars), len(s.Share), len(s.Above))
	}
	for i, bar := range s.Share {
		if len(bar) != len(s.Parts) {
			return fmt.Errorf("bar %q: %d shares of %d parts", s.Bars[i], len(bar), len(s.Parts))
		}
		sum := 0.0
		for j, v := range bar {
			if math.IsNaN(v) {
				continue
			}
			if v < 0 || v > 1+1e-9 {
				return fmt.Errorf("bar %q: share of %q is %v, want 0 to 1", s.Bars[i], s.Parts[j], v)
			}
			sum += v
		}
		if math.Abs(sum-1) > 1e-6 {
			return fmt.Errorf("bar %q: shares sum to %v, want 1", s.Bars[i], sum)
		}
	}
	return nil
}

func (h Heat) validate() error {
	if len(h.Rows) == 0 || len(h.Columns) == 0 {
		return fmt.Errorf("%d rows and %d columns, want at least one of each", len(h.Rows), len(h.Columns))
	}
	if len(h.Value) != len(h.Rows) {
		return fmt.Errorf("%d rows, but values of %d", len(h.Rows), len(h.Value))
	}
	for i, row := range h.Value {
		if len(row) != len(h.Columns) {
			return fmt.Errorf("row %q: %d values for %d columns", h.Rows[i], len(row), len(h.Columns))
		}
		for j, v := range row {
			if v < 0 || math.IsInf(v, 0) {
				return fmt.Errorf("row %q, column %q: %v, want a number of at least 0", h.Rows[i], h.Columns[j], v)
			}
		}
	}
	return nil
}

func validateFlow(flow []Node) error {
	if len(flow) == 0 {
		return errors.New("a flow without nodes")
	}
	for i, n := range flow {
		set := 0
		var err error
		if n.Box != nil {
			set++
		}
		if n.Add != nil {
			set++
			if b := len(n.Add.Branches); b != 1 && b != 2 {
				err = fmt.Errorf("%d branches, want 1 or 2", b)
			}
			for _, b := range n.Add.Branches {
				if err == nil && len(b) == 0 {
					err = errors.New("a branch without boxes")
				}
			}
		}
		if n.Repeat != nil {
			set++
			err = validateFlow(n.Repeat.Flow)
			if n.Repeat.Times < 1 {
				err = fmt.Errorf("repeats %d times", n.Repeat.Times)
			}
		}
		if set != 1 {
			err = fmt.Errorf("%d of box, add and repeat are set, want one", set)
		}
		if err != nil {
			return fmt.Errorf("node %d: %w", i, err)
		}
	}
	return nil
}
