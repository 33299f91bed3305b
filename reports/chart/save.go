package chart

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"quadrant/internal/atomicfile"
)

// Render writes the picture in a format of [Formats]: "png" at 300 dots per inch, "svg"
// with its font in it, or "pdf". PNG and SVG of equal charts are equal byte for byte; a
// PDF holds the time at which it was made.
func (c Chart) Render(w io.Writer, format string) error {
	cv, err := c.paint(format, false)
	if err != nil {
		return err
	}
	return cv.writeTo(w)
}

// InlineSVG returns the picture as an svg element for a web page. It names its font
// instead of carrying it, with others that are as wide.
func (c Chart) InlineSVG() ([]byte, error) {
	cv, err := c.paint("svg", true)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := cv.writeTo(&b); err != nil {
		return nil, err
	}
	svg := b.Bytes()
	if i := bytes.Index(svg, []byte("<svg")); i > 0 {
		svg = svg[i:] // no XML declaration inside a page
	}
	return linkFonts(svg), nil
}

func (c Chart) paint(format string, linked bool) (*canvas, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	l := newLayout(c)
	cv, err := newCanvas(format, l.w, l.h, linked)
	if err != nil {
		return nil, err
	}
	l.draw(cv)
	return cv, nil
}

// Save draws the picture into the file at path in the format that its extension names.
// The file is whole or, after an error, as it was before.
func (c Chart) Save(path string) error {
	format := strings.ToLower(strings.TrimPrefix(filepath.Ext(path), "."))
	var b bytes.Buffer
	if err := c.Render(&b, format); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return atomicfile.Write(path, func(w io.Writer) error {
		_, err := w.Write(b.Bytes())
		return err
	})
}
