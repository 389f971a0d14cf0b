package inprocess

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func client(t *testing.T, handler http.Handler) *http.Client {
	t.Helper()
	transport := NewTransport(NewIdentities())
	transport.SetHandler(handler)
	return &http.Client{Transport: transport}
}

func TestRequestAndAnswer(t *testing.T) {
	c := client(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Test", "yes")
		w.WriteHeader(http.StatusTeapot)
		w.Header().Set("X-Late", "no")
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.RequestURI(), body)
	}))
	response, err := c.Post("http://x/path?q=1", "text/plain", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || string(body) != "POST /path?q=1 body" || response.StatusCode != http.StatusTeapot || response.Header.Get("X-Test") != "yes" {
		t.Errorf("got %+v, %q, %v", response, body, err)
	}
}

type contextKey struct{}

// Test that nothing of the caller's context but its end reaches the handler.
func TestContextIsFresh(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), contextKey{}, "leaked"), time.Minute)
	defer cancel()
	c := client(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if value := r.Context().Value(contextKey{}); value != nil {
			t.Errorf("the handler sees %v", value)
		}
		if _, ok := r.Context().Deadline(); !ok {
			t.Error("the handler does not know the deadline")
		}
		cancel()
		<-r.Context().Done() // the caller's cancellation arrives
	}))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://x/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(request); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestWatchStreams(t *testing.T) {
	more, ended := make(chan struct{}), make(chan struct{})
	c := client(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		flusher, ok := w.(http.Flusher)
		if !ok {
			t.Error("the writer cannot flush")
			return
		}
		fmt.Fprint(w, "one")
		flusher.Flush()
		<-more
		fmt.Fprint(w, "two")
		<-r.Context().Done()
	}))
	response, err := c.Get("http://x/?watch=true")
	if err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 3)
	if _, err := io.ReadFull(response.Body, buffer); err != nil || string(buffer) != "one" {
		t.Fatalf("got %q, %v", buffer, err)
	}
	close(more)
	if _, err := io.ReadFull(response.Body, buffer); err != nil || string(buffer) != "two" {
		t.Fatalf("got %q, %v", buffer, err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("the handler goes on after the client has closed the answer")
	}
}

func TestAbortBecomesAnError(t *testing.T) {
	c := client(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "half")
		panic(http.ErrAbortHandler)
	}))
	if _, err := c.Get("http://x/"); err == nil {
		t.Error("an aborted answer was returned")
	}
	response, err := c.Get("http://x/?watch=1")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.ReadAll(response.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an aborted watch ended with %v", err)
	}
}

func TestNotServing(t *testing.T) {
	transport := NewTransport(NewIdentities())
	if _, err := (&http.Client{Transport: transport}).Get("http://x/"); !errors.Is(err, errNotServing) {
		t.Errorf("got %v", err)
	}
}

func TestIdentities(t *testing.T) {
	identities := NewIdentities()
	transport := NewTransport(identities)
	token := transport.ClientConfig("ann", "admins").BearerToken
	if again := transport.ClientConfig("ann", "admins").BearerToken; again != token {
		t.Error("the same identity got two tokens")
	}
	if other := transport.ClientConfig("ann").BearerToken; other == token {
		t.Error("two identities share a token")
	}
	response, ok, err := identities.AuthenticateToken(t.Context(), token)
	if err != nil || !ok || response.User.GetName() != "ann" || fmt.Sprint(response.User.GetGroups()) != "[admins system:authenticated]" {
		t.Errorf("got %+v, %t, %v", response, ok, err)
	}
	for _, wrong := range []string{"", token[1:], token + "x"} {
		if _, ok, _ := identities.AuthenticateToken(t.Context(), wrong); ok {
			t.Errorf("token %q was accepted", wrong)
		}
	}
}

var _ http.RoundTripper = &Transport{}
