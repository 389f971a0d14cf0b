package inprocess

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"

	"k8s.io/client-go/rest"
)

// host is the authority of in-process requests. It is never resolved.
const host = "inprocess.skiff.local"

// remoteAddr is what the server sees as the client's address.
const remoteAddr = "127.0.0.1:0"

// Transport is a round tripper into a handler of this process. The handler is
// set once it exists; requests made before that fail as if nothing listened.
type Transport struct {
	identities *Identities

	mu      sync.RWMutex
	handler http.Handler
}

// NewTransport returns a transport without a handler whose clients authenticate
// by identities.
func NewTransport(identities *Identities) *Transport {
	return &Transport{identities: identities}
}

// SetHandler makes h answer the requests from now on.
func (t *Transport) SetHandler(h http.Handler) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handler = h
}

// ClientConfig returns a client configuration that reaches the handler as the
// user with these groups. It is not rate limited, and typed clients made from it
// speak protobuf.
func (t *Transport) ClientConfig(username string, groups ...string) *rest.Config {
	config := t.dynamicClientConfig(username, groups...)
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	return config
}

// dynamicClientConfig is ClientConfig in the default content type.
func (t *Transport) dynamicClientConfig(username string, groups ...string) *rest.Config {
	return &rest.Config{
		Host:        "http://" + host,
		Transport:   t,
		BearerToken: t.identities.Token(username, groups...),
		QPS:         -1,
		// Components of this process cannot act on warnings meant for people.
		WarningHandler: rest.NoWarnings{},
	}
}

var errNotServing = errors.New("the in-process API server is not serving yet")

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	t.mu.RLock()
	handler := t.handler
	t.mu.RUnlock()
	if handler == nil {
		closeBody(req)
		return nil, errNotServing
	}
	if err := req.Context().Err(); err != nil {
		closeBody(req)
		return nil, err
	}
	inner, cancel := serverRequest(req)
	if isWatch(req) {
		return stream(handler, inner, req, cancel)
	}
	return buffer(handler, inner, req, cancel)
}

// serverRequest makes of a client's request one as a server's listener would
// have read it.
func serverRequest(req *http.Request) (*http.Request, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	stop := context.AfterFunc(req.Context(), cancel)
	if deadline, ok := req.Context().Deadline(); ok {
		var done context.CancelFunc
		ctx, done = context.WithDeadline(ctx, deadline)
		outer := cancel
		cancel = func() { done(); outer() }
	}
	inner := req.Clone(ctx)
	inner.RemoteAddr = remoteAddr
	inner.Host = host
	inner.RequestURI = req.URL.RequestURI()
	inner.Proto, inner.ProtoMajor, inner.ProtoMinor = "HTTP/2.0", 2, 0
	if inner.Body == nil {
		inner.Body = http.NoBody
	}
	return inner, func() { stop(); cancel() }
}

// isWatch reports that the answer has no end: the client needs it piecemeal.
func isWatch(req *http.Request) bool {
	query := req.URL.Query()
	watch, err := strconv.ParseBool(query.Get("watch"))
	follow, followErr := strconv.ParseBool(query.Get("follow"))
	return err == nil && watch || followErr == nil && follow
}

// buffer runs the handler in the caller's goroutine and returns its whole
// answer.
func buffer(handler http.Handler, inner, req *http.Request, cancel context.CancelFunc) (*http.Response, error) {
	defer cancel()
	w := &bufferedWriter{header: http.Header{}}
	if err := serve(handler, w, inner); err != nil {
		closeBody(req)
		return nil, err
	}
	closeBody(req)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	return response(req, w.status(), w.header, io.NopCloser(bytes.NewReader(w.body.Bytes())), int64(w.body.Len())), nil
}

// stream runs the handler in a goroutine of its own and returns as soon as it
// has sent its header. Closing the answer's body ends the handler's context.
func stream(handler http.Handler, inner, req *http.Request, cancel context.CancelFunc) (*http.Response, error) {
	reader, writer := io.Pipe()
	w := &streamWriter{header: http.Header{}, pipe: writer, started: make(chan struct{})}
	go func() {
		defer closeBody(req)
		err := serve(handler, w, inner)
		w.WriteHeader(http.StatusOK)
		if err == nil {
			err = io.EOF
		}
		_ = writer.CloseWithError(err)
	}()
	select {
	case <-w.started:
		return response(req, w.code, w.sent, &streamBody{reader, cancel}, -1), nil
	case <-req.Context().Done():
		_ = reader.CloseWithError(req.Context().Err())
		cancel()
		return nil, req.Context().Err()
	}
}

// serve runs the handler and turns an abort (the way in which handlers give up
// on a connection) into an error.
func serve(handler http.Handler, w http.ResponseWriter, req *http.Request) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if e, ok := r.(error); ok && errors.Is(e, http.ErrAbortHandler) {
				err = io.ErrUnexpectedEOF
				return
			}
			panic(r)
		}
	}()
	handler.ServeHTTP(w, req)
	return nil
}

func response(req *http.Request, code int, header http.Header, body io.ReadCloser, length int64) *http.Response {
	return &http.Response{
		Status:        strconv.Itoa(code) + " " + http.StatusText(code),
		StatusCode:    code,
		Proto:         "HTTP/2.0",
		ProtoMajor:    2,
		Header:        header,
		Body:          body,
		ContentLength: length,
		Request:       req,
	}
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

type streamBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (b *streamBody) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}
