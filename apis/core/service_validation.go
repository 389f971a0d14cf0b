package core

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	servicehelper "github.com/skiff-project/skiff/apis/helpers/service"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

const (
	maxStickySeconds = 24 * 60 * 60
	kubeletPort      = 10250
	needLoadBalancer = "may only be used when `type` is 'LoadBalancer'"
)

// ValidateServiceCreate returns what is wrong with a new service.
func ValidateServiceCreate(_ context.Context, s *corev1.Service) field.ErrorList {
	// A DNS label, be its first letter a digit (KEP-5311).
	errs := apivalidation.ValidateObjectMeta(&s.ObjectMeta, true, apivalidation.NameIsDNSLabel, rules.Metadata)
	return append(errs, checkService(s)...)
}

// checkService applies the rules that hold for new and for changed services.
func checkService(s *corev1.Service) field.ErrorList {
	spec := &s.Spec
	var errs field.ErrorList
	if len(spec.Ports) == 0 && !servicehelper.IsHeadless(s) && spec.Type != corev1.ServiceTypeExternalName {
		errs = append(errs, field.Required(rules.Spec.Child("ports"), ""))
	}
	errs = append(errs, checkServiceType(s)...)
	errs = append(errs, checkServicePorts(s, rules.Spec.Child("ports"))...)
	errs = append(errs, metavalidation.ValidateLabels(spec.Selector, rules.Spec.Child("selector"))...)
	errs = append(errs, checkSessionAffinity(spec)...)
	errs = append(errs, checkClusterIPs(s)...)
	for i, ip := range spec.ExternalIPs {
		errs = append(errs, validation.IsValidIP(rules.Spec.Child("externalIPs").Index(i), ip)...)
		errs = append(errs, checkOrdinaryIP(ip, rules.Spec.Child("externalIPs").Index(i))...)
	}
	errs = append(errs, checkLoadBalancer(spec)...)
	errs = append(errs, checkTrafficPolicies(s)...)
	if spec.TrafficDistribution != nil {
		errs = append(errs, rules.Enum(*spec.TrafficDistribution, rules.Spec.Child("trafficDistribution"),
			corev1.ServiceTrafficDistributionPreferClose, corev1.ServiceTrafficDistributionPreferSameNode,
			corev1.ServiceTrafficDistributionPreferSameZone)...)
	}
	return errs
}

// checkServiceType checks the type and what only some types may have.
func checkServiceType(s *corev1.Service) field.ErrorList {
	spec := &s.Spec
	errs := rules.RequiredEnum(spec.Type, rules.Spec.Child("type"), corev1.ServiceTypeClusterIP,
		corev1.ServiceTypeExternalName, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort)
	ips := rules.Spec.Child("clusterIPs")
	switch spec.Type {
	case corev1.ServiceTypeLoadBalancer:
		for i, port := range spec.Ports {
			if port.Port == kubeletPort {
				errs = append(errs, field.Invalid(rules.Spec.Child("ports").Index(i).Child("port"), port.Port,
					fmt.Sprintf("may not expose port %d externally since it is used by kubelet", kubeletPort)))
			}
		}
		if servicehelper.IsHeadless(s) {
			errs = append(errs, field.Invalid(ips.Index(0), spec.ClusterIP, "may not be set to 'None' for LoadBalancer services"))
		}
	case corev1.ServiceTypeNodePort:
		if servicehelper.IsHeadless(s) {
			errs = append(errs, field.Invalid(ips.Index(0), spec.ClusterIP, "may not be set to 'None' for NodePort services"))
		}
	case corev1.ServiceTypeExternalName:
		const refusal = "may not be set for ExternalName services"
		if len(spec.ClusterIPs) > 0 {
			errs = append(errs, field.Forbidden(ips, refusal))
		}
		if len(spec.IPFamilies) > 0 {
			errs = append(errs, field.Forbidden(rules.Spec.Child("ipFamilies"), refusal))
		}
		if spec.IPFamilyPolicy != nil {
			errs = append(errs, field.Forbidden(rules.Spec.Child("ipFamilyPolicy"), refusal))
		}
		if name := strings.TrimSuffix(spec.ExternalName, "."); name != "" {
			errs = append(errs, rules.DNSSubdomain(name, rules.Spec.Child("externalName"))...)
		} else {
			errs = append(errs, field.Required(rules.Spec.Child("externalName"), ""))
		}
	}
	return errs
}

