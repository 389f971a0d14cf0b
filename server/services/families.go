package services

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	servicehelper "github.com/skiff-project/skiff/apis/helpers/service"
)

// setFamilies fills ipFamilyPolicy and ipFamilies of a service in a cluster that
// has these families, its default one first. old is nil on create. It returns
// what cannot be had.
func setFamilies(s, old *corev1.Service, cluster []corev1.IPFamily) field.ErrorList {
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return nil // it has no address of its own
	}
	headless := servicehelper.IsHeadless(s)
	if old != nil && old.Spec.Type != corev1.ServiceTypeExternalName {
		keepFamilies(s, old)
	}
	if old == nil || old.Spec.Type == corev1.ServiceTypeExternalName {
		familiesFromAddresses(s)
	}
	if s.Spec.IPFamilyPolicy == nil {
		policy := corev1.IPFamilyPolicySingleStack
		switch {
		case headless && len(s.Spec.Selector) == 0:
			// Nobody says where its endpoints live: they may be of any family.
			policy = corev1.IPFamilyPolicyRequireDualStack
		case len(s.Spec.ClusterIPs) == 2 || len(s.Spec.IPFamilies) == 2:
			policy = corev1.IPFamilyPolicyRequireDualStack
		}
		s.Spec.IPFamilyPolicy = &policy
	}
	if len(s.Spec.IPFamilies) == 0 {
		s.Spec.IPFamilies = []corev1.IPFamily{cluster[0]}
	}
	// Without a selector, families are only a wish that nothing has to fulfil.
	unbound := headless && len(s.Spec.Selector) == 0
	errs := checkFamilies(s, cluster, unbound)
	if len(errs) > 0 {
		return errs
	}
	setFamilyCount(s, cluster, unbound)
	return nil
}

// keepFamilies lets an update leave out what was filled in.
func keepFamilies(s, old *corev1.Service) {
	if s.Spec.IPFamilyPolicy == nil {
		s.Spec.IPFamilyPolicy = old.Spec.IPFamilyPolicy
	}
	if len(s.Spec.IPFamilies) == 0 {
		s.Spec.IPFamilies = slices.Clone(old.Spec.IPFamilies)
	}
}

// familiesFromAddresses takes the families of the addresses that a user chose.
func familiesFromAddresses(s *corev1.Service) {
	if len(s.Spec.IPFamilies) > 0 || servicehelper.IsHeadless(s) {
		return
	}
	for _, text := range s.Spec.ClusterIPs {
		if addr, err := netip.ParseAddr(text); err == nil {
			s.Spec.IPFamilies = append(s.Spec.IPFamilies, familyOf(addr))
		}
	}
}

func checkFamilies(s *corev1.Service, cluster []corev1.IPFamily, unbound bool) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("spec")
	if *s.Spec.IPFamilyPolicy == corev1.IPFamilyPolicyRequireDualStack && len(cluster) < 2 && !unbound {
		errs = append(errs, field.Invalid(path.Child("ipFamilyPolicy"), s.Spec.IPFamilyPolicy, "this cluster is not configured for dual-stack services"))
	}
	if unbound {
		return errs
	}
	for i, family := range s.Spec.IPFamilies {
		known := family == corev1.IPv4Protocol || family == corev1.IPv6Protocol
		if known && !slices.Contains(cluster, family) {
			errs = append(errs, field.Invalid(path.Child("ipFamilies").Index(i), family, "not configured on this cluster"))
		}
	}
	return errs
}

// setFamilyCount gives the service as many families as its policy asks for.
func setFamilyCount(s *corev1.Service, cluster []corev1.IPFamily, unbound bool) {
	switch *s.Spec.IPFamilyPolicy {
	case corev1.IPFamilyPolicySingleStack:
		if len(s.Spec.IPFamilies) > 1 {
			s.Spec.IPFamilies = s.Spec.IPFamilies[:1]
		}
		if len(s.Spec.ClusterIPs) > 1 {
			s.Spec.ClusterIPs = s.Spec.ClusterIPs[:1]
		}
	case corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack:
		if len(s.Spec.IPFamilies) == 1 && (len(cluster) == 2 || unbound) {
			s.Spec.IPFamilies = append(s.Spec.IPFamilies, other(s.Spec.IPFamilies[0]))
		}
	}
}

func other(family corev1.IPFamily) corev1.IPFamily {
	if family == corev1.IPv4Protocol {
		return corev1.IPv6Protocol
	}
	return corev1.IPv4Protocol
}

func familyOf(addr netip.Addr) corev1.IPFamily {
	if addr.Unmap().Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

// usedAddresses returns the cluster addresses that a stored service has.
func usedAddresses(s *corev1.Service) []string {
	if s == nil || !servicehelper.HasClusterIP(s) {
		return nil
	}
	if len(s.Spec.ClusterIPs) > 0 {
		return s.Spec.ClusterIPs
	}
	return []string{s.Spec.ClusterIP}
}

// usedPorts returns the node ports that a service has.
func usedPorts(s *corev1.Service) []string {
	if s == nil {
		return nil
	}
	var ports []string
	add := func(port int32) {
		if text := fmt.Sprint(port); port != 0 && !slices.Contains(ports, text) {
			ports = append(ports, text)
		}
	}
	if servicehelper.NeedsNodePort(s) || s.Spec.Type == corev1.ServiceTypeLoadBalancer {
		for _, p := range s.Spec.Ports {
			add(p.NodePort)
		}
	}
	add(s.Spec.HealthCheckNodePort)
	return ports
}
