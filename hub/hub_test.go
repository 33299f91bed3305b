package hub

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseRef(t *testing.T) {
	for text, want := range map[string]Ref{
		"state-spaces/mamba-130m":            {"state-spaces", "mamba-130m", "main"},
		"Zyphra/BlackMamba-1.5B@v1":          {"Zyphra", "BlackMamba-1.5B", "v1"},
		"a/b@refs/pr/3":                      {"a", "b", "refs/pr/3"},
		"a_b/C.d@" + strings.Repeat("0", 40): {"a_b", "C.d", strings.Repeat("0", 40)},
	} {
		if got, err := ParseRef(text); err != nil || got != want {
			t.Errorf("%s is %+v (%v), want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "gpt2", "a/b/c", "/b", "a/", "../b", "a/..", "a/b--c", "a--x/b", "a/b@", "a/b@../../x", "a/b@/x", "a/b@a\\b", "a b/c", "a/b\x00", ".a/b", "-a/b",
		"a/" + strings.Repeat("x", 200),
	} {
		if got, err := ParseRef(text); err == nil || !strings.Contains(err.Error(), "want ") {
			t.Errorf("%q is %+v, error %v", text, got, err)
		}
	}
}

func TestEnvironment(t *testing.T) {
	for _, name := range []string{"HF_ENDPOINT", "HF_TOKEN", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", "/home/x")
	check := func(want string) {
		t.Helper()
		if c, err := FromEnv(); err != nil || c.Cache != filepath.FromSlash(want) || c.Endpoint != "https://huggingface.co" {
			t.Errorf("cache %v (%v), want %s", c, err, want)
		}
	}
	check("/home/x/.cache/huggingface/hub")
	t.Setenv("XDG_CACHE_HOME", "/c")
	check("/c/huggingface/hub")
	t.Setenv("HF_HOME", "/h")
	check("/h/hub")
	t.Setenv("HF_HUB_CACHE", "/k")
	check("/k")
	for _, text := range []string{"huggingface.co", "ftp://x", "http://", ":"} {
		t.Setenv("HF_ENDPOINT", text)
		if _, err := FromEnv(); err == nil || !strings.Contains(err.Error(), "HF_ENDPOINT is") {
			t.Errorf("endpoint %q: %v", text, err)
		}
	}
}

func TestFindBrokenRef(t *testing.T) {
	cache := t.TempDir()
	m := folder{cache, repo{models, ref}}
	if err := os.MkdirAll(filepath.Dir(m.ref()), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.ref(), []byte("../../../etc"), 0o666); err != nil {
		t.Fatal(err)
	}
	if dir, err := find(cache, ref); err == nil || !strings.Contains(err.Error(), "which is no commit") {
		t.Errorf("found %q, error %v", dir, err)
	}
}

func TestCheckRedirect(t *testing.T) {
	request := func(address string) *http.Request {
		r, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer secret")
		return r
	}
	for _, c := range []struct {
		from, to string
		token    bool
		err      string
	}{
		{"https://hub.co/a", "https://hub.co/b", true, ""},
		{"https://hub.co/a", "https://cdn.hub.co/b", false, ""},
		{"https://hub.co/a", "https://hub.co:8443/b", false, ""},
		{"http://hub.co/a", "https://hub.co/b", false, ""},
		{"https://hub.co/a", "http://hub.co/b", false, "redirected from https to http://hub.co/b"},
	} {
		to := request(c.to)
		err := checkRedirect(to, []*http.Request{request(c.from)})
		switch {
		case c.err != "":
			if err == nil || err.Error() != c.err {
				t.Errorf("%s to %s: error %v, want %q", c.from, c.to, err, c.err)
			}
		case err != nil || (to.Header.Get("Authorization") != "") != c.token:
			t.Errorf("%s to %s: token sent: %v (%v), want %v", c.from, c.to, !c.token, err, c.token)
		}
	}
}
