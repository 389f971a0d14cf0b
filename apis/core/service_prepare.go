package core

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	servicehelper "github.com/skiff-project/skiff/apis/helpers/service"
)

func prepareServiceForCreate(_ context.Context, s *corev1.Service) {
	s.Status = corev1.ServiceStatus{}
	normalizeClusterIPs(s, nil)
}

// prepareServiceForUpdate lets a client leave out what the server has allocated,
// and lets go of what the new type has no use for.
func prepareServiceForUpdate(_ context.Context, s, old *corev1.Service) {
	s.Status = *old.Status.DeepCopy()
	keepAllocated(s, old)
	normalizeClusterIPs(s, old)
	dropTypeDependent(s, old)
}

// normalizeClusterIPs makes clusterIP and clusterIPs agree where a client knows
// only one of them. Contradictions are left for validation.
func normalizeClusterIPs(s, old *corev1.Service) {
	spec := &s.Spec
	if old == nil {
		if spec.ClusterIP != "" && len(spec.ClusterIPs) == 0 {
			spec.ClusterIPs = []string{spec.ClusterIP}
		}
		return
	}
	if spec.ClusterIP == old.Spec.ClusterIP {
		return
	}
	samePlural := len(spec.ClusterIPs) == len(old.Spec.ClusterIPs) && sameStrings(spec.ClusterIPs, old.Spec.ClusterIPs)
	switch {
	case spec.ClusterIP == "" && samePlural:
		spec.ClusterIPs = nil
	case spec.ClusterIP != "" && samePlural:
		spec.ClusterIPs = append([]string{spec.ClusterIP}, tail(spec.ClusterIPs)...)
	}
}

func sameStrings(a, b []string) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func tail(list []string) []string {
	if len(list) < 2 {
		return nil
	}
	return list[1:]
}

// keepAllocated fills addresses and ports that the update leaves out from the
// old object.
func keepAllocated(s, old *corev1.Service) {
	if servicehelper.NeedsClusterIP(old) && servicehelper.NeedsClusterIP(s) {
		if s.Spec.ClusterIP == "" && (len(s.Spec.ClusterIPs) == 0 || s.Spec.ClusterIPs[0] == old.Spec.ClusterIP) {
			s.Spec.ClusterIP = old.Spec.ClusterIP
		}
		if len(s.Spec.ClusterIPs) == 0 && s.Spec.ClusterIP == old.Spec.ClusterIP {
			s.Spec.ClusterIPs = append([]string(nil), old.Spec.ClusterIPs...)
		}
	}
	if servicehelper.NeedsNodePort(old) && servicehelper.NeedsNodePort(s) {
		keepNodePorts(s, old)
	}
	if servicehelper.NeedsHealthCheckNodePort(old) && servicehelper.NeedsHealthCheckNodePort(s) && s.Spec.HealthCheckNodePort == 0 {
		s.Spec.HealthCheckNodePort = old.Spec.HealthCheckNodePort
	}
}

// keepNodePorts gives ports without a node port the one that the old port of the
// same number and protocol had, unless another port of the update claims it.
func keepNodePorts(s, old *corev1.Service) {
	type key struct {
		protocol corev1.Protocol
		port     int32
	}
	allocated := map[key]int32{}
	for _, p := range old.Spec.Ports {
		allocated[key{p.Protocol, p.Port}] = p.NodePort
	}
	claimed := map[key]bool{}
	for _, p := range s.Spec.Ports {
		claimed[key{p.Protocol, p.NodePort}] = true
	}
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		port := allocated[key{p.Protocol, p.Port}]
		if p.NodePort == 0 && port != 0 && !claimed[key{p.Protocol, port}] {
			p.NodePort = port
			claimed[key{p.Protocol, port}] = true
		}
	}
}

// dropTypeDependent clears fields that the old type needed, the new type does not
// allow, and the client did not touch: changing only spec.type must work.
func dropTypeDependent(s, old *corev1.Service) {
	if servicehelper.NeedsClusterIP(old) && !servicehelper.NeedsClusterIP(s) {
		if s.Spec.ClusterIP == old.Spec.ClusterIP {
			s.Spec.ClusterIP = ""
			s.Spec.ClusterIPs = nil
		}
		s.Spec.IPFamilies = nil
		s.Spec.IPFamilyPolicy = nil
		s.Spec.InternalTrafficPolicy = nil
	}
	if servicehelper.NeedsNodePort(old) && !servicehelper.NeedsNodePort(s) && sameNodePorts(s, old) {
		for i := range s.Spec.Ports {
			s.Spec.Ports[i].NodePort = 0
		}
	}
	if servicehelper.NeedsHealthCheckNodePort(old) && !servicehelper.NeedsHealthCheckNodePort(s) &&
		s.Spec.HealthCheckNodePort == old.Spec.HealthCheckNodePort {
		s.Spec.HealthCheckNodePort = 0
	}
	loadBalancer := s.Spec.Type == corev1.ServiceTypeLoadBalancer
	if old.Spec.Type == corev1.ServiceTypeLoadBalancer && !loadBalancer {
		s.Spec.AllocateLoadBalancerNodePorts = nil
		if sameText(s.Spec.LoadBalancerClass, old.Spec.LoadBalancerClass) {
			s.Spec.LoadBalancerClass = nil
		}
		s.Status.LoadBalancer = corev1.LoadBalancerStatus{}
	}
	if servicehelper.ExternallyAccessible(old) && !servicehelper.ExternallyAccessible(s) &&
		s.Spec.ExternalTrafficPolicy == old.Spec.ExternalTrafficPolicy {
		s.Spec.ExternalTrafficPolicy = ""
	}
}

func sameNodePorts(s, old *corev1.Service) bool {
	had := map[int32]bool{}
	for _, p := range old.Spec.Ports {
		had[p.NodePort] = true
	}
	for _, p := range s.Spec.Ports {
		if p.NodePort != 0 && !had[p.NodePort] {
			return false
		}
	}
	return true
}

func sameText(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }
