package model

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	netutils "k8s.io/utils/net"
)

// PortName identifies one port of one Service.
type PortName struct {
	types.NamespacedName
	Port     string // empty where the Service names no port
	Protocol corev1.Protocol
}

// String returns namespace/name:port, without the colon where the port has no name.
func (n PortName) String() string {
	if n.Port == "" {
		return n.NamespacedName.String()
	}
	return n.NamespacedName.String() + ":" + n.Port
}

// Compare orders port names by namespace, name, port and protocol.
func (n PortName) Compare(other PortName) int {
	if c := strings.Compare(n.Namespace, other.Namespace); c != 0 {
		return c
	}
	if c := strings.Compare(n.Name, other.Name); c != 0 {
		return c
	}
	if c := strings.Compare(n.Port, other.Port); c != 0 {
		return c
	}
	return strings.Compare(string(n.Protocol), string(other.Protocol))
}

// Service is what the spec and status of a Service say about one of its ports,
// in one IP family.
type Service struct {
	Name            PortName
	ClusterIP       netip.Addr
	Port            uint16
	NodePort        uint16 // 0: none
	ExternalIPs     []netip.Addr
	LoadBalancerIPs []netip.Addr   // only those whose traffic arrives with the address as destination
	SourceRanges    []netip.Prefix // who may use the load balancer addresses; empty: everybody

	AffinitySeconds     int  // session affinity by client address; 0: none
	InternalLocal       bool // internalTrafficPolicy: Local
	ExternalLocal       bool // externalTrafficPolicy: Local
	HealthCheckNodePort uint16
}

// ExternallyReachable reports whether anything but the cluster IP stands for the port.
func (s *Service) ExternallyReachable() bool {
	return s.NodePort != 0 || len(s.ExternalIPs) > 0 || len(s.LoadBalancerIPs) > 0
}

func (s *Service) equal(o *Service) bool {
	return s.Name == o.Name && s.ClusterIP == o.ClusterIP && s.Port == o.Port && s.NodePort == o.NodePort &&
		slices.Equal(s.ExternalIPs, o.ExternalIPs) && slices.Equal(s.LoadBalancerIPs, o.LoadBalancerIPs) &&
		slices.Equal(s.SourceRanges, o.SourceRanges) && s.AffinitySeconds == o.AffinitySeconds &&
		s.InternalLocal == o.InternalLocal && s.ExternalLocal == o.ExternalLocal &&
		s.HealthCheckNodePort == o.HealthCheckNodePort
}

// ServicePorts returns the ports of a Service that a proxy serves in one IP
// family. Headless and ExternalName Services have none.
func ServicePorts(svc *corev1.Service, family corev1.IPFamily) []Service {
	clusterIP, ok := clusterIP(svc, family)
	if !ok {
		return nil
	}
	base := Service{
		ClusterIP:           clusterIP,
		ExternalIPs:         addresses(svc.Spec.ExternalIPs, family),
		LoadBalancerIPs:     loadBalancerIPs(svc, family),
		SourceRanges:        sourceRanges(svc, family),
		AffinitySeconds:     affinitySeconds(svc),
		InternalLocal:       svc.Spec.InternalTrafficPolicy != nil && *svc.Spec.InternalTrafficPolicy == corev1.ServiceInternalTrafficPolicyLocal,
		ExternalLocal:       externalLocal(svc),
		HealthCheckNodePort: healthCheckNodePort(svc),
	}
	ports := make([]Service, 0, len(svc.Spec.Ports))
	for _, p := range svc.Spec.Ports {
		s := base
		s.Name = PortName{
			NamespacedName: types.NamespacedName{Namespace: svc.Namespace, Name: svc.Name},
			Port:           p.Name,
			Protocol:       protocolOrTCP(p.Protocol),
		}
		s.Port, s.NodePort = uint16(p.Port), uint16(p.NodePort)
		ports = append(ports, s)
	}
	return ports
}

