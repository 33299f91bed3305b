// Package checkpoint holds weights on disk: tensors by name, their bytes mapped from the
// file and widened only when asked. Files come from strangers, so every length, offset
// and shape is checked against the file before it is used, and what is wrong is said
// with both numbers.
//
// Formats: safetensors ([ReadSafetensors], [WriteSafetensors]). A tensor looks the same
// whatever format it came from; see [Tensor].
package checkpoint
