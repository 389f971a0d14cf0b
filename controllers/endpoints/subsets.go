package endpoints

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/endpointslice"
	endpointsliceutil "k8s.io/endpointslice/util"

	"github.com/skiff-project/skiff/controllers/podcontrol"
)

// capacity is the most addresses that one Endpoints object lists.
const capacity = 1000

// Subsets returns the subsets of the Endpoints of a Service over the pods that
// it selects: addresses with the same ports share a subset, pods that are not
// ready are in notReadyAddresses unless spec.publishNotReadyAddresses is set.
// The order is canonical.
func Subsets(svc *corev1.Service, pods []*corev1.Pod) []corev1.EndpointSubset {
	byPorts := make(map[string]*corev1.EndpointSubset)
	for _, pod := range pods {
		if !endpointsliceutil.ShouldPodBeInEndpoints(pod, svc.Spec.PublishNotReadyAddresses) {
			continue
		}
		ip := podIP(svc, pod)
		if ip == "" {
			continue
		}
		ports := portsOf(svc, pod)
		if len(ports) == 0 && len(svc.Spec.Ports) > 0 {
			continue // none of the named ports exists in this pod
		}
		key := fmt.Sprint(ports)
		subset := byPorts[key]
		if subset == nil {
			subset = &corev1.EndpointSubset{Ports: ports}
			byPorts[key] = subset
		}
		address := addressOf(svc, pod, ip)
		if svc.Spec.PublishNotReadyAddresses || podcontrol.Ready(pod) {
			subset.Addresses = append(subset.Addresses, address)
		} else {
			subset.NotReadyAddresses = append(subset.NotReadyAddresses, address)
		}
	}
	out := make([]corev1.EndpointSubset, 0, len(byPorts))
	for _, subset := range byPorts {
		slices.SortFunc(subset.Addresses, compareAddresses)
		slices.SortFunc(subset.NotReadyAddresses, compareAddresses)
		out = append(out, *subset)
	}
	slices.SortFunc(out, func(a, b corev1.EndpointSubset) int { return slices.CompareFunc(a.Ports, b.Ports, comparePorts) })
	return out
}

// podIP returns the pod's address of the Service's (first) family.
func podIP(svc *corev1.Service, pod *corev1.Pod) string {
	var family corev1.IPFamily
	if len(svc.Spec.IPFamilies) > 0 {
		family = svc.Spec.IPFamilies[0]
	} else if strings.Contains(svc.Spec.ClusterIP, ":") {
		family = corev1.IPv6Protocol
	} else if svc.Spec.ClusterIP == "" || svc.Spec.ClusterIP == corev1.ClusterIPNone {
		return pod.Status.PodIP
	} else {
		family = corev1.IPv4Protocol
	}
	for _, ip := range pod.Status.PodIPs {
		addr, err := netip.ParseAddr(ip.IP)
		if err == nil && addr.Is6() == (family == corev1.IPv6Protocol) {
			return ip.IP
		}
	}
	return ""
}

// portsOf resolves the Service's ports in one pod; named target ports that the
// pod lacks are left out. A headless Service without ports has none.
func portsOf(svc *corev1.Service, pod *corev1.Pod) []corev1.EndpointPort {
	var out []corev1.EndpointPort
	for i := range svc.Spec.Ports {
		port := &svc.Spec.Ports[i]
		number, err := endpointslice.FindPort(pod, port)
		if err != nil {
			continue
		}
		ep := corev1.EndpointPort{Name: port.Name, Port: int32(number), Protocol: port.Protocol, AppProtocol: port.AppProtocol}
		out = append(out, ep)
	}
	slices.SortFunc(out, comparePorts)
	return slices.CompactFunc(out, func(a, b corev1.EndpointPort) bool { return comparePorts(a, b) == 0 })
}

func addressOf(svc *corev1.Service, pod *corev1.Pod, ip string) corev1.EndpointAddress {
	address := corev1.EndpointAddress{
		IP: ip,
		TargetRef: &corev1.ObjectReference{
			Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID,
		},
	}
	if pod.Spec.NodeName != "" {
		address.NodeName = &pod.Spec.NodeName
	}
	if endpointsliceutil.ShouldSetHostname(pod, svc) {
		address.Hostname = pod.Spec.Hostname
	}
	return address
}

func compareAddresses(a, b corev1.EndpointAddress) int {
	x, errX := netip.ParseAddr(a.IP)
	y, errY := netip.ParseAddr(b.IP)
	if errX == nil && errY == nil {
		if c := bytes.Compare(x.AsSlice(), y.AsSlice()); c != 0 {
			return c
		}
	} else if c := cmp.Compare(a.IP, b.IP); c != 0 {
		return c
	}
	return cmp.Compare(uid(a), uid(b)) // host-network pods share an address
}

func uid(a corev1.EndpointAddress) string {
	if a.TargetRef == nil {
		return ""
	}
	return string(a.TargetRef.UID)
}

func comparePorts(a, b corev1.EndpointPort) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
}

// Truncate cuts subsets down to what one Endpoints object may list, ready
// addresses first and fairly over the subsets, and reports whether it had to.
func Truncate(subsets []corev1.EndpointSubset) bool {
	ready, notReady := 0, 0
	for _, s := range subsets {
		ready += len(s.Addresses)
		notReady += len(s.NotReadyAddresses)
	}
	if ready+notReady <= capacity {
		return false
	}
	keepReady := min(ready, capacity)
	keepNotReady := min(notReady, capacity-keepReady)
	for i := range subsets {
		// Dividing what is left by what is left spreads the rounding.
		n := len(subsets[i].Addresses)
		if ready > 0 {
			take := (n*keepReady + ready/2) / ready
			take = min(take, n, keepReady)
			subsets[i].Addresses = subsets[i].Addresses[:take]
			keepReady -= take
			ready -= n
		}
		n = len(subsets[i].NotReadyAddresses)
		if notReady > 0 {
			take := (n*keepNotReady + notReady/2) / notReady
			take = min(take, n, keepNotReady)
			subsets[i].NotReadyAddresses = subsets[i].NotReadyAddresses[:take]
			keepNotReady -= take
			notReady -= n
		}
	}
	return true
}
