package docker

import (
	"errors"
	"fmt"
	"io"
	"strings"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// wrap says what was being done and gives an error of Docker its kind.
func wrap(action string, err error) error {
	if err == nil {
		return nil
	}
	wrapped := fmt.Errorf("%s: %w", action, err)
	switch {
	case cerrdefs.IsNotFound(err):
		return runtime.NotFound(wrapped)
	case cerrdefs.IsInvalidArgument(err):
		return runtime.Invalid(wrapped)
	case cerrdefs.IsConflict(err) && strings.Contains(err.Error(), "is not running"):
		return runtime.NotRunning(wrapped)
	default:
		return wrapped
	}
}

// engineMessage drops the client's own words before the engine's text, which users see in events.
func engineMessage(err error) error {
	if text, found := strings.CutPrefix(err.Error(), "Error response from daemon: "); found {
		return errors.New(text)
	}
	return err
}

// Docker reports what a registry has said as text only.
var (
	notFoundTexts = []string{
		"manifest unknown", "not found", "pull access denied", "repository does not exist",
		"no matching manifest", "repository name not known",
	}
	unauthorizedTexts = []string{
		"unauthorized", "authentication required", "no basic auth credentials", "denied", "forbidden",
	}
	unreachableTexts = []string{
		"no such host", "connection refused", "i/o timeout", "network is unreachable", "no route to host",
		"tls handshake timeout", "client.timeout", "request canceled", "connection reset", "server misbehaving",
		"x509:", "server gave http response", "deadline exceeded", "temporary failure in name resolution",
		"service unavailable", "bad gateway", "proxyconnect",
	}
)

// pullError gives a failed pull its kind.
func pullError(err error) error {
	err = engineMessage(err)
	text := strings.ToLower(err.Error())
	switch {
	case containsAny(text, unreachableTexts), errors.Is(err, io.ErrUnexpectedEOF), strings.HasSuffix(text, ": eof"):
		return runtime.Unreachable(err)
	case containsAny(text, notFoundTexts):
		return runtime.NotFound(err)
	case containsAny(text, unauthorizedTexts):
		return runtime.Unauthorized(err)
	default:
		return err
	}
}

func containsAny(text string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
