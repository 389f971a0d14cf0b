package core

import (
	"context"
	"net"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilnet "k8s.io/utils/net"

	servicehelper "github.com/skiff-project/skiff/apis/helpers/service"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// checkClusterIPs checks the addresses of the service and their families.
func checkClusterIPs(s *corev1.Service) field.ErrorList {
	const maxIPs = 2
	spec := &s.Spec
	if spec.Type == corev1.ServiceTypeExternalName {
		return nil // refused with the type
	}
	path := rules.Spec.Child("clusterIPs")
	var errs field.ErrorList
	switch {
	case spec.ClusterIP != "" && len(spec.ClusterIPs) == 0:
		errs = append(errs, field.Required(path, ""))
	case spec.ClusterIP == "" && len(spec.ClusterIPs) > 0:
		errs = append(errs, field.Invalid(path, spec.ClusterIPs, "must be empty when `clusterIP` is not specified"))
	case len(spec.ClusterIPs) > 0 && spec.ClusterIPs[0] != spec.ClusterIP:
		errs = append(errs, field.Invalid(path, spec.ClusterIPs, "first value must match `clusterIP`"))
	}
	if spec.IPFamilyPolicy != nil {
		errs = append(errs, rules.Enum(*spec.IPFamilyPolicy, rules.Spec.Child("ipFamilyPolicy"),
			corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack, corev1.IPFamilyPolicySingleStack)...)
	}
	families := sets.New[corev1.IPFamily]()
	for i, family := range spec.IPFamilies {
		at := rules.Spec.Child("ipFamilies").Index(i)
		errs = append(errs, rules.Enum(family, at, corev1.IPv4Protocol, corev1.IPv6Protocol)...)
		if families.Has(family) {
			errs = append(errs, field.Duplicate(at, family))
		}
		families.Insert(family)
	}
	if len(spec.ClusterIPs) > maxIPs {
		return append(errs, field.Invalid(path, spec.ClusterIPs, "may only hold up to 2 values"))
	}
	for i, ip := range spec.ClusterIPs {
		errs = append(errs, checkClusterIP(spec, i, ip, path)...)
	}
	if len(errs) == 0 && len(spec.ClusterIPs) == maxIPs {
		if dual, err := utilnet.IsDualStackIPStrings(spec.ClusterIPs); err == nil && !dual {
			errs = append(errs, field.Invalid(path, spec.ClusterIPs, "may specify no more than one IP for each IP family"))
		}
	}
	return errs
}

func checkClusterIP(spec *corev1.ServiceSpec, i int, ip string, path *field.Path) field.ErrorList {
	if ip == corev1.ClusterIPNone {
		if len(spec.ClusterIPs) > 1 {
			return field.ErrorList{field.Invalid(path, spec.ClusterIPs, "'None' must be the first and only value")}
		}
		return nil
	}
	errs := validation.IsValidIP(path.Index(i), ip)
	if len(errs) > 0 || i >= len(spec.IPFamilies) {
		return errs
	}
	family := corev1.IPv4Protocol
	if utilnet.IsIPv6String(ip) {
		family = corev1.IPv6Protocol
	}
	if spec.IPFamilies[i] != family {
		errs = append(errs, field.Invalid(path.Index(i), ip, "expected an "+string(spec.IPFamilies[i])+" value as indicated by `ipFamilies["+string(rune('0'+i))+"]`"))
	}
	return errs
}

// checkOrdinaryIP refuses addresses that mean something special on every host.
func checkOrdinaryIP(text string, path *field.Path) field.ErrorList {
	ip := net.IP(utilnet.ParseIPSloppy(text))
	var errs field.ErrorList
	refuse := func(message string) { errs = append(errs, field.Invalid(path, text, message)) }
	if ip == nil {
		return nil // refused already for its form
	}
	if ip.IsUnspecified() {
		refuse("may not be unspecified (0.0.0.0 or ::)")
	}
	if ip.IsLoopback() {
		refuse("may not be in the loopback range (127.0.0.0/8, ::1/128)")
	}
	if ip.IsLinkLocalUnicast() {
		refuse("may not be in the link-local range (169.254.0.0/16, fe80::/10)")
	}
	if ip.IsLinkLocalMulticast() {
		refuse("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")
	}
	return errs
}

// ValidateServiceUpdate returns what is wrong with a change of a service: its
// addresses stay as long as its type has addresses.
func ValidateServiceUpdate(_ context.Context, s, old *corev1.Service) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&s.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, checkIPsUnchanged(s, old)...)
	bothBalanced := s.Spec.Type == corev1.ServiceTypeLoadBalancer && old.Spec.Type == corev1.ServiceTypeLoadBalancer
	if bothBalanced && !sameText(s.Spec.LoadBalancerClass, old.Spec.LoadBalancerClass) {
		errs = append(errs, field.Invalid(rules.Spec.Child("loadBalancerClass"), s.Spec.LoadBalancerClass, "may not change once set"))
	}
	return append(errs, checkService(s)...)
}

