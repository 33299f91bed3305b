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

func modules() (all []module) {
	files, err := kern.ReadDir("kern")
	if err != nil {
		panic(err) // it is built in
	}
	for _, f := range files {
		text, err := kern.ReadFile(path.Join("kern", f.Name()))
		if err != nil {
			panic(err)
		}
		all = append(all, module{strings.TrimSuffix(f.Name(), ".ptx"), string(text)})
	}
	return all
}
