// Package service holds pure helpers over services: no client, no I/O, no clock.
package service

import (
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	utilnet "k8s.io/utils/net"
)

// IsHeadless reports whether the service has no address of its own
// (spec.clusterIP "None").
func IsHeadless(s *corev1.Service) bool { return s.Spec.ClusterIP == corev1.ClusterIPNone }

// HasClusterIP reports whether the service has an address that a proxy serves.
func HasClusterIP(s *corev1.Service) bool {
	return s.Spec.Type != corev1.ServiceTypeExternalName && s.Spec.ClusterIP != "" && !IsHeadless(s)
}

// NeedsClusterIP reports whether services of this type may have an address.
func NeedsClusterIP(s *corev1.Service) bool {
	switch s.Spec.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer:
		return true
	}
	return false
}

// NeedsNodePort reports whether the API server gives node ports to the service.
func NeedsNodePort(s *corev1.Service) bool {
	switch s.Spec.Type {
	case corev1.ServiceTypeNodePort:
		return true
	case corev1.ServiceTypeLoadBalancer:
		return s.Spec.AllocateLoadBalancerNodePorts == nil || *s.Spec.AllocateLoadBalancerNodePorts
	}
	return false
}

// NeedsHealthCheckNodePort reports whether the service needs a port on each node
// where a load balancer can ask for local endpoints.
func NeedsHealthCheckNodePort(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

// ExternallyAccessible reports whether spec.externalTrafficPolicy means anything
// for the service.
func ExternallyAccessible(s *corev1.Service) bool {
	switch s.Spec.Type {
	case corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer:
		return true
	case corev1.ServiceTypeClusterIP:
		return len(s.Spec.ExternalIPs) > 0
	}
	return false
}

// ExternalPolicyLocal reports whether traffic from outside must stay on the node
// that got it.
func ExternalPolicyLocal(s *corev1.Service) bool {
	return ExternallyAccessible(s) && s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

// InternalPolicyLocal reports whether traffic of pods must stay on their node.
func InternalPolicyLocal(s *corev1.Service) bool {
	return s.Spec.InternalTrafficPolicy != nil && *s.Spec.InternalTrafficPolicy == corev1.ServiceInternalTrafficPolicyLocal
}

// ClusterIPs returns the service's addresses, the primary one first; none for a
// headless service.
func ClusterIPs(s *corev1.Service) []netip.Addr {
	texts := s.Spec.ClusterIPs
	if len(texts) == 0 {
		texts = []string{s.Spec.ClusterIP}
	}
	var list []netip.Addr
	for _, text := range texts {
		// Old objects may hold addresses with leading zeros, which only the
		// lenient parser accepts.
		if address, ok := netip.AddrFromSlice(utilnet.ParseIPSloppy(text)); ok {
			list = append(list, address.Unmap())
		}
	}
	return list
}

// StickyTimeout returns for how long a client stays with the same endpoint, or 0
// if the service has no session affinity.
func StickyTimeout(s *corev1.Service) time.Duration {
	if s.Spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		return 0
	}
	if c := s.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
		return time.Duration(*c.ClientIP.TimeoutSeconds) * time.Second
	}
	return time.Duration(corev1.DefaultClientIPServiceAffinitySeconds) * time.Second
}

// PublishesNotReady reports whether unready pods count as endpoints as well.
func PublishesNotReady(s *corev1.Service) bool {
	return s.Spec.PublishNotReadyAddresses ||
		strings.EqualFold(s.Annotations["service.alpha.kubernetes.io/tolerate-unready-endpoints"], "true")
}
