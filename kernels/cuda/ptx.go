package cuda

import (
	"embed"
	"path"
	"strings"
)

// kern holds the kernels as compiled; kern/build.sh makes them.
//
//go:embed kern/*.ptx
var kern embed.FS

// A module is a PTX text.
type module struct{ name, ptx string }

// modules are those for a GPU of the given compute capability: NAME_90a is for 9.0 alone, NAME_90
// for that and later ones.
func modules(major, minor int) (all []module) {
	files, err := kern.ReadDir("kern")
	if err != nil {
		panic(err) // it is built in
	}
	for _, f := range files {
		name := strings.TrimSuffix(f.Name(), ".ptx")
		if strings.HasSuffix(name, "_90a") && !has90a(major, minor) || strings.HasSuffix(name, "_90") && !has90(major) {
			continue
		}
		text, err := kern.ReadFile(path.Join("kern", f.Name()))
		if err != nil {
			panic(err)
		}
		all = append(all, module{name, string(text)})
	}
	return all
}

// has90a reports whether GPUs of a compute capability have the instructions of 9.0 that no other has.
func has90a(major, minor int) bool { return major == 9 && minor == 0 }

// has90 reports whether GPUs of a compute capability copy pieces of memory by one instruction.
func has90(major int) bool { return major >= 9 }
