package handlers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// HTTP sends a GET request; any status from 200 to 399 is good. Redirects are
// followed on the same host only, and are good, with a warning, if they lead
// elsewhere.
func HTTP(ctx context.Context, target Target, action *corev1.HTTPGetAction, timeout time.Duration) (Result, error) {
	request, err := httpRequest(ctx, target, action, "probe")
	if err != nil {
		return Result{}, err
	}
	response, err := httpClient(timeout).Do(request)
	if err != nil {
		return Result{Output: err.Error()}, nil
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxOutput))
	switch {
	case err != nil:
		return Result{Output: err.Error()}, nil
	case response.StatusCode < http.StatusOK || response.StatusCode >= http.StatusBadRequest:
		return Result{Output: fmt.Sprintf("HTTP probe failed with statuscode: %d", response.StatusCode)}, nil
	case response.StatusCode >= http.StatusMultipleChoices:
		return Result{OK: true, Warning: true, Output: "Probe terminated redirects, Response body: " + string(body)}, nil
	}
	return Result{OK: true, Output: string(body)}, nil
}

// HTTPHook sends the GET request of a lifecycle hook and returns nil when it was
// answered, with whatever status. A server that speaks plain HTTP where the hook
// says HTTPS is asked again that way.
func HTTPHook(ctx context.Context, target Target, action *corev1.HTTPGetAction) error {
	request, err := httpRequest(ctx, target, action, "lifecycle")
	if err != nil {
		return err
	}
	client := httpClient(0)
	response, err := client.Do(request)
	if errors.Is(err, http.ErrSchemeMismatch) {
		request.URL.Scheme = "http"
		request.Header.Del("Authorization") // not for all to read
		response, err = client.Do(request)
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	// The server may not notice that no one reads on; the answer itself is there.
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxOutput))
	return nil
}

// httpClient returns a client for one request; a timeout of 0 is none.
func httpClient(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			// Containers serve certificates that nobody signed for the node.
			TLSClientConfig:    &tls.Config{InsecureSkipVerify: true}, //nolint:gosec
			DisableKeepAlives:  true,
			DisableCompression: true,
			Proxy:              nil,
		},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if next.URL.Hostname() != via[0].URL.Hostname() {
				return http.ErrUseLastResponse
			}
			if len(via) >= 10 {
				return errors.New("stopped after 10 redirects")
			}
			return nil
		},
	}
}

func httpRequest(ctx context.Context, target Target, action *corev1.HTTPGetAction, purpose string) (*http.Request, error) {
	address, err := target.address(action.Host, action.Port)
	if err != nil {
		return nil, err
	}
	// The path may carry a query.
	u, err := url.Parse(action.Path)
	if err != nil {
		u = &url.URL{Path: action.Path}
	}
	u.Scheme = strings.ToLower(string(action.Scheme))
	if u.Scheme == "" {
		u.Scheme = "http"
	}
	u.Host = address
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("building the request: %w", err)
	}
	for _, header := range action.HTTPHeaders {
		request.Header.Add(header.Name, header.Value)
	}
	setDefaultHeaders(request, purpose)
	return request, nil
}

// setDefaultHeaders adds kube's, where the pod has not set them. An empty value
// means that the header must not be sent.
func setDefaultHeaders(request *http.Request, purpose string) {
	if _, set := request.Header["User-Agent"]; !set {
		request.Header.Set("User-Agent", userAgent(purpose))
	}
	if accept, set := request.Header["Accept"]; !set {
		request.Header.Set("Accept", "*/*")
	} else if len(accept) == 1 && accept[0] == "" {
		request.Header.Del("Accept")
	}
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
	}
}
