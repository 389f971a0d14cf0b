// Package handlers carries out the actions that pods ask for by their probes and
// lifecycle hooks: run a command, send an HTTP request, open a connection, ask a
// gRPC health service. A handler is a single try; when to try and what follows
// is for packages probes and lifecycle.
package handlers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/component-base/version"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// Target is the container that an action is for.
type Target struct {
	Container   *corev1.Container
	ContainerID string // of the engine
	PodIP       string // empty while the pod has none
}

// ErrNoAddress is the error of an action on the network when the pod has no
// address yet and the action names no host.
var ErrNoAddress = errors.New("the pod has no IP address yet")

// Execer runs commands in containers; runtime.Streams has it.
type Execer interface {
	ExecSync(ctx context.Context, id string, command []string, timeout time.Duration) (runtime.ExecResult, error)
}

// Result is the outcome of a try that took place. Output says why, in kube's
// words, and may be long.
type Result struct {
	OK bool
	// Warning marks a success of which users should know the Output.
	Warning bool
	Output  string
	// ExitCode is that of a command.
	ExitCode int
}

// maxOutput is how much is kept of what a command or a server says.
const maxOutput = 10 << 10

// Exec runs a command; its exit code decides. A command that runs out of time (0:
// it has any) has failed.
func Exec(ctx context.Context, engine Execer, target Target, command []string, timeout time.Duration) (Result, error) {
	done, err := engine.ExecSync(ctx, target.ContainerID, command, timeout)
	if runtime.IsTimeout(err) {
		return Result{Output: fmt.Sprintf("command timed out: %q timed out after %s", strings.Join(command, " "), timeout)}, nil
	}
	if err != nil {
		return Result{}, err
	}
	output := string(done.Stdout) + string(done.Stderr)
	return Result{OK: done.ExitCode == 0, Output: output[:min(len(output), maxOutput)], ExitCode: done.ExitCode}, nil
}

// TCP opens a connection and closes it.
func TCP(ctx context.Context, target Target, action *corev1.TCPSocketAction, timeout time.Duration) (Result, error) {
	address, err := target.address(action.Host, action.Port)
	if err != nil {
		return Result{}, err
	}
	dialer := net.Dialer{Timeout: timeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return Result{Output: err.Error()}, nil
	}
	_ = conn.Close()
	return Result{OK: true}, nil
}

// Port resolves a port by its number or by its name in the container.
func Port(port intstr.IntOrString, container *corev1.Container) (int, error) {
	number := port.IntValue()
	if port.Type == intstr.String {
		number = 0
		for _, p := range container.Ports {
			if p.Name == port.StrVal {
				number = int(p.ContainerPort)
				break
			}
		}
		if number == 0 {
			if n, err := strconv.Atoi(port.StrVal); err == nil {
				number = n
			} else {
				return 0, fmt.Errorf("couldn't find port %q in container %q", port.StrVal, container.Name)
			}
		}
	}
	if number < 1 || number > 65535 {
		return 0, fmt.Errorf("invalid port number: %s", port.String())
	}
	return number, nil
}

// address returns host:port, with the pod's address for an empty host. Nothing may
// be tried without one: an empty host means the node itself.
func (t Target) address(host string, port intstr.IntOrString) (string, error) {
	number, err := Port(port, t.Container)
	if err != nil {
		return "", err
	}
	if host == "" {
		host = t.PodIP
	}
	if host == "" {
		return "", ErrNoAddress
	}
	return net.JoinHostPort(host, strconv.Itoa(number)), nil
}

// userAgent names kube's client for a purpose, with the version of Kubernetes.
func userAgent(purpose string) string {
	number := version.DefaultKubeBinaryVersion
	if v := version.Get(); v.Major != "" && v.Minor != "" {
		number = v.Major + "." + v.Minor
	}
	return "kube-" + purpose + "/" + number
}
