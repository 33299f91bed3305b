// Package hub downloads models and data sets from a hub that speaks Hugging Face's protocol, and finds
// those that are there already.
//
// What is downloaded lies in the cache that Hugging Face's own programs use, in their
// layout, so that neither downloads what the other has:
//
//	HF_HOME/hub/models--ORG--NAME/blobs/DIGEST            the files, by content
//	HF_HOME/hub/models--ORG--NAME/snapshots/COMMIT/FILE   links to them, by name
//	HF_HOME/hub/models--ORG--NAME/refs/REVISION           the commit that a branch or tag is
//
// and data sets in datasets--ORG--NAME.
//
// A server is not trusted: names cannot leave their folder, files cannot be longer than
// the listing says, and no file is placed whose content is not what its digest says.
package hub

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// A Ref names a model or a data set, and which revision of it: a branch, a tag or a commit.
type Ref struct{ Org, Name, Revision string }

var namePattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,95}$`)

// ParseRef reads ORG/NAME or ORG/NAME@REVISION. The revision is otherwise "main".
func ParseRef(text string) (Ref, error) {
	model, revision, given := strings.Cut(text, "@")
	if !given {
		revision = "main"
	}
	org, name, ok := strings.Cut(model, "/")
	for _, part := range []string{org, name} {
		if !ok || !namePattern.MatchString(part) || strings.Contains(part, "--") || strings.Contains(part, "..") {
			return Ref{}, fmt.Errorf("hub: %q is no model: want ORG/NAME or ORG/NAME@REVISION, of a data set too", text)
		}
	}
	if !safePath(revision) {
		return Ref{}, fmt.Errorf("hub: %q: %q is no revision: want a branch, a tag or a commit", text, revision)
	}
	return Ref{org, name, revision}, nil
}

// String is ORG/NAME@REVISION.
func (r Ref) String() string { return r.Org + "/" + r.Name + "@" + r.Revision }

// A kind of repository says where hub and cache have it.
type kind struct{ api, page, cached string }

var (
	models   = kind{"/api/models/", "/", "models--"}
	datasets = kind{"/api/datasets/", "/datasets/", "datasets--"}
)

// A repo is a revision of a repository.
type repo struct {
	kind
	Ref
}

// safePath reports whether a name, with slashes between folders, stays inside the folder
// it is put in, on any system.
func safePath(name string) bool {
	if !fs.ValidPath(name) || name == "." || len(name) > 500 {
		return false
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || strings.ContainsRune(`\:*?"<>|`, r) {
			return false
		}
	}
	return true
}

// A Client talks to a hub. Its zero fields are of no use: see FromEnv.
type Client struct {
	Endpoint string // such as https://huggingface.co
	Token    string // sent to the endpoint only; may be empty
	Cache    string // folder of what was downloaded
	HTTP     *http.Client

	Attempts int           // how often a request is tried that brings nothing
	Wait     time.Duration // before the second attempt; doubles with each
	Idle     time.Duration // how long a server may send nothing

	// Progress, if any, is told the bytes that are here and those there are.
	Progress func(done, total int64)
	// Log, if any, is told what goes wrong and is tried again.
	Log func(format string, args ...any)
}

// FromEnv returns a client as the environment describes it: HF_ENDPOINT, HF_TOKEN,
// HF_HUB_CACHE and HF_HOME, with the defaults of Hugging Face's programs.
func FromEnv() (*Client, error) {
	cache, err := cacheFolder()
	if err != nil {
		return nil, err
	}
	c := &Client{
		Endpoint: "https://huggingface.co", Token: strings.TrimSpace(os.Getenv("HF_TOKEN")), Cache: cache,
		Attempts: 6, Wait: time.Second, Idle: time.Minute,
	}
	if text := os.Getenv("HF_ENDPOINT"); text != "" {
		if err := c.SetEndpoint("HF_ENDPOINT", text); err != nil {
			return nil, err
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = c.Idle
	c.HTTP = &http.Client{Transport: transport, CheckRedirect: checkRedirect}
	return c, nil
}

// SetEndpoint makes the hub the one at address, which the setting called by gives.
func (c *Client) SetEndpoint(by, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("hub: %s is %q, want an address such as https://huggingface.co", by, address)
	}
	c.Endpoint = strings.TrimRight(address, "/")
	return nil
}

// checkRedirect lets requests be sent elsewhere, but not the token, and not from https to
// http.
func checkRedirect(req *http.Request, via []*http.Request) error {
	switch from := via[len(via)-1].URL; {
	case len(via) >= 10:
		return finalf("redirected 10 times")
	case from.Scheme == "https" && req.URL.Scheme != "https":
		return finalf("redirected from https to %s", req.URL.Redacted())
	}
	if req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme {
		req.Header.Del("Authorization")
	}
	return nil
}

func (c *Client) log(format string, args ...any) {
	if c.Log != nil {
		c.Log(format, args...)
	}
}

func cacheFolder() (string, error) {
	if dir := os.Getenv("HF_HUB_CACHE"); dir != "" {
		return dir, nil
	}
	if dir := os.Getenv("HF_HOME"); dir != "" {
		return filepath.Join(dir, "hub"), nil
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "huggingface", "hub"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("hub: there is no home folder for the cache (%w): set HF_HOME", err)
	}
	return filepath.Join(home, ".cache", "huggingface", "hub"), nil
}
