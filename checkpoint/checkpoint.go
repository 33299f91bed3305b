// Package checkpoint holds published models: tensors by name in files, and what they are
// the weights of.
//
//	path → Weights (tensors by name)                       [OpenWeights]
//	path → Checkpoint (config.json) → arch.Model           [Open], [Checkpoint.Load]
//	arch.Model → folder that its own project loads         [Export]
//
// Tensors come from safetensors files ([ReadSafetensors]) and from those of torch.save
// ([ReadTorch]), whole or in shards; a [Tensor] looks the same whatever it came from. Bytes
// are mapped from the file and widened only when asked, and weights go to a device straight
// from the mapping.
//
// A family is a project's way to publish models: which keys config.json has, and which
// tensor holds what. The families are a table in family.go, each with a file of its own.
// Loading is strict: every tensor is accounted for, and all that is wrong is told at once.
//
// Files come from strangers. Every length, offset, shape and reference is checked against
// the file before it is used, what is wrong is said with both numbers, and pickles are
// carried out with an allow-list that can only describe arrays.
package checkpoint
