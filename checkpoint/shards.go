package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// openShards opens the files that an index of transformers lists:
//
//	{"metadata": {...}, "weight_map": {name of a tensor: file beside the index, ...}}
//
// What the index and the files disagree on is an error that says all of it.
func openShards(path string) (*Weights, error) {
	places, err := readIndex(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %s: %w", path, err)
	}
	files := slices.Compact(slices.Sorted(maps.Values(places)))
	var absent []string
	for _, file := range files {
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), file)); err != nil {
			absent = append(absent, file)
		}
	}
	if len(absent) > 0 {
		return nil, fmt.Errorf("checkpoint: %s: %d of %d files are missing: %s", path, len(absent), len(files), strings.Join(absent, ", "))
	}
	w := &Weights{index: map[string]int{}}
	var errs []error
	for _, file := range files {
		from := len(w.Tensors)
		if err := w.add(filepath.Join(filepath.Dir(path), file)); err != nil {
			errs = append(errs, err)
			continue
		}
		for _, t := range w.Tensors[from:] {
			switch place, ok := places[t.Name]; {
			case !ok:
				errs = append(errs, fmt.Errorf("checkpoint: %s does not list tensor %q of %s", path, t.Name, file))
			case place != file:
				errs = append(errs, fmt.Errorf("checkpoint: tensor %q is in %s, but %s says %s", t.Name, file, path, place))
			}
		}
	}
	if len(errs) == 0 {
		for _, name := range slices.Sorted(maps.Keys(places)) {
			if _, ok := w.index[name]; !ok {
				errs = append(errs, fmt.Errorf("checkpoint: tensor %q is not in %s, where %s says it is", name, places[name], path))
			}
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(append(errs, w.Close())...)
	}
	return w, nil
}

// maxIndex bounds an index, in bytes: that of a model with 90,000 tensors has 9 million.
const maxIndex = 1 << 25

// readIndex returns the file of each tensor.
func readIndex(path string) (map[string]string, error) {
	data, err := readSmall(path, maxIndex)
	if err != nil {
		return nil, err
	}
	index, err := parseObject(data)
	if err != nil {
		return nil, err
	}
	places := map[string]string{}
	list, ok := index["weight_map"].(map[string]any)
	if !ok || len(list) == 0 {
		return nil, errors.New("it has no weight_map that says which file each tensor is in")
	}
	for name, v := range list {
		file, ok := v.(string)
		if !ok || file == "" || file == "." || file == ".." || strings.ContainsAny(file, `/\`+"\x00") {
			return nil, fmt.Errorf("weight_map: tensor %q is in %.100q, want the name of a file in the same folder", name, fmt.Sprint(v))
		}
		places[name] = file
	}
	return places, nil
}

// readSmall reads a file of at most limit bytes.
func readSmall(path string, limit int) ([]byte, error) {
	f, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > limit {
		return nil, fmt.Errorf("%s has %d bytes, want at most %d", path, size, limit)
	}
	return io.ReadAll(io.LimitReader(f, int64(limit)))
}
