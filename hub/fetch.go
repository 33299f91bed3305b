package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// A fetch is the download of one file, under another name until it is whole.
type fetch struct {
	*Client
	file
	url  string
	path string // where it goes
	part string // what has come so far
	told func(done int64)
	hash hash.Hash // of what has come so far
}

// digest is the hash that the file's digest is of, fed with what comes before the content.
func (f *fetch) digest() hash.Hash {
	if len(f.Digest) == 2*sha256.Size {
		return sha256.New()
	}
	h := sha1.New() // git's name of a blob
	fmt.Fprintf(h, "blob %d\x00", f.Size)
	return h
}

// have reports whether the file is there with the right content.
func (f *fetch) have() bool {
	in, err := os.Open(f.path)
	if err != nil {
		return false
	}
	defer in.Close()
	h := f.digest()
	n, err := io.Copy(h, io.LimitReader(in, f.Size+1))
	return err == nil && n == f.Size && hex.EncodeToString(h.Sum(nil)) == f.Digest
}

// run downloads the file unless it is there. A part that an earlier run left is gone on
// from; if its content turns out wrong, the file is downloaded once more from the start.
func (f *fetch) run(ctx context.Context) error {
	if f.have() {
		f.told(f.Size)
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o777); err != nil {
		return err
	}
	err := f.whole(ctx)
	var w *wrongContent
	if errors.As(err, &w) && w.resumed {
		f.log("%v; downloading it from the start", err)
		err = f.whole(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	return nil
}

// A wrongContent is a file that is not what its digest says.
type wrongContent struct {
	got, want string
	resumed   bool
}

func (e *wrongContent) Error() string {
	return fmt.Sprintf("the content has digest %s, but the hub says %s: it was damaged on the way or replaced; nothing was kept", e.got, e.want)
}

// whole downloads the part until it is whole, verifies it and puts it in its place.
func (f *fetch) whole(ctx context.Context) (err error) {
	out, err := os.OpenFile(f.part, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	open := true
	defer func() {
		if open {
			err = errors.Join(err, out.Close())
		}
	}()
	f.hash = f.digest()
	have, err := io.Copy(f.hash, io.LimitReader(out, f.Size))
	if err != nil {
		return err
	}
	if info, err := out.Stat(); err != nil || info.Size() > f.Size { // not a part of this file
		if have, err = f.restart(out); err != nil {
			return err
		}
	}
	resumed := have > 0
	f.told(have)
	err = f.retry(ctx, f.Name, func() (int64, error) {
		if have == f.Size {
			return 0, nil
		}
		before := have
		var err error
		have, err = f.attempt(ctx, out, have)
		return have - before, err
	})
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(f.hash.Sum(nil)); got != f.Digest {
		return errors.Join(&wrongContent{got, f.Digest, resumed}, os.Remove(f.part))
	}
	if err := out.Sync(); err != nil {
		return err
	}
	open = false
	if err := out.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.part, f.path); err != nil {
		if errors.Is(err, fs.ErrNotExist) && f.have() {
			return nil // another process was faster
		}
		return err
	}
	return nil
}

// restart forgets what has come.
func (f *fetch) restart(out *os.File) (int64, error) {
	f.hash = f.digest()
	err := out.Truncate(0)
	if err == nil {
		_, err = out.Seek(0, io.SeekStart)
	}
	return 0, err
}

// attempt asks for what is missing and returns how much there is then.
func (f *fetch) attempt(ctx context.Context, out *os.File, have int64) (int64, error) {
	resp, err := f.get(ctx, http.MethodGet, f.url, have, http.StatusOK, http.StatusPartialContent)
	if err != nil {
		var s *statusError
		if errors.As(err, &s) && s.status == http.StatusRequestedRangeNotSatisfiable {
			have, err = f.restart(out)
			return have, errors.Join(err, fmt.Errorf("the server does not have byte %d on", have))
		}
		return have, err
	}
	defer resp.Body.Close()
	total := resp.ContentLength // −1 if the server does not say
	if resp.StatusCode == http.StatusPartialContent {
		var first, last int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &total); err != nil || first != have || last < first || last >= total {
			return have, finalf("the server answered a request for bytes %d on with the range %q", have, resp.Header.Get("Content-Range"))
		}
	} else if have > 0 {
		f.log("%s: the server does not resume; downloading it from the start", f.Name)
		if have, err = f.restart(out); err != nil {
			return 0, &finalError{err}
		}
	}
	if total >= 0 && total != f.Size {
		return have, finalf("the server sends a file of %d bytes, but the listing says %d", total, f.Size)
	}
	if _, err := out.Seek(have, io.SeekStart); err != nil {
		return have, &finalError{err}
	}
	return f.copy(out, resp.Body, have)
}

// copy takes what comes, at most what is missing.
func (f *fetch) copy(out *os.File, body io.Reader, have int64) (int64, error) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := body.Read(buffer)
		if int64(n) > f.Size-have {
			return have, finalf("the server sends more than the %d bytes that the listing says", f.Size)
		}
		if n > 0 {
			if _, err := out.Write(buffer[:n]); err != nil {
				return have, &finalError{err}
			}
			f.hash.Write(buffer[:n])
			have += int64(n)
			f.told(have)
		}
		switch {
		case err == io.EOF && have == f.Size:
			return have, nil
		case err == io.EOF:
			return have, fmt.Errorf("the connection ended after %d of %d bytes: %w", have, f.Size, io.ErrUnexpectedEOF)
		case err != nil:
			return have, fmt.Errorf("after %d of %d bytes: %w", have, f.Size, err)
		}
	}
}

// partName is the name that a file has until it is whole, with its digest, so that no part
// of one revision's file is taken for another's.
func partName(path, digest string) string {
	if strings.HasSuffix(path, digest) {
		return path + ".incomplete"
	}
	return filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%s.incomplete", filepath.Base(path), digest[:12]))
}
