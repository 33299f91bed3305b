// Package kernels is the op set: the operations that language-model blocks are made
// of, each with what it computes, the shapes it needs and what it costs.
//
// It computes nothing. An [Op] is a plain value and a [Device] is whatever reads the
// stream of them: an executor (kernels/ref in float64, kernels/cpu fast), a counter
// of FLOPs, a timer, a watcher of the router. There is one description of a model's
// work and many readers of it, so a count cannot drift from what runs.
//
// # Conventions
//
// A matrix is row-major; its rows are tokens and its columns features. An op over
// several sequences has rows in sequence-major order: with Seqs sequences and n
// tokens of each, row s·n+t is token t of sequence s.
//
// A cost counts a multiply-add as two FLOPs and every exp, log, division, root and
// comparison as one. It is the work that the definition asks for: a kernel may do more
// (a mask applied after a full product), it may not claim more.
//
// # NaN and infinity
//
// Ops compute with NaN and infinities as their formulas do in IEEE arithmetic. Where a formula
// gives NaN because an operand holds one, a device gives NaN. Where it gives NaN or an infinity
// because an operand holds an infinity, a device gives either, not a number that looks right:
// which of the two depends on how it computes exp. Elements that such an operand takes no part
// in are not touched by it. Choices ([ArgMax], [Route]) never take a NaN while there is a number.
//
// # Gradients
//
// Every op's comment has a line "Gradient:" with the formula of its gradient, or the
// reason why it has none. g is the gradient of the op's output. The op that computes it is
// named after it (MatMulGradA and MatMulGradB for [MatMul]) and follows one rule:
//
//   - a gradient of an activation is set, a gradient of a weight is added to: weights
//     gather gradients over a batch, and a caller zeroes them first. Where several ops
//     read an activation, [Add] brings their gradients together;
//   - the exceptions are the norms, whose DX is the gradient of the residual stream and
//     therefore added to.
//
// A gradient op assumes that its sequences began at the first token of the step: caches and
// states that came before receive no gradient.
package kernels
