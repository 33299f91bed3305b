package serve_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"quadrant/serve"
)

// What is asked wrongly is answered with what is wrong, and where.
func TestRequests(t *testing.T) {
	r := start(t, "mamba", serve.Options{Window: 32, Prompts: 3, Body: 2000, Pending: 100_000})
	for _, c := range []struct {
		body   string
		status int
		param  string
		want   string // in the message; of a good request, in the text of its first choice
	}{
		{`{"prompt": "ab", "max_tokens": 0, "echo": true}`, 200, "", "ab"},
		{`{"prompt": ["ab", "cd"], "max_tokens": 0, "echo": true}`, 200, "", "ab"},
		{`{"prompt": [97, 98], "max_tokens": 0, "echo": true}`, 200, "", "ab"},
		{`{"prompt": [[97, 98], [99]], "max_tokens": 0, "echo": true}`, 200, "", "ab"},
		{` { "prompt" : [ [ 97 , 98 ] ] , "max_tokens":0,"echo":true } `, 200, "", "ab"},
		{`{"prompt": "ab", "max_tokens": 0}`, 200, "", ""},
		{`{"prompt": "a", "echo": true, "logprobs": 1, "max_tokens": 0}`, 200, "", "a"},
		{`{"prompt": "ab", "model": "tiny", "n": 1, "best_of": 1, "suffix": null, "logit_bias": {}, "user": "me", "presence_penalty": 0, "stop": null, "logprobs": null, "max_tokens": null, "stream": null, "stop": []}`, 200, "", ""},

		{``, 400, "", "not JSON"},
		{`{`, 400, "", "not JSON"},
		{`{"prompt": "x"} x`, 400, "", "goes on after the request"},
		{`{"prompt": "x"}}`, 400, "", "goes on after the request"},
		{`[]`, 400, "", "type array, want an object"},
		{`"x"`, 400, "", "type string, want an object"},
		{strings.Repeat("[", 1900), 400, "", "not JSON"},
		{`{}`, 400, "prompt", "prompt is missing"},
		{`{"prompt": null}`, 400, "prompt", "prompt is missing"},
		{`{"prompt": 7}`, 400, "prompt", "want a string, a list"},
		{`{"prompt": {}}`, 400, "prompt", "want a string, a list"},
		{`{"prompt": []}`, 400, "prompt", "none empty"},
		{`{"prompt": ""}`, 400, "prompt", "prompt 0 has no tokens"},
		{`{"prompt": ["a", ""]}`, 400, "prompt", "prompt 1 has no tokens"},
		{`{"prompt": [[97], []]}`, 400, "prompt", "prompt 1 has no tokens"},
		{`{"prompt": ["a", 1]}`, 400, "prompt", "1 is no string"},
		{`{"prompt": ["a", null]}`, 400, "prompt", "null is no string"},
		{`{"prompt": [1, "a"]}`, 400, "prompt", `"a" is no token id`},
		{`{"prompt": [1, null]}`, 400, "prompt", "null is no token id"},
		{`{"prompt": [1, [2]]}`, 400, "prompt", "[2] is no token id"},
		{`{"prompt": [[1], 2]}`, 400, "prompt", "a number is no list of token ids"},
		{`{"prompt": [1.5]}`, 400, "prompt", "1.5 is no token id"},
		{`{"prompt": [1e2]}`, 400, "prompt", "1e2 is no token id"},
		{`{"prompt": [99999999999]}`, 400, "prompt", "99999999999 is no token id"},
		{`{"prompt": [1, 256]}`, 400, "prompt", "token id 256 at position 1 is out of range: the vocabulary has 256"},
		{`{"prompt": [-1]}`, 400, "prompt", "token id -1"},
		{`{"prompt": ["a", "b", "c", "d"]}`, 400, "prompt", "a list of 4, want at most 3"},
		{`{"prompt": [[1], [1], [1], [1]]}`, 400, "prompt", "a list of 4, want at most 3"},
		{`{"prompt": "` + strings.Repeat("x", 33) + `", "max_tokens": 0}`, 400, "prompt", "prompt 0 has 33 tokens and max_tokens is 0: together at most 32"},
		{`{"prompt": "xxxx", "max_tokens": 29}`, 400, "prompt", "together at most 32"},
		{`{"prompt": "x", "max_tokens": 9223372036854775807}`, 400, "prompt", "together at most 32"},
		{`{"prompt": "x", "max_tokens": -1}`, 400, "max_tokens", "max_tokens is -1"},
		{`{"prompt": "x", "max_tokens": "5"}`, 400, "max_tokens", "max_tokens is of type string, want int"},
		{`{"prompt": "x", "max_tokens": 1.5}`, 400, "max_tokens", "max_tokens is of type number 1.5"},
		{`{"prompt": "x", "logprobs": 6}`, 400, "logprobs", "logprobs is 6, want 0 to 5"},
		{`{"prompt": "x", "logprobs": -1}`, 400, "logprobs", "logprobs is -1"},
		{`{"prompt": "x", "logprobs": true}`, 400, "logprobs", "type bool"},
		{`{"prompt": "x", "echo": 1}`, 400, "echo", "echo is of type number"},
		{`{"prompt": "x", "temperature": -1}`, 400, "", "temperature is -1"},
		{`{"prompt": "x", "temperature": 1e999}`, 400, "temperature", "temperature is of type number 1e999"},
		{`{"prompt": "x", "top_p": 0}`, 400, "top_p", "top_p is 0"},
		{`{"prompt": "x", "top_p": 1.1}`, 400, "", "top-p is 1.1"},
		{`{"prompt": "x", "top_k": -1}`, 400, "", "top-k is -1"},
		{`{"prompt": "x", "seed": "1"}`, 400, "seed", "seed is of type string"},
		{`{"prompt": "x", "stop": ""}`, 400, "stop", "stop 0 has 0 bytes"},
		{`{"prompt": "x", "stop": ["a", null]}`, 400, "stop", "null is no string"},
		{`{"prompt": "x", "stop": 5}`, 400, "stop", "5 is no string"},
		{`{"prompt": "x", "stop": [` + strings.Repeat(`"a",`, 16) + `"a"]}`, 400, "stop", "stop has 17 texts, want at most 16"},
		{`{"prompt": "x", "stop": "` + strings.Repeat("a", 1025) + `"}`, 400, "stop", "stop 0 has 1025 bytes"},
		{`{"prompt": "x", "stream_options": {"include_usage": true}}`, 400, "stream_options", "without stream"},
		{`{"prompt": "x", "n": 2}`, 400, "n", "n is 2"},
		{`{"prompt": "x", "best_of": 3}`, 400, "best_of", "best_of is 3"},
		{`{"prompt": "x", "presence_penalty": 1}`, 400, "presence_penalty", "not supported"},
		{`{"prompt": "x", "frequency_penalty": -1}`, 400, "frequency_penalty", "not supported"},
		{`{"prompt": "x", "logit_bias": {"5": 1}}`, 400, "logit_bias", "not supported"},
		{`{"prompt": "x", "suffix": "y"}`, 400, "suffix", "not supported"},
		{`{"prompt": "x", "max_token": 5}`, 400, "max_token", `field "max_token" is unknown here`},
		{`{"prompt": "x", "model": "gpt-4"}`, 404, "", `model "gpt-4" is not served here: want "tiny"`},
		{`{"prompt": "` + strings.Repeat("x", 2000) + `"}`, 413, "", "more than 2000 bytes"},
	} {
		status, got := r.post(t, c.body)
		if status != c.status {
			t.Errorf("%.80s: status %d, want %d: %+v", c.body, status, c.status, got.Error)
			continue
		}
		if status == 200 {
			if !strings.HasPrefix(got.Choices[0].Text, c.want) {
				t.Errorf("%.80s: %+v, want %q", c.body, got.Choices[0], c.want)
			}
			continue
		}
		if e := got.Error; e == nil || !strings.Contains(e.Message, c.want) || e.Param != c.param || e.Type != "invalid_request_error" {
			t.Errorf("%.80s: %+v, want %q, param %q", c.body, e, c.want, c.param)
		}
	}
}

