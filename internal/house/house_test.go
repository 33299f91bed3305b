// Package house checks the rules that hold for the repository as a whole.
package house

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quadrant/kernels/kerneltest"
)

const module = "quadrant/"

// mayImport says which packages of this module each package may import; a package that is
// not listed may import none. It is the map of the house: see docs/house.md.
var mayImport = map[string][]string{
	"kernels":             {"internal/enum"},
	"kernels/ref":         {"kernels"},
	"kernels/cpu":         {"kernels", "kernels/cpu/internal/vec"},
	"kernels/cuda":        {"kernels"},
	"kernels/cuda/ptxsim": {"kernels"},
	"kernels/cuda/nvidia": {"kernels/cuda"},
	"kernels/kerneltest":  {"kernels", "kernels/ref"},
	"kernels/device":      {"kernels", "kernels/cpu", "kernels/cuda", "kernels/cuda/nvidia", "kernels/ref"},
	"arch":                {"internal/enum", "kernels"},
	"configs":             {"arch", "internal/enum"},
	"checkpoint":          {"arch", "internal/atomicfile", "kernels"},
	"train":               {"arch", "checkpoint", "corpus", "kernels", "tokenizer"},
	"flops":               {"arch", "kernels"},
	"sweep":               {"arch", "configs", "flops", "kernels"},
	"bench":               {"arch", "internal/stat", "kernels", "results"},
	"evals":               {"arch", "evals/tasks", "internal/python", "kernels", "tokenizer"},
	"evals/generated":     {"corpus/ngram", "evals/tasks", "internal/python"},
	"evals/tasks":         {"internal/parquet", "internal/python"},
	"corpus":              {"internal/parquet"},
	"evals/compare":       {"internal/stat"},
	"serve":               {"arch", "evals", "kernels", "sample", "tokenizer"},
	"hub":                 {"internal/atomicfile"},
	"reports":             {"internal/stat", "reports/chart", "results"},
	"reports/chart":       {"internal/atomicfile"},
	"cmd/quadrant": {
		"arch", "bench", "checkpoint", "configs", "corpus", "corpus/ngram", "evals", "evals/compare", "evals/generated", "evals/tasks", "flops", "hub", "internal/atomicfile", "internal/python", "internal/stat", "kernels",
		"kernels/device", "reports", "reports/chart", "results", "sample", "serve", "sweep", "synth", "tokenizer", "train",
	},
}

func TestImports(t *testing.T) {
	seen := make(map[string]bool)
	packages(t, func(dir string, p *build.Package) {
		seen[dir] = true
		for _, imp := range p.Imports {
			if own, ok := strings.CutPrefix(imp, module); ok && !slices.Contains(mayImport[dir], own) {
				t.Errorf("%s imports %s: the map in this file does not have that arrow", dir, own)
			}
		}
	})
	for dir := range mayImport {
		if !seen[dir] {
			t.Errorf("%s is on the map but not in the tree", dir)
		}
	}
}

func TestEveryPackageHasADocComment(t *testing.T) {
	packages(t, func(dir string, p *build.Package) {
		if p.Doc == "" {
			t.Errorf("%s has none", dir)
		}
	})
}

// The figures are drawn by one package, so that a change of library stays in one room.
func TestPlotIsImportedInOneRoom(t *testing.T) {
	packages(t, func(dir string, p *build.Package) {
		for _, imp := range p.Imports {
			if strings.HasPrefix(imp, "gonum.org/v1/plot") && dir != "reports/chart" {
				t.Errorf("%s imports %s", dir, imp)
			}
		}
	})
}

