package services

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/skiff-project/skiff/server/ipallocator"
)

// repairInterval is how long a leaked address stays leaked, at most twice.
const repairInterval = 10 * time.Minute

// Ranges are the pools of the cluster, to be repaired.
type Ranges struct {
	Addresses map[corev1.IPFamily]*ipallocator.Pool
	Ports     *ipallocator.Pool
}

// Repair brings the ranges in line with the stored services once, and then now
// and again until ctx ends. The first run must be over before services are
// created.
func Repair(ctx context.Context, ranges Ranges, client kubernetes.Interface) {
	var runs []func(context.Context) error
	for family, pool := range ranges.Addresses {
		repairer := ipallocator.NewRepairer(pool)
		runs = append(runs, func(ctx context.Context) error {
			return repairer.Run(ctx, inUse(client, func(s *corev1.Service) []string { return addressesOf(s, family) }))
		})
	}
	ports := ipallocator.NewRepairer(ranges.Ports)
	runs = append(runs, func(ctx context.Context) error { return ports.Run(ctx, inUse(client, usedPorts)) })

	all := func(ctx context.Context) {
		for _, run := range runs {
			// What is wrong with one item must keep neither the others from being
			// repaired nor the server from starting.
			if err := run(ctx); err != nil && ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "Cannot repair a range of service addresses or ports")
			}
		}
	}
	all(ctx)
	// The next run must not come at once: what the last one suspects may be in use
	// by a service that is just being written.
	go func() {
		_ = wait.PollUntilContextCancel(ctx, repairInterval, false, func(ctx context.Context) (bool, error) {
			all(ctx)
			return false, nil
		})
	}()
}

func addressesOf(s *corev1.Service, family corev1.IPFamily) []string {
	var out []string
	for _, item := range usedAddresses(s) {
		if addr, err := netip.ParseAddr(item); err == nil && familyOf(addr) == family {
			out = append(out, addr.String())
		}
	}
	return out
}

// inUse returns the function that maps what services use to their UIDs.
func inUse(client kubernetes.Interface, items func(*corev1.Service) []string) func(context.Context) (map[string]string, error) {
	return func(ctx context.Context) (map[string]string, error) {
		list, err := client.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("listing services: %w", err)
		}
		used := map[string]string{}
		for i := range list.Items {
			for _, item := range items(&list.Items[i]) {
				used[item] = string(list.Items[i].UID)
			}
		}
		return used, nil
	}
}
