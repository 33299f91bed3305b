package hub

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// A statusError is an answer that is no success.
type statusError struct {
	status int
	url    string
	after  time.Duration // how long the server asks to wait; 0 if it does not
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("%s: status %d %s", e.url, e.status, http.StatusText(e.status))
	switch e.status {
	case http.StatusUnauthorized:
		return text + ": there is no such model or data set, or it needs a token: set HF_TOKEN"
	case http.StatusForbidden:
		return text + ": the token has no access: its owner may have to accept the licence on the page of what is asked for"
	case http.StatusNotFound:
		return text + ": there is no such model, revision or file"
	case http.StatusTooManyRequests:
		return text + ": the hub allows fewer requests: try again later, or set HF_TOKEN"
	}
	return text
}

// passing reports whether what failed may succeed later.
func passing(err error) bool {
	var s *statusError
	var f *finalError
	var host *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &f), errors.As(err, &certificate), errors.Is(err, context.Canceled), errors.As(err, &host) && host.IsNotFound:
		return false
	case errors.As(err, &s):
		return s.status == http.StatusTooManyRequests || s.status == http.StatusRequestTimeout || s.status >= 500
	}
	return true // of the network
}

// A finalError is one that trying again does not mend.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

func finalf(format string, args ...any) error { return &finalError{fmt.Errorf(format, args...)} }

// enough is the bytes that an attempt has to bring in order not to count.
const enough = 1 << 20

// longestWait bounds what a server may ask to wait.
const longestWait = time.Minute

// retry calls try until it succeeds, or fails for good, or has failed Attempts times in a
// row without bringing enough bytes. The wait doubles with each.
func (c *Client) retry(ctx context.Context, what string, try func() (brought int64, err error)) error {
	failed, wait := 0, c.Wait
	for {
		brought, err := try()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !passing(err):
			return err
		}
		if brought >= enough {
			failed, wait = 0, c.Wait
		}
		if failed++; failed >= c.Attempts {
			return fmt.Errorf("gave up after %d attempts: %w", failed, err)
		}
		pause := wait
		var s *statusError
		if errors.As(err, &s) && s.after > pause {
			pause = min(s.after, longestWait)
		}
		c.log("%s: %v; trying again in %v", what, err, pause)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		wait = min(2*wait, longestWait)
	}
}

// get sends a request and returns the answer if its status is one of want. The body ends
// with an error when the server sends nothing for too long.
func (c *Client) get(ctx context.Context, method, url string, from int64, want ...int) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		cancel(nil)
		return nil, &finalError{err}
	}
	req.Header.Set("User-Agent", "quadrant")
	req.Header.Set("Accept-Encoding", "identity") // or lengths would not be those of the file
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	client := c.HTTP
	if method == http.MethodHead { // what is asked for is said before the redirection
		one := *c.HTTP
		one.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		client = &one
	}
	resp, err := client.Do(req)
	if err != nil {
		err = unreachable(ctx, err)
		cancel(nil)
		return nil, err
	}
	for _, status := range want {
		if resp.StatusCode == status {
			resp.Body = &patientBody{resp.Body, time.AfterFunc(c.Idle, func() {
				cancel(fmt.Errorf("%s: the server sent nothing for %v", url, c.Idle))
			}), c.Idle, ctx, cancel}
			return resp, nil
		}
	}
	resp.Body.Close()
	cancel(nil)
	s := &statusError{status: resp.StatusCode, url: url}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		s.after = min(time.Duration(seconds)*time.Second, longestWait)
	}
	return nil, s
}

// unreachable says what to do where there is no answer.
func unreachable(ctx context.Context, err error) error {
	var f *finalError
	if ctx.Err() != nil || errors.As(err, &f) {
		return err
	}
	return fmt.Errorf("%w: is there a network, and is HF_ENDPOINT right?", err)
}

// A patientBody is a body whose request is cancelled when nothing comes for idle.
type patientBody struct {
	io.ReadCloser
	timer  *time.Timer
	idle   time.Duration
	ctx    context.Context
	cancel context.CancelCauseFunc
}

func (b *patientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.timer.Reset(b.idle)
	if cause := context.Cause(b.ctx); err != nil && err != io.EOF && cause != nil {
		err = cause
	}
	return n, err
}

func (b *patientBody) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}

// maxJSON is the bytes of the longest listing or index that is read.
const maxJSON = 64 << 20

// json gets a JSON value.
func (c *Client) json(ctx context.Context, url string, v any) error {
	return c.retry(ctx, url, func() (int64, error) {
		resp, err := c.get(ctx, http.MethodGet, url, 0, http.StatusOK)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(io.LimitReader(resp.Body, maxJSON+1))
		switch {
		case err != nil:
			return 0, err
		case len(data) > maxJSON:
			return 0, finalf("%s: the answer has more than %d bytes", url, maxJSON)
		}
		if err := json.Unmarshal(data, v); err != nil {
			return 0, finalf("%s: the answer is not what a hub says: %w", url, err)
		}
		return 0, nil
	})
}