func protocolOrTCP(p corev1.Protocol) corev1.Protocol {
	if p == "" {
		return corev1.ProtocolTCP
	}
	return p
}

func clusterIP(svc *corev1.Service, family corev1.IPFamily) (netip.Addr, bool) {
	if svc.Spec.Type == corev1.ServiceTypeExternalName || svc.Spec.ClusterIP == corev1.ClusterIPNone {
		return netip.Addr{}, false
	}
	all := svc.Spec.ClusterIPs
	if len(all) == 0 { // written by a client that predates dual stack
		all = []string{svc.Spec.ClusterIP}
	}
	found := addresses(all, family)
	if len(found) == 0 {
		return netip.Addr{}, false
	}
	return found[0], true
}

// loadBalancerIPs leaves out the addresses whose ipMode is Proxy: that load
// balancer sends to the node port, and short-cutting it would skip what it does.
func loadBalancerIPs(svc *corev1.Service, family corev1.IPFamily) []netip.Addr {
	var out []netip.Addr
	for _, ingress := range svc.Status.LoadBalancer.Ingress {
		if ingress.IP == "" || ingress.IPMode != nil && *ingress.IPMode == corev1.LoadBalancerIPModeProxy {
			continue
		}
		out = append(out, addresses([]string{ingress.IP}, family)...)
	}
	return out
}

// sourceRanges is empty if everybody is allowed.
func sourceRanges(svc *corev1.Service, family corev1.IPFamily) []netip.Prefix {
	ranges := svc.Spec.LoadBalancerSourceRanges
	if len(ranges) == 0 {
		if v := svc.Annotations[corev1.AnnotationLoadBalancerSourceRangesKey]; v != "" {
			ranges = strings.Split(v, ",")
		}
	}
	var out []netip.Prefix
	for _, r := range ranges {
		_, parsed, err := netutils.ParseCIDRSloppy(strings.TrimSpace(r))
		if err != nil {
			continue // validation refuses it; an object older than the validation must not stop the proxy
		}
		ones, _ := parsed.Mask.Size()
		addr, ok := ParseAddr(parsed.IP.String())
		if !ok || !OfFamily(addr, family) {
			continue
		}
		if ones == 0 {
			return nil
		}
		out = append(out, netip.PrefixFrom(addr, ones))
	}
	return out
}

func affinitySeconds(svc *corev1.Service) int {
	if svc.Spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		return 0
	}
	if c := svc.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
		return int(*c.ClientIP.TimeoutSeconds)
	}
	return int(corev1.DefaultClientIPServiceAffinitySeconds)
}

func externalLocal(svc *corev1.Service) bool {
	external := svc.Spec.Type == corev1.ServiceTypeNodePort || svc.Spec.Type == corev1.ServiceTypeLoadBalancer ||
		len(svc.Spec.ExternalIPs) > 0
	return external && svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

func healthCheckNodePort(svc *corev1.Service) uint16 {
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer || !externalLocal(svc) {
		return 0
	}
	return uint16(svc.Spec.HealthCheckNodePort)
}

// addresses returns the valid addresses of the family, in order.
func addresses(in []string, family corev1.IPFamily) []netip.Addr {
	var out []netip.Addr
	for _, s := range in {
		if addr, ok := ParseAddr(s); ok && OfFamily(addr, family) {
			out = append(out, addr)
		}
	}
	return out
}

// ParseAddr reads an address as the API has always accepted it (leading zeros
// are decimal), and returns false where it is none.
func ParseAddr(s string) (netip.Addr, bool) {
	addr, ok := netip.AddrFromSlice(netutils.ParseIPSloppy(s))
	return addr.Unmap(), ok
}

// OfFamily reports whether the address belongs to the IP family.
func OfFamily(addr netip.Addr, family corev1.IPFamily) bool {
	return addr.IsValid() && addr.Is4() == (family == corev1.IPv4Protocol)
}