func checkIPsUnchanged(s, old *corev1.Service) field.ErrorList {
	const fixed = "may not change once set"
	if !servicehelper.NeedsClusterIP(s) || !servicehelper.NeedsClusterIP(old) || len(old.Spec.ClusterIPs) == 0 {
		return nil
	}
	var errs field.ErrorList
	path := rules.Spec.Child("clusterIPs")
	is, was := s.Spec.ClusterIPs, old.Spec.ClusterIPs
	switch {
	case len(is) == 0:
		errs = append(errs, field.Invalid(path.Index(0), is, "primary clusterIP can not be unset"))
	case is[0] != was[0]:
		errs = append(errs, field.Invalid(path.Index(0), is, fixed))
	case len(was) > 1 && len(is) > 1 && is[1] != was[1]:
		errs = append(errs, field.Invalid(path.Index(1), is, fixed))
	case len(was) > 1 && len(is) == 1 && (s.Spec.IPFamilyPolicy == nil || *s.Spec.IPFamilyPolicy != corev1.IPFamilyPolicySingleStack):
		errs = append(errs, field.Invalid(rules.Spec.Child("ipFamilyPolicy"), s.Spec.IPFamilyPolicy,
			"must be set to 'SingleStack' when releasing the secondary clusterIP"))
	}
	if len(s.Spec.IPFamilies) > 0 && len(old.Spec.IPFamilies) > 0 && s.Spec.IPFamilies[0] != old.Spec.IPFamilies[0] {
		errs = append(errs, field.Invalid(rules.Spec.Child("ipFamilies").Index(0), s.Spec.IPFamilies[0], fixed))
	}
	return errs
}

// ValidateServiceStatusUpdate returns what is wrong with a write of a service's
// status.
func ValidateServiceStatusUpdate(_ context.Context, s, old *corev1.Service) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&s.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	path := rules.Status.Child("loadBalancer", "ingress")
	ingress := s.Status.LoadBalancer.Ingress
	if len(ingress) > 0 && s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		errs = append(errs, field.Forbidden(path, "may only be used when `spec.type` is \"LoadBalancer\""))
	}
	for i := range ingress {
		at := path.Index(i)
		if ip := ingress[i].IP; ip != "" {
			errs = append(errs, validation.IsValidIP(at.Child("ip"), ip)...)
		}
		switch mode := ingress[i].IPMode; {
		case mode == nil:
		case ingress[i].IP == "":
			errs = append(errs, field.Forbidden(at.Child("ipMode"), "may not be specified when `ip` is not set"))
		case !slices.Contains([]corev1.LoadBalancerIPMode{corev1.LoadBalancerIPModeVIP, corev1.LoadBalancerIPModeProxy}, *mode):
			errs = append(errs, field.NotSupported(at.Child("ipMode"), *mode,
				[]corev1.LoadBalancerIPMode{corev1.LoadBalancerIPModeProxy, corev1.LoadBalancerIPModeVIP}))
		}
		if name := ingress[i].Hostname; name != "" {
			errs = append(errs, rules.DNSSubdomain(name, at.Child("hostname"))...)
			if net.ParseIP(name) != nil {
				errs = append(errs, field.Invalid(at.Child("hostname"), name, "must be a DNS name, not an IP address"))
			}
		}
	}
	return errs
}