// The binding to the GPU's driver is imported in one file, behind a build tag.
func TestDriverIsImportedInOneFile(t *testing.T) {
	const binding = "gorgonia.org/cu"
	var files []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range f.Imports {
			if name := strings.Trim(imp.Path.Value, "\""); name == binding || strings.HasPrefix(name, binding+"/") {
				files = append(files, path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{root + "/kernels/cuda/nvidia/driver.go"}; !slices.Equal(files, want) {
		t.Errorf("%s is imported in %v, not in %v", binding, files, want)
	}
}

// Every op has a definition with its gradient, a cost, a check, an executor of each kind
// and a conformance case.
func TestEveryOpIsWhole(t *testing.T) {
	ops := declaredOps(t)
	if len(ops) < 20 {
		t.Fatalf("found only %d ops in kernels: %v", len(ops), slices.Sorted(maps.Keys(ops)))
	}
	for _, device := range []string{"ref", "cpu", "cuda"} {
		handled := switchCases(t, filepath.Join("kernels", device))
		for name := range ops {
			if device == "cuda" && ops[name].training {
				continue // it says so: "is for training"
			}
			if !handled["kernels."+name] {
				t.Errorf("kernels/%s has no case for %s", device, name)
			}
		}
	}
	kept, played := switchCases(t, "kernels"), switchCases(t, "train")
	covered := kerneltest.Covered()
	for name, op := range ops {
		if !kept[name] {
			t.Errorf("kernels: keep does not list %s", name)
		}
		if name == "Enter" || name == "Leave" { // compute nothing
			continue
		}
		if !strings.Contains(op.doc, "\nGradient: ") {
			t.Errorf("kernels.%s: the comment has no line \"Gradient:\" with a formula or a reason for none", name)
		}
		if !strings.Contains(op.doc, "\nGradient: none") && !played["kernels."+name] {
			t.Errorf("train does not play %s backward", name)
		}
		if !op.cost || !op.check {
			t.Errorf("kernels.%s: cost %v, check %v", name, op.cost, op.check)
		}
		if !slices.Contains(covered, name) {
			t.Errorf("kernels/kerneltest has no case for %s", name)
		}
	}
}

type declaredOp struct {
	doc         string
	cost, check bool
	training    bool // declared in a file of training's ops
}

// declaredOps finds the types of package kernels with a Cost and a check method.
func declaredOps(t *testing.T) map[string]*declaredOp {
	docs := make(map[string]string)
	ops := make(map[string]*declaredOp)
	at := func(name string) *declaredOp {
		if ops[name] == nil {
			ops[name] = new(declaredOp)
		}
		return ops[name]
	}
	for file, f := range parse(t, "kernels") {
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if ts, ok := spec.(*ast.TypeSpec); ok {
						docs[ts.Name.Name] = d.Doc.Text() + ts.Doc.Text()
					}
				}
			case *ast.FuncDecl:
				if d.Recv == nil || d.Name.Name != "Cost" && d.Name.Name != "check" {
					continue
				}
				if recv, ok := d.Recv.List[0].Type.(*ast.Ident); ok {
					op := at(recv.Name)
					op.training = strings.HasPrefix(file, "grad_") || file == "ops_train.go"
					op.cost = op.cost || d.Name.Name == "Cost"
					op.check = op.check || d.Name.Name == "check"
				}
			}
		}
	}
	for name, op := range ops {
		op.doc = docs[name]
	}
	return ops
}

// switchCases is the types named in the type switches of a folder's code, without "*".
func switchCases(t *testing.T, dir string) map[string]bool {
	cases := make(map[string]bool)
	for _, f := range parse(t, dir) {
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.TypeSwitchStmt); ok {
				for _, clause := range s.Body.List {
					for _, e := range clause.(*ast.CaseClause).List {
						cases[typeName(e)] = true
					}
				}
			}
			return true
		})
	}
	return cases
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.SelectorExpr:
		return typeName(e.X) + "." + e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}

const root = "../.."

// parse parses the Go files of a folder, without tests.
func parse(t *testing.T, dir string) map[string]*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]*ast.File)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = f
	}
	return files
}

func packages(t *testing.T, f func(dir string, p *build.Package)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); path != root && (name[0] == '.' || name[0] == '_' || name == "testdata") {
			return filepath.SkipDir
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		p, err := build.ImportDir(abs, 0)
		if _, none := err.(*build.NoGoError); none {
			return nil
		}
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, path)
		if len(p.GoFiles) > 0 {
			f(filepath.ToSlash(dir), p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Nothing in the tree is larger than a source file should be: no weights, no data, no
// generated reports.
func TestNoLargeFiles(t *testing.T) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == ".git" || d.Name() == "quadrant-out" {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := os.Stat(path)
		if err == nil && info.Size() > 1<<20 && filepath.Ext(path) != "" {
			t.Errorf("%s has %d bytes", path, info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
