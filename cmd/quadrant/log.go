package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// A lineHandler writes log records as lines for people: "warning: text (key value)".
type lineHandler struct {
	mu    *sync.Mutex
	w     io.Writer
	level slog.Level
	attrs []slog.Attr
}

func newLog(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(lineHandler{mu: new(sync.Mutex), w: w, level: level})
}

func (h lineHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

func (h lineHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	switch {
	case r.Level >= slog.LevelError:
		b.WriteString("error: ")
	case r.Level >= slog.LevelWarn:
		b.WriteString("warning: ")
	}
	b.WriteString(r.Message)
	separator := " ("
	write := func(a slog.Attr) bool {
		fmt.Fprintf(&b, "%s%s %v", separator, a.Key, a.Value)
		separator = ", "
		return true
	}
	for _, a := range h.attrs {
		write(a)
	}
	r.Attrs(write)
	if separator == ", " {
		b.WriteString(")")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := fmt.Fprintln(h.w, b.String())
	return err
}

func (h lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)
	return h
}

// WithGroup leaves names as they are: lines are short.
func (h lineHandler) WithGroup(string) slog.Handler { return h }
