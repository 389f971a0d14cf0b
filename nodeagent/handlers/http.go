package handlers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-base/version"
)

// maxBody is how much of an answer is read.
const maxBody = 10 << 10

// HTTP sends a GET request; any status from 200 to 399 is good. Redirects are
// followed on the same host only, and are good if they lead elsewhere.
func HTTP(ctx context.Context, target Target, action *corev1.HTTPGetAction, timeout time.Duration) (Result, error) {
	request, err := httpRequest(ctx, target, action)
	if err != nil {
		return Result{}, err
	}
	client := &http.Client{
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
	response, err := client.Do(request)
	if err != nil {
		return Result{Output: err.Error()}, nil
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return Result{Output: err.Error()}, nil
	}
	if response.StatusCode >= http.StatusOK && response.StatusCode < http.StatusBadRequest {
		return Result{OK: true, Output: string(body)}, nil
	}
	return Result{Output: fmt.Sprintf("HTTP probe failed with statuscode: %d", response.StatusCode)}, nil
}

func httpRequest(ctx context.Context, target Target, action *corev1.HTTPGetAction) (*http.Request, error) {
	port, err := Port(action.Port, target.Container)
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
	u.Host = net.JoinHostPort(hostOr(action.Host, target.PodIP), strconv.Itoa(port))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("building the request: %w", err)
	}
	for _, header := range action.HTTPHeaders {
		request.Header.Add(header.Name, header.Value)
	}
	setDefaultHeaders(request)
	return request, nil
}

// setDefaultHeaders adds kube's, where the pod has not set them. An empty value
// means that the header must not be sent.
func setDefaultHeaders(request *http.Request) {
	if _, set := request.Header["User-Agent"]; !set {
		v := version.Get()
		request.Header.Set("User-Agent", fmt.Sprintf("kube-probe/%s.%s", v.Major, v.Minor))
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