// send is a request with what else there is to choose, and the answer.
func send(t *testing.T, client *http.Client, method, url, contentType, body string, header ...string) (*http.Response, completion) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var c completion
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatalf("%s %s: %q: %v", method, url, data, err)
	}
	return resp, c
}

func TestAddresses(t *testing.T) {
	r := start(t, "mamba", serve.Options{})
	const good = `{"prompt": "x"}`
	for _, c := range []struct {
		method, path, contentType, body string
		header                          []string
		status                          int
	}{
		{"GET", "/health", "", "", nil, 200},
		{"GET", "/v1/models", "", "", nil, 200},
		{"GET", "/v1/models/tiny", "", "", nil, 200},
		{"GET", "/v1/models/other/name", "", "", nil, 404},
		{"POST", "/v1/completions", "application/json; charset=utf-8", good, nil, 200},
		{"POST", "/v1/completions", "application/json", good, []string{"Host", "localhost:8000"}, 200},
		{"POST", "/v1/completions", "application/json", good, []string{"Host", "[::1]:8000"}, 200},
		{"POST", "/v1/completions", "application/json", good, []string{"Host", "attacker.example"}, 403},
		{"GET", "/v1/models", "", "", []string{"Host", "attacker.example:8000"}, 403},
		{"POST", "/v1/completions", "text/plain", good, nil, 415},
		{"POST", "/v1/completions", "", good, nil, 415},
		{"GET", "/v1/completions", "", "", nil, 405},
		{"POST", "/health", "", "", nil, 405},
		{"POST", "/v1/chat/completions", "application/json", good, nil, 404},
		{"GET", "/tokenizer_info", "", "", nil, 404},
		{"GET", "/", "", "", nil, 404},
	} {
		resp, got := send(t, r.client, c.method, r.url+c.path, c.contentType, c.body, c.header...)
		if resp.StatusCode != c.status || (got.Error == nil) != (c.status == 200) {
			t.Errorf("%s %s %v: status %d, %+v, want %d", c.method, c.path, c.header, resp.StatusCode, got.Error, c.status)
		}
	}
}

