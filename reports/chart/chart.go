// Package chart is a picture as data, and how it is drawn at the quality of a paper. It
// knows nothing of models and measurements: a [Chart] says everything that the picture
// shows, so tests compare charts and tables print their numbers.
//
// Lengths are in points, 1/72 inch. Only canvas.go uses a drawing library, gonum/plot.
package chart

// A Chart is one picture: panels in rows, a legend of their series above and fine print
// below.
type Chart struct {
	Title   string  // names the picture; not drawn
	Caption string  // what it shows and how that was measured; not drawn
	Note    string  // fine print under the panels, wrapped; drawn
	Width   Width   // of the picture
	Columns int     // panels in a row; 0 is as many as there are
	Panels  []Panel // at least one, row after row
}

// A Width is that of a column of a journal.
type Width int

const (
	Single Width = iota // 8.5 cm
	Double              // 17.5 cm
)

// A Panel is a part of the picture that has axes of its own. Exactly one of Lines,
// Shares, Heat and Diagram is set.
type Panel struct {
	Title string // above it
	Note  string // under the title, smaller
	X, Y  Axis   // a Diagram has none; of Shares and Heat only the labels are used

	Lines   *Lines
	Shares  *Shares
	Heat    *Heat
	Diagram *Diagram
}

// An Axis says what lies along it. Panels whose axes are equal share one range.
type Axis struct {
	Label string
	Unit  string // base unit of the values: "s", "B", "FLOP" or "", which says none
	Scale Scale
}

// A Scale is how values are laid along an axis. On a logarithmic one they must be
// above 0.
type Scale int

const (
	Linear Scale = iota // from 0 if no value is below
	Log2                // ticks at powers of two
	Log10               // ticks at 1, 2, 5, 10, …
)

// Lines are series of points.
type Lines struct {
	Series []Series
	Of     string // what a series is of, in tables; "" is a model
}

// A Series is a line through points. Series of the same name in several panels share a
// legend entry.
type Series struct {
	Name   string  // in the legend
	Note   string  // under the name, smaller
	Look   Look    // of its line and marks
	Points []Point // X ascending, unless no line joins them
}

// A Point is a median, or a value that has no spread.
type Point struct {
	X, Y     float64
	Lo, Hi   float64 // interval of Y; both Y if there is none
	N        int     // samples; 0 if Y was counted, not measured
	Coverage float64 // probability that the interval holds the true median
}

// Shares are bars side by side, each a whole divided among parts.
type Shares struct {
	Bars    []string    // names of the bars, along x
	Parts   []string    // names of the parts, from the bottom
	Share   [][]float64 // [bar][part], NaN where a bar lacks the part; the rest sum to 1
	Above   []string    // a number above each bar; nil is none
	AboveIs string      // what those numbers are, in a word or two
	Legend  string      // title of the legend of parts
}

// Heat is a matrix of ratios to what would be even, 1, as colours and numbers. The
// colours are symmetric in the logarithm: half is as blue as twice is red.
type Heat struct {
	Columns, Rows []string    // names; rows from the bottom
	Value         [][]float64 // [row][column], at least 0; NaN where there is none
	Legend        string      // title of the colour bar
}

// A Diagram is boxes on a stream that flows upward, with branches that leave the stream
// and are added back to it.
type Diagram struct{ Flow []Node } // from the bottom

// A Node is one part of a flow. Exactly one field is set.
type Node struct {
	Box    *Box    // the stream passes through it
	Add    *Add    // branches beside the stream
	Repeat *Repeat // a part that repeats
}

// Add is one or two branches that read the stream at one place; what they return is
// added to it.
type Add struct{ Branches [][]Box } // each from the bottom

// Repeat is a flow that occurs Times times in a row.
type Repeat struct {
	Times int
	Flow  []Node
}

// A Box is a step of a diagram.
type Box struct {
	Text   string
	Detail string // under the text, smaller, wrapped
	Tint   Color  // of its background
	Many   bool   // drawn as a stack of boxes
}