func checkServicePorts(s *corev1.Service, path *field.Path) field.ErrorList {
	type key struct {
		Protocol corev1.Protocol
		Port     int32
	}
	var errs field.ErrorList
	names := sets.New[string]()
	ports, nodePorts := sets.New[key](), sets.New[key]()
	for i := range s.Spec.Ports {
		p, at := &s.Spec.Ports[i], path.Index(i)
		switch {
		case p.Name == "" && len(s.Spec.Ports) > 1:
			errs = append(errs, field.Required(at.Child("name"), ""))
		case p.Name != "":
			errs = append(errs, rules.DNSLabel(p.Name, at.Child("name"))...)
			errs = append(errs, checkUniqueName(p.Name, names, at)...)
		}
		errs = append(errs, checkPort(p.Port, at.Child("port"))...)
		errs = append(errs, checkProtocol(p.Protocol, at.Child("protocol"))...)
		errs = append(errs, checkPortOrName(p.TargetPort, at.Child("targetPort"))...)
		if p.AppProtocol != nil {
			errs = append(errs, rules.Invalid(at.Child("appProtocol"), *p.AppProtocol, validation.IsQualifiedName(*p.AppProtocol)...)...)
		}
		if ports.Has(key{p.Protocol, p.Port}) {
			errs = append(errs, field.Duplicate(at, corev1.ServicePort{Protocol: p.Protocol, Port: p.Port}))
		}
		ports.Insert(key{p.Protocol, p.Port})
		if p.NodePort == 0 {
			continue
		}
		if s.Spec.Type == corev1.ServiceTypeClusterIP {
			errs = append(errs, field.Forbidden(at.Child("nodePort"), "may not be used when `type` is 'ClusterIP'"))
		}
		if nodePorts.Has(key{p.Protocol, p.NodePort}) {
			errs = append(errs, field.Duplicate(at.Child("nodePort"), p.NodePort))
		}
		nodePorts.Insert(key{p.Protocol, p.NodePort})
	}
	return errs
}

func checkSessionAffinity(spec *corev1.ServiceSpec) field.ErrorList {
	errs := rules.RequiredEnum(spec.SessionAffinity, rules.Spec.Child("sessionAffinity"),
		corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone)
	at, config := rules.Spec.Child("sessionAffinityConfig"), spec.SessionAffinityConfig
	switch spec.SessionAffinity {
	case corev1.ServiceAffinityClientIP:
		missing := fmt.Sprintf("when session affinity type is %s", corev1.ServiceAffinityClientIP)
		switch {
		case config == nil:
			errs = append(errs, field.Required(at, missing))
		case config.ClientIP == nil:
			errs = append(errs, field.Required(at.Child("clientIP"), missing))
		case config.ClientIP.TimeoutSeconds == nil:
			errs = append(errs, field.Required(at.Child("clientIP", "timeoutSeconds"), missing))
		default:
			if seconds := *config.ClientIP.TimeoutSeconds; seconds <= 0 || seconds > maxStickySeconds {
				errs = append(errs, field.Invalid(at.Child("clientIP", "timeoutSeconds"), seconds,
					fmt.Sprintf("must be greater than 0 and less than %d", maxStickySeconds)))
			}
		}
	case corev1.ServiceAffinityNone:
		if config != nil {
			errs = append(errs, field.Forbidden(at, fmt.Sprintf("must not be set when session affinity is %s", corev1.ServiceAffinityNone)))
		}
	}
	return errs
}

func checkLoadBalancer(spec *corev1.ServiceSpec) field.ErrorList {
	var errs field.ErrorList
	balanced := spec.Type == corev1.ServiceTypeLoadBalancer
	if len(spec.LoadBalancerSourceRanges) > 0 {
		at := rules.Spec.Child("loadBalancerSourceRanges")
		if !balanced {
			errs = append(errs, field.Forbidden(at, needLoadBalancer))
		}
		for i, cidr := range spec.LoadBalancerSourceRanges {
			// Blanks around a range have always been accepted.
			errs = append(errs, validation.IsValidCIDRForLegacyField(at.Index(i), strings.TrimSpace(cidr), false, nil)...)
		}
	}
	at := rules.Spec.Child("allocateLoadBalancerNodePorts")
	if balanced && spec.AllocateLoadBalancerNodePorts == nil {
		errs = append(errs, field.Required(at, ""))
	}
	if !balanced && spec.AllocateLoadBalancerNodePorts != nil {
		errs = append(errs, field.Forbidden(at, needLoadBalancer))
	}
	if class := spec.LoadBalancerClass; class != nil {
		if !balanced {
			errs = append(errs, field.Forbidden(rules.Spec.Child("loadBalancerClass"), needLoadBalancer))
		}
		errs = append(errs, rules.Invalid(rules.Spec.Child("loadBalancerClass"), *class, validation.IsQualifiedName(*class)...)...)
	}
	return errs
}

func checkTrafficPolicies(s *corev1.Service) field.ErrorList {
	spec := &s.Spec
	var errs field.ErrorList
	at := rules.Spec.Child("externalTrafficPolicy")
	if servicehelper.ExternallyAccessible(s) {
		errs = append(errs, rules.RequiredEnum(spec.ExternalTrafficPolicy, at,
			corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)...)
	} else if spec.ExternalTrafficPolicy != "" {
		errs = append(errs, field.Invalid(at, spec.ExternalTrafficPolicy, "may only be set for externally-accessible services"))
	}
	if port := spec.HealthCheckNodePort; port != 0 {
		at := rules.Spec.Child("healthCheckNodePort")
		if servicehelper.NeedsHealthCheckNodePort(s) {
			errs = append(errs, checkPort(port, at)...)
		} else {
			errs = append(errs, field.Invalid(at, port, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"))
		}
	}
	at = rules.Spec.Child("internalTrafficPolicy")
	if policy := spec.InternalTrafficPolicy; policy != nil {
		errs = append(errs, rules.Enum(*policy, at, corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)...)
	} else if servicehelper.NeedsClusterIP(s) {
		errs = append(errs, field.Required(at, ""))
	}
	return errs
}
