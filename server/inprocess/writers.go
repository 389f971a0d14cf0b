package inprocess

import (
	"bytes"
	"io"
	"net/http"
	"sync"
)

// bufferedWriter keeps an answer. Like a server's writer it freezes the header at
// the first write.
type bufferedWriter struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (w *bufferedWriter) Header() http.Header { return w.header }

func (w *bufferedWriter) WriteHeader(code int) {
	if w.code == 0 && code >= http.StatusOK {
		w.code = code
	}
}

func (w *bufferedWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// Flush implements http.Flusher; the caller sees the answer when it is whole.
func (w *bufferedWriter) Flush() { w.WriteHeader(http.StatusOK) }

// CloseNotify implements http.CloseNotifier, which some of the library's handlers
// still ask for. The request's context says when the client is gone.
func (w *bufferedWriter) CloseNotify() <-chan bool { return nil }

func (w *bufferedWriter) status() int {
	if w.code == 0 {
		return http.StatusOK
	}
	return w.code
}

// streamWriter passes an answer on as it is written.
type streamWriter struct {
	header  http.Header
	pipe    *io.PipeWriter
	once    sync.Once
	started chan struct{} // closed when code and sent are set
	code    int
	sent    http.Header
}

func (w *streamWriter) Header() http.Header { return w.header }

func (w *streamWriter) WriteHeader(code int) {
	if code < http.StatusOK {
		return
	}
	w.once.Do(func() {
		w.code, w.sent = code, w.header.Clone()
		close(w.started)
	})
}

func (w *streamWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.pipe.Write(p)
}

// Flush implements http.Flusher: a pipe has no buffer, so there is nothing to
// push but the header.
func (w *streamWriter) Flush() { w.WriteHeader(http.StatusOK) }

// CloseNotify implements http.CloseNotifier, see bufferedWriter.
func (w *streamWriter) CloseNotify() <-chan bool { return nil }
