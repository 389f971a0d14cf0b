package proxy

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/proxy/iptables"
)

// Cleanup removes every chain and rule that a proxy ever made on this node, in
// both IP families. Rules of others stay as they are. Doing it twice, or where
// no iptables is installed, does no harm.
func Cleanup(ctx context.Context) error {
	var problems []error
	for _, family := range []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol} {
		program, err := iptables.Open(family)
		if errors.Is(err, iptables.ErrMissing) {
			continue
		}
		found := false
		if err == nil {
			found, err = iptables.Cleanup(ctx, program)
		}
		if err == nil && found && family == corev1.IPv4Protocol {
			err = forbidLocalnet()
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("removing %s rules: %w", family, err))
		}
	}
	return errors.Join(problems...)
}
