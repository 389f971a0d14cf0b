package handlers

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
)

// GRPC asks the standard health service (grpc.health.v1).
func GRPC(ctx context.Context, target Target, action *corev1.GRPCAction, timeout time.Duration) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	address := net.JoinHostPort(target.PodIP, strconv.Itoa(int(action.Port)))
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		return Result{}, fmt.Errorf("preparing to connect to %s: %w", address, err)
	}
	defer conn.Close()
	service := ""
	if action.Service != nil {
		service = *action.Service
	}
	answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service}, grpc.WaitForReady(true))
	switch status.Code(err) {
	case codes.OK:
	case codes.Unimplemented:
		return Result{Output: fmt.Sprintf("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): %v", err)}, nil
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
