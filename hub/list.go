package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A file is one of a repository's files, as the hub lists it.
type file struct {
	Name   string
	Size   int64
	Digest string // SHA-256 of a large file, or the SHA-1 that git names a small one by; hexadecimal
}

// A listing is what a revision of a repository holds.
type listing struct {
	commit string
	files  map[string]file
}

// list asks what a revision holds.
func (c *Client) list(ctx context.Context, r repo) (listing, error) {
	var answer struct {
		SHA      string `json:"sha"`
		Siblings []struct {
			Name string `json:"rfilename"`
			Size *int64 `json:"size"`
			Blob string `json:"blobId"`
			LFS  *struct {
				SHA256 string `json:"sha256"`
				Size   int64  `json:"size"`
			} `json:"lfs"`
		} `json:"siblings"`
	}
	address := c.Endpoint + r.api + r.Org + "/" + r.Name + "/revision/" + url.PathEscape(r.Revision) + "?blobs=true"
	if err := c.json(ctx, address, &answer); err != nil {
		return listing{}, err
	}
	if !commitPattern.MatchString(answer.SHA) {
		return listing{}, fmt.Errorf("the hub says that %s is commit %.60q, which is none", r, answer.SHA)
	}
	l := listing{answer.SHA, make(map[string]file)}
	for _, s := range answer.Siblings {
		if !safePath(s.Name) {
			return listing{}, fmt.Errorf("the hub lists a file %.200q: the name is refused, for it could be placed outside of its folder", s.Name)
		}
		f := file{Name: s.Name, Size: -1}
		switch {
		case s.LFS != nil:
			f.Size, f.Digest = s.LFS.Size, s.LFS.SHA256
		case s.Size != nil && s.Blob != "":
			f.Size, f.Digest = *s.Size, s.Blob
		}
		l.files[s.Name] = f
	}
	return l, nil
}

// complete asks for the size and digest of a file where the listing does not have them.
func (c *Client) complete(ctx context.Context, r repo, commit string, f file) (file, error) {
	if f.Size < 0 || f.Digest == "" {
		err := c.retry(ctx, f.Name, func() (int64, error) {
			resp, err := c.get(ctx, http.MethodHead, c.address(r, commit, f.Name), 0, 200, 301, 302, 303, 307, 308)
			if err != nil {
				return 0, err
			}
			resp.Body.Close()
			size := resp.Header.Get("X-Linked-Size")
			if size == "" && resp.StatusCode == http.StatusOK {
				size = resp.Header.Get("Content-Length")
			}
			if f.Size, err = strconv.ParseInt(size, 10, 64); err != nil {
				return 0, finalf("%s: the hub says neither in the listing nor when asked how large it is", f.Name)
			}
			etag := resp.Header.Get("X-Linked-Etag")
			if etag == "" {
				etag = resp.Header.Get("ETag")
			}
			f.Digest = strings.Trim(strings.TrimPrefix(etag, "W/"), `"`)
			return 0, nil
		})
		if err != nil {
			return f, err
		}
	}
	switch {
	case f.Size < 0:
		return f, fmt.Errorf("%s: the hub says that it has %d bytes", f.Name, f.Size)
	case !digestPattern.MatchString(f.Digest):
		return f, fmt.Errorf("%s: the hub's digest %.80q is neither SHA-256 nor SHA-1, so the file cannot be verified", f.Name, f.Digest)
	}
	return f, nil
}

// address is where a file is downloaded.
func (c *Client) address(r repo, commit, name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return c.Endpoint + r.page + r.Org + "/" + r.Name + "/resolve/" + commit + "/" + strings.Join(parts, "/")
}

// described are the files beside the weights that are taken if they are there.
var described = []string{
	"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
}

// A form is a format of weights: one file, or an index of several.
type form struct{ single, index string }

// forms are what weights come in, the best first.
var forms = []form{
	{"model.safetensors", "model.safetensors.index.json"},
	{"pytorch_model.bin", "pytorch_model.bin.index.json"},
}

// weights are the names of the files that hold the weights, of which the first may be an
// index that names others.
func (l listing) weights() (names []string, indexed bool, err error) {
	for _, f := range forms {
		if _, ok := l.files[f.index]; ok {
			return []string{f.index}, true, nil
		}
		if _, ok := l.files[f.single]; ok {
			return []string{f.single}, false, nil
		}
	}
	for name := range l.files { // of one file with a name of its own
		if strings.HasSuffix(name, ".safetensors") && !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	if len(names) == 1 {
		return names, false, nil
	}
	return nil, false, fmt.Errorf("the model has no weights in a format that is known: want one of model.safetensors, pytorch_model.bin or their index.json among %s",
		summary(slices.Sorted(maps.Keys(l.files))))
}

func summary(names []string) string {
	if len(names) > 12 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:12], ", "), len(names)-12)
	}
	return strings.Join(names, ", ")
}

// shards are the files that an index names.
func (l listing) shards(index string, data []byte) ([]string, error) {
	var v struct {
		Map map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, fmt.Errorf("%s: %w", index, err)
	}
	names := slices.Compact(slices.Sorted(maps.Values(v.Map)))
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: weight_map names no files", index)
	}
	for _, name := range names {
		if _, ok := l.files[name]; !ok {
			return nil, fmt.Errorf("%s names the file %.200q, which the hub does not list", index, name)
		}
	}
	return names, nil
}
