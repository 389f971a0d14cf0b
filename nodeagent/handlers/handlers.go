// Package handlers carries out the actions that pods ask for by their probes and
// lifecycle hooks: run a command, send an HTTP request, open a connection, ask a
// gRPC health service. A handler is a single try; when to try and what follows
// is for packages probes and lifecycle.
package handlers

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// Target is the container that an action is for.
type Target struct {
	Container   *corev1.Container
	ContainerID string // of the engine
	PodIP       string
}

// Execer runs commands in containers; runtime.Streams has it.
type Execer interface {
	ExecSync(ctx context.Context, id string, command []string, timeout time.Duration) (runtime.ExecResult, error)
}

// Result is the outcome of a try that took place. Output says why, in kube's
// words, and may be long.
type Result struct {
	OK     bool
	Output string
}

// Exec runs a command; its exit code decides. A command that runs out of time
// has failed.
func Exec(ctx context.Context, engine Execer, target Target, command []string, timeout time.Duration) (Result, error) {
	done, err := engine.ExecSync(ctx, target.ContainerID, command, timeout)
	if runtime.IsTimeout(err) {
		return Result{Output: fmt.Sprintf("command timed out: %q timed out after %s", command, timeout)}, nil
	}
	if err != nil {
		return Result{}, err
	}
	return Result{OK: done.ExitCode == 0, Output: string(done.Stdout) + string(done.Stderr)}, nil
}

// TCP opens a connection and closes it.
func TCP(ctx context.Context, target Target, action *corev1.TCPSocketAction, timeout time.Duration) (Result, error) {
	port, err := Port(action.Port, target.Container)
	if err != nil {
		return Result{}, err
	}
	dialer := net.Dialer{Timeout: timeout}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(hostOr(action.Host, target.PodIP), strconv.Itoa(port)))
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
		return 0, fmt.Errorf("invalid port number: %v", port)
	}
	return number, nil
}

func hostOr(host, podIP string) string {
	if host != "" {
		return host
	}
	return podIP
}
