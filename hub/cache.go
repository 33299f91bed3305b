package hub

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"quadrant/internal/atomicfile"
)

// Find returns the folder of a model, ORG/NAME or ORG/NAME@REVISION, in the cache. The
// error is fs.ErrNotExist if it is not there.
func Find(name string) (string, error) {
	r, err := ParseRef(name)
	if err != nil {
		return "", err
	}
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	return find(cache, r)
}

func find(cache string, r Ref) (string, error) {
	m := folder{cache, repo{models, r}}
	commit := r.Revision
	f, err := os.Open(m.ref())
	if err == nil {
		var text []byte
		text, err = io.ReadAll(io.LimitReader(f, 100))
		f.Close()
		if commit = strings.TrimSpace(string(text)); err == nil && !commitPattern.MatchString(commit) {
			return "", fmt.Errorf("hub: %s holds %q, which is no commit: remove it and pull %s again", m.ref(), commit, r)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("hub: %w", err)
	}
	if commitPattern.MatchString(commit) {
		dir := m.snapshot(commit)
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir, nil
		}
	}
	return "", fmt.Errorf("hub: %s is not in the cache %s: 'quadrant pull %s' downloads it: %w", r, cache, r, fs.ErrNotExist)
}

var (
	commitPattern = regexp.MustCompile(`^[0-9a-f]{40}$`)
	digestPattern = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

// A folder is where a repository lies in the cache.
type folder struct {
	cache string
	repo
}

func (m folder) path(parts ...string) string {
	root := filepath.Join(m.cache, m.cached+m.Org+"--"+m.Name)
	return filepath.Join(append([]string{root}, parts...)...)
}

func (m folder) ref() string                   { return m.path("refs", filepath.FromSlash(m.Revision)) }
func (m folder) snapshot(commit string) string { return m.path("snapshots", commit) }
func (m folder) blob(digest string) string     { return m.path("blobs", digest) }

// link makes files part of the snapshot of a commit, and the revision that commit.
func (m folder) link(commit string, files []file) error {
	for _, f := range files {
		name := filepath.Join(m.snapshot(commit), filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			return err
		}
		target, err := filepath.Rel(filepath.Dir(name), m.blob(f.Digest))
		if err != nil {
			return err
		}
		if err := symlink(target, name); err != nil {
			return err
		}
	}
	if m.Revision == commit {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(m.ref()), 0o777); err != nil {
		return err
	}
	return atomicfile.Write(m.ref(), func(w io.Writer) error {
		_, err := io.WriteString(w, commit)
		return err
	})
}

// symlink makes name a link to target, whatever it was before.
func symlink(target, name string) error {
	if old, err := os.Readlink(name); err == nil && old == target {
		return nil
	}
	temporary := name + ".link"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, temporary); err != nil {
		return err
	}
	return os.Rename(temporary, name)
}
