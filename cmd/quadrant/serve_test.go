package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The command serves what its flags say until it is interrupted, which is no failure.
func TestServe(t *testing.T) {
	log := filepath.Join(t.TempDir(), "stderr")
	stderr, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"serve", "--model", "tiny-mamba-moe", "--addr", "127.0.0.1:0", "--name", "mine", "--token", "secret", "--window", "64"}, io.Discard, stderr)
	}()
	serving := regexp.MustCompile(`serving mine at (http://\S+)`)
	url := ""
	for url == "" {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if m := serving.FindSubmatch(text); m != nil {
			url = string(m[1])
		}
		select {
		case c := <-code:
			t.Fatalf("exit code %d: %s", c, text)
		case <-time.After(5 * time.Millisecond):
		}
	}
	ask := func(token string) (status int, body string) {
		req, err := http.NewRequest(http.MethodPost, url+"/v1/completions", strings.NewReader(`{"model": "mine", "prompt": "Call me", "max_tokens": 8, "temperature": 0}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(data)
	}
	if status, body := ask("wrong"); status != http.StatusUnauthorized {
		t.Errorf("status %d: %s", status, body)
	}
	status, body := ask("secret")
	var answer struct{ Choices []struct{ Text string } }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK || len(answer.Choices) != 1 {
		t.Fatalf("status %d: %s: %v", status, body, err)
	}
	// What 'generate' writes for the same.
	var stdout strings.Builder
	if c := run(t.Context(), []string{"generate", "--model", "tiny-mamba-moe", "--prompt", "Call me", "--max-tokens", "8"}, &stdout, io.Discard); c != exitOK {
		t.Fatalf("generate: exit code %d", c)
	}
	if got, want := strings.TrimSuffix(answer.Choices[0].Text, "\n"), strings.TrimSuffix(stdout.String(), "\n"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	http.DefaultClient.CloseIdleConnections()
	interrupt()
	if c := <-code; c != exitOK {
		t.Errorf("exit code %d after an interrupt", c)
	}
}
