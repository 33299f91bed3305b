package serve_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"quadrant/serve"
	"quadrant/tokenizer"
)

// endless is a request for more tokens than a test waits for. A Mamba model's memory does
// not grow with them.
func endless() object { return object{"prompt": "on and on", "max_tokens": 1 << 29, "stream": true} }

const endlessWindow = 1 << 30

// begin sends a request for a stream and waits for its first event.
func begin(t *testing.T, r *running, body object) (events *bufio.Reader, cancel func()) {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/v1/completions", strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); resp.Body.Close() })
	events = bufio.NewReader(resp.Body)
	if line, err := events.ReadString('\n'); err != nil || resp.StatusCode != 200 {
		t.Fatalf("status %d, %q, %v", resp.StatusCode, line, err)
	}
	return events, cancel
}

// The work of a client that goes away ends: what waits for its place goes on.
func TestCancel(t *testing.T) {
	r := start(t, "mamba", serve.Options{Sequences: 1, Requests: 3, Window: endlessWindow, Pending: 1 << 40})
	for range 3 {
		_, cancel := begin(t, r, endless())
		waiting := make(chan error, 1)
		ctx, leave := context.WithCancel(t.Context())
		go func() { // one that waits and goes away too
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/v1/completions", strings.NewReader(`{"prompt": "x", "max_tokens": 5}`))
			req.Header.Set("Content-Type", "application/json")
			resp, err := r.client.Do(req)
			if err == nil {
				resp.Body.Close()
			}
			waiting <- err
		}()
		// What is only read has its turn beside what is generated.
		if got := r.ok(t, object{"prompt": "abc", "max_tokens": 0, "echo": true, "logprobs": 1}); len(got.Choices[0].LogProbs.Tokens) != 3 {
			t.Errorf("%+v", got)
		}
		leave()
		if err := <-waiting; err == nil {
			t.Error("a completion had its turn beside the one that has the only place")
		}
		cancel()
		r.ok(t, object{"prompt": "x", "max_tokens": 5})
	}
}

// So many requests are held and no more.
func TestBusy(t *testing.T) {
	r := start(t, "mamba", serve.Options{Sequences: 1, Requests: 3, Window: endlessWindow, Pending: 1 << 40})
	var cancels []func()
	for range 1 { // has the only place
		_, cancel := begin(t, r, endless())
		cancels = append(cancels, cancel)
	}
	var group sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 2 { // wait
		group.Go(func() {
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/v1/completions", strings.NewReader(`{"prompt": "x", "max_tokens": 9}`))
			req.Header.Set("Content-Type", "application/json")
			if resp, err := r.client.Do(req); err == nil {
				resp.Body.Close()
			}
		})
	}
	cancels = append(cancels, cancel)
	for { // until both are there
		resp, got := send(t, r.client, "POST", r.url+"/v1/completions", "application/json", `{"prompt": "x", "max_tokens": 0}`)
		if resp.StatusCode == 200 {
			continue
		}
		if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" || got.Error.Type != "rate_limit_error" || !strings.Contains(got.Error.Message, "3 requests are") {
			t.Errorf("status %d, %+v", resp.StatusCode, got.Error)
		}
		break
	}
	for _, c := range cancels {
		c()
	}
	group.Wait()
	for { // until they are gone
		if status, _ := r.post(t, object{"prompt": "x", "max_tokens": 3}); status == 200 {
			break
		}
	}
}

// A request whose answer would not fit into memory is refused before anything is done.
func TestAnswerTooLarge(t *testing.T) {
	r := start(t, "mamba", serve.Options{Pending: 50_000})
	status, got := r.post(t, object{"prompt": strings.Repeat("x", 1000), "max_tokens": 0, "echo": true, "logprobs": 1})
	if status != 400 || !strings.Contains(got.Error.Message, "ask for fewer prompts or tokens") {
		t.Errorf("status %d, %+v", status, got.Error)
	}
	r.ok(t, object{"prompt": strings.Repeat("x", 1000), "max_tokens": 1})
}

// narrow makes the buffers of connections small, so that who does not read is noticed.
type narrow struct{ net.Listener }

func (n narrow) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	if err == nil {
		err = c.(*net.TCPConn).SetWriteBuffer(4 << 10)
	}
	return c, err
}

