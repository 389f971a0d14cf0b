package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	servicehelper "github.com/skiff-project/skiff/apis/helpers/service"

	"github.com/skiff-project/skiff/apis/resource/defaulting"
)

// SetDefaultsService completes a service as far as it can be done without
// addresses and ports from the allocators.
func SetDefaultsService(s *corev1.Service) {
	spec := &s.Spec
	defaulting.Value(&spec.SessionAffinity, corev1.ServiceAffinityNone)
	switch spec.SessionAffinity {
	case corev1.ServiceAffinityNone:
		spec.SessionAffinityConfig = nil
	case corev1.ServiceAffinityClientIP:
		defaulting.Pointer(&spec.SessionAffinityConfig, corev1.SessionAffinityConfig{})
		defaulting.Pointer(&spec.SessionAffinityConfig.ClientIP, corev1.ClientIPConfig{})
		defaulting.Pointer(&spec.SessionAffinityConfig.ClientIP.TimeoutSeconds, corev1.DefaultClientIPServiceAffinitySeconds)
	}
	defaulting.Value(&spec.Type, corev1.ServiceTypeClusterIP)
	for i := range spec.Ports {
		port := &spec.Ports[i]
		defaulting.Value(&port.Protocol, corev1.ProtocolTCP)
		if port.TargetPort == (intstr.IntOrString{}) || port.TargetPort == intstr.FromString("") {
			port.TargetPort = intstr.FromInt32(port.Port)
		}
	}
	if servicehelper.ExternallyAccessible(s) {
		defaulting.Value(&spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	if spec.InternalTrafficPolicy == nil && servicehelper.NeedsClusterIP(s) {
		defaulting.Pointer(&spec.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster)
	}
	if spec.Type == corev1.ServiceTypeLoadBalancer {
		defaulting.Pointer(&spec.AllocateLoadBalancerNodePorts, true)
	}
	for i := range s.Status.LoadBalancer.Ingress {
		if ingress := &s.Status.LoadBalancer.Ingress[i]; ingress.IP != "" {
			defaulting.Pointer(&ingress.IPMode, corev1.LoadBalancerIPModeVIP)
		}
	}
}
