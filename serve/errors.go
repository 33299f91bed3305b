package serve

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// An apiError is an answer to a request that cannot be fulfilled, as OpenAI's API gives it.
type apiError struct {
	status  int
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

// Types of errors.
const (
	typeRequest = "invalid_request_error"
	typeAuth    = "authentication_error"
	typeRate    = "rate_limit_error"
	typeServer  = "server_error"
)

func newError(status int, typ, code, format string, args ...any) *apiError {
	e := &apiError{status: status, Type: typ, Message: fmt.Sprintf(format, args...)}
	if code != "" {
		e.Code = &code
	}
	return e
}

// wrong is an error about a field of a request.
func wrong(param, format string, args ...any) *apiError {
	e := newError(http.StatusBadRequest, typeRequest, "", format, args...)
	if param != "" {
		e.Param = &param
	}
	return e
}

func busy(format string, args ...any) *apiError {
	return newError(http.StatusTooManyRequests, typeRate, "rate_limit_exceeded", format+": try again", args...)
}

var errClosing = newError(http.StatusServiceUnavailable, typeServer, "shutting_down", "the server is shutting down")

func failed(err error) *apiError {
	return newError(http.StatusInternalServerError, typeServer, "", "%v", err)
}

// object is the error as a body.
func (e *apiError) object() any {
	return struct {
		Error *apiError `json:"error"`
	}{e}
}

// write answers with e.
func (e *apiError) write(w http.ResponseWriter) {
	switch e.status {
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "1")
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		w.Header().Set("Connection", "close")
	}
	writeJSON(w, e.status, e.object())
}

// writeJSON answers with v. That the client is gone is no news.
func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil { // of values made here: a mistake
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n'))
}