// dial opens a connection to the server and writes text.
func dial(t *testing.T, r *running, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

func posting(body string) string {
	return fmt.Sprintf("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// Clients that do not read what they asked for lose it, and keep nobody waiting.
func TestSlowReaders(t *testing.T) {
	r := startWith(t, "mamba", tokenizer.Bytes{}, serve.Options{Write: 200 * time.Millisecond, Sequences: 1, Requests: 2, Window: endlessWindow, Pending: 1 << 40},
		func(l net.Listener) net.Listener { return narrow{l} })
	for _, body := range []string{
		`{"prompt": "on and on", "max_tokens": 500000000, "stream": true}`,
		`{"prompt": [` + strings.Repeat(`"`+strings.Repeat("x", 200)+`",`, 40) + `"x"], "echo": true, "logprobs": 5, "max_tokens": 0}`,
	} {
		c := dial(t, r, posting(body))
		for { // both places are taken until the slow one has lost its own
			if status, _ := r.post(t, object{"prompt": "x", "max_tokens": 3}); status == 200 {
				break
			}
		}
		if body[12] == 'o' { // the stream: only its end frees the one sequence
			continue
		}
		time.Sleep(500 * time.Millisecond) // it does not read for longer than it may
		data, _ := io.ReadAll(c)
		if text := string(data); strings.HasSuffix(text, "}\n") {
			t.Errorf("a client that did not read was waited for: %d bytes", len(text))
		}
	}
}

// Clients that do not send what they began are cut off.
func TestSlowWriters(t *testing.T) {
	r := start(t, "mamba", serve.Options{Header: 100 * time.Millisecond, Read: 100 * time.Millisecond})
	for text, want := range map[string]string{
		"POST /v1/comple": "", // no header, no answer
		"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"pro": "408 Request Timeout",
		"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 100):      "431 Request Header Fields Too Large",
	} {
		c := dial(t, r, text)
		data, err := io.ReadAll(c)
		if !strings.Contains(string(data), want) {
			t.Errorf("%.60q: %q, %v, want %q", text, data, err, want)
		}
	}
}

// A body without an end, in chunks, is cut at its limit.
func TestEndlessBody(t *testing.T) {
	r := start(t, "mamba", serve.Options{Body: 1000})
	chunk := "200\r\n" + strings.Repeat(" ", 0x200) + "\r\n"
	c := dial(t, r, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"+chunk+chunk+chunk)
	if line, err := bufio.NewReader(c).ReadString('\n'); !strings.Contains(line, "413") {
		t.Errorf("%q, %v", line, err)
	}
}

// When the end is asked for, what was begun is finished and nothing new is.
func TestShutdown(t *testing.T) {
	r := start(t, "mamba", serve.Options{Sequences: 2, Window: endlessWindow, Pending: 1 << 40, Drain: time.Minute})
	running, cancel := begin(t, r, endless())
	ends := endless()
	ends["max_tokens"] = 3000
	ending, _ := begin(t, r, ends)
	waiting := make(chan completion, 1) // was let in before, and is answered
	go func() {
		_, c, err := r.try(object{"prompt": "x", "max_tokens": 4})
		if err != nil {
			t.Error(err)
		}
		waiting <- c
	}()
	// It is in when another that is only read, sent after it, was answered: not for sure,
	// but it is let in or refused, and either is right.
	r.ok(t, object{"prompt": "x", "max_tokens": 0, "echo": true, "logprobs": 1})
	r.stop()
	for {
		resp, got := send(t, r.client, "POST", r.url+"/v1/completions", "application/json", `{"prompt": "x", "max_tokens": 1}`)
		if resp.StatusCode == 200 { // the end has not yet come to all ears
			continue
		}
		if resp.StatusCode != 503 || got.Error.Code != "shutting_down" {
			t.Errorf("status %d, %+v", resp.StatusCode, got.Error)
		}
		break
	}
	if resp, _ := send(t, r.client, "GET", r.url+"/health", "", ""); resp.StatusCode != 503 {
		t.Errorf("health: status %d", resp.StatusCode)
	}
	for range 100 { // what was begun goes on
		if _, err := running.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if rest, err := io.ReadAll(ending); err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Errorf("%v, at the end %q", err, rest[max(0, len(rest)-200):])
	}
	cancel()
	if c := <-waiting; c.Error != nil && c.Error.Code != "shutting_down" || c.Error == nil && *c.Choices[0].FinishReason != "length" {
		t.Errorf("%+v", c)
	}
	r.wait(t)
	if _, err := http.Get(r.url + "/health"); err == nil {
		t.Error("the server still listens")
	}
}

// What does not end in time is cut off, and told so.
func TestDrainEnds(t *testing.T) {
	r := start(t, "mamba", serve.Options{Sequences: 1, Window: endlessWindow, Pending: 1 << 40, Drain: 50 * time.Millisecond})
	events, _ := begin(t, r, endless())
	r.wait(t)
	rest, err := io.ReadAll(events)
	if !strings.Contains(string(rest), `"code":"shutting_down"`) || strings.Contains(string(rest), "[DONE]") {
		t.Errorf("%d bytes, %v, at the end %q", len(rest), err, rest[max(0, len(rest)-200):])
	}
}

func TestOptions(t *testing.T) {
	if _, err := serve.New(serve.Model{}, serve.Options{Window: -1}); err == nil || !strings.Contains(err.Error(), "window is -1") {
		t.Errorf("error %v", err)
	}
}
