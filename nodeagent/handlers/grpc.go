package handlers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// GRPC asks the standard health service (grpc.health.v1).
func GRPC(ctx context.Context, target Target, action *corev1.GRPCAction, timeout time.Duration) (Result, error) {
	address, err := target.address("", intstr.FromInt32(action.Port))
	if err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(), grpc.WithUserAgent(userAgent("probe")))
	if err != nil {
		return Result{}, fmt.Errorf("preparing to connect to %s: %w", address, err)
	}
	defer conn.Close()
	if err := connect(ctx, conn); errors.Is(err, context.DeadlineExceeded) {
		return Result{Output: fmt.Sprintf("timeout: failed to connect service %q within %v: %v", address, timeout, err)}, nil
	} else if err != nil {
		return Result{Output: fmt.Sprintf("error: failed to connect service at %q: %v", address, err)}, nil
	}
	request := &grpc_health_v1.HealthCheckRequest{}
	if action.Service != nil {
		request.Service = *action.Service
	}
	answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, request)
	switch status.Code(err) {
	case codes.OK:
	case codes.Unimplemented:
		return Result{Output: "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): " + status.Convert(err).Message()}, nil
	case codes.DeadlineExceeded:
		return Result{Output: fmt.Sprintf("timeout: health rpc did not complete within %v", timeout)}, nil
	default:
		return Result{Output: fmt.Sprintf("error: health rpc probe failed: %v", err)}, nil
	}
	if answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		return Result{Output: fmt.Sprintf("service unhealthy (responded with %q)", answer.GetStatus())}, nil
	}
	return Result{OK: true, Output: "service healthy"}, nil
}

// connect tries until there is a connection or ctx ends.
func connect(ctx context.Context, conn *grpc.ClientConn) error {
	conn.Connect()
	for {
		state := conn.GetState()
		if state == connectivity.Ready {
			return nil
		}
		if state == connectivity.Idle {
			conn.Connect()
		}
		if !conn.WaitForStateChange(ctx, state) {
			return ctx.Err()
		}
	}
}