// Where a token is set, only requests that bear it are answered, but for how the server is.
func TestToken(t *testing.T) {
	r := start(t, "mamba", serve.Options{Token: "let me in"})
	for _, c := range []struct {
		header []string
		status int
	}{
		{nil, 401},
		{[]string{"Authorization", "Bearer "}, 401},
		{[]string{"Authorization", "Bearer let me"}, 401},
		{[]string{"Authorization", "Basic let me in"}, 401},
		{[]string{"Authorization", "Bearer let me in"}, 200},
		{[]string{"Authorization", "bearer let me in", "Host", "server.example"}, 200},
	} {
		for _, path := range []string{"/v1/models", "/v1/models/tiny"} {
			resp, got := send(t, r.client, "GET", r.url+path, "", "", c.header...)
			if resp.StatusCode != c.status || c.status == 401 && (got.Error.Code != "invalid_api_key" || resp.Header.Get("WWW-Authenticate") == "") {
				t.Errorf("%v: status %d, %+v, want %d", c.header, resp.StatusCode, got.Error, c.status)
			}
		}
		if resp, _ := send(t, r.client, "POST", r.url+"/v1/completions", "application/json", `{"prompt": "x"}`, c.header...); resp.StatusCode != c.status {
			t.Errorf("%v: status %d, want %d", c.header, resp.StatusCode, c.status)
		}
	}
	if resp, _ := send(t, r.client, "GET", r.url+"/health", "", ""); resp.StatusCode != 200 {
		t.Errorf("health: status %d", resp.StatusCode)
	}
}

func TestCheckAddr(t *testing.T) {
	for addr, open := range map[string]bool{
		"127.0.0.1:8000": false, "localhost:0": false, "[::1]:80": false, "127.5.0.1:80": false,
		":8000": true, "0.0.0.0:8000": true, "[::]:8000": true, "192.0.2.1:80": true,
	} {
		if err := serve.CheckAddr(addr, ""); (err != nil) != open {
			t.Errorf("%s: %v", addr, err)
		}
		if err := serve.CheckAddr(addr, "token"); err != nil {
			t.Errorf("%s with a token: %v", addr, err)
		}
	}
	for _, addr := range []string{"8000", "127.0.0.1", "127.0.0.1:port", ""} {
		if err := serve.CheckAddr(addr, "token"); err == nil {
			t.Errorf("%q is an address", addr)
		}
	}
}
