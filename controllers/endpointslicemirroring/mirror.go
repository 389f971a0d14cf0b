package endpointslicemirroring

import (
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"
)

// maxEndpoints is the most endpoints of one subset that are mirrored.
const maxEndpoints = 1000

// Mirror returns the slices that show a user's Endpoints: one for each subset
// and address family. Their names follow from their content's place, so that
// two passes make the same ones.
func Mirror(endpoints *corev1.Endpoints) []*discoveryv1.EndpointSlice { //nolint:staticcheck // the deprecated API is the point
	var out []*discoveryv1.EndpointSlice
	for i := range endpoints.Subsets {
		subset := &endpoints.Subsets[i]
		byFamily := make(map[discoveryv1.AddressType][]discoveryv1.Endpoint)
		add := func(addresses []corev1.EndpointAddress, ready bool) {
			for j := range addresses {
				family, ok := familyOf(addresses[j].IP)
				if !ok || len(byFamily[family]) >= maxEndpoints {
					continue
				}
				byFamily[family] = append(byFamily[family], endpointOf(&addresses[j], ready))
			}
		}
		add(subset.Addresses, true)
		add(subset.NotReadyAddresses, false)
		for _, family := range []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6} {
			if len(byFamily[family]) == 0 {
				continue
			}
			slice := newSlice(endpoints, fmt.Sprintf("%s/%d", family, i))
			slice.AddressType, slice.Endpoints, slice.Ports = family, byFamily[family], portsOf(subset.Ports)
			out = append(out, slice)
		}
	}
	return out
}

func familyOf(ip string) (discoveryv1.AddressType, bool) {
	addr, err := netip.ParseAddr(ip)
	switch {
	case err != nil:
		return "", false
	case addr.Is6():
		return discoveryv1.AddressTypeIPv6, true
	default:
		return discoveryv1.AddressTypeIPv4, true
	}
}

func newSlice(endpoints *corev1.Endpoints, place string) *discoveryv1.EndpointSlice { //nolint:staticcheck // see above
	h := fnv.New32a()
	h.Write([]byte(place))
	slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
		Namespace:       endpoints.Namespace,
		Name:            endpoints.Name + "-" + rand.SafeEncodeString(fmt.Sprint(h.Sum32())),
		Labels:          maps.Clone(endpoints.Labels),
		Annotations:     maps.Clone(endpoints.Annotations),
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(endpoints, corev1.SchemeGroupVersion.WithKind("Endpoints"))},
	}}
	if slice.Labels == nil {
		slice.Labels = make(map[string]string)
	}
	slice.Labels[discoveryv1.LabelServiceName] = endpoints.Name
	slice.Labels[discoveryv1.LabelManagedBy] = managedBy
	delete(slice.Annotations, corev1.LastAppliedConfigAnnotation)
	delete(slice.Annotations, corev1.EndpointsLastChangeTriggerTime)
	return slice
}

func endpointOf(address *corev1.EndpointAddress, ready bool) discoveryv1.Endpoint {
	out := discoveryv1.Endpoint{
		Addresses:  []string{address.IP},
		Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		TargetRef:  address.TargetRef,
		NodeName:   address.NodeName,
	}
	if address.Hostname != "" {
		out.Hostname = &address.Hostname
	}
	return out
}

func portsOf(ports []corev1.EndpointPort) []discoveryv1.EndpointPort {
	out := make([]discoveryv1.EndpointPort, len(ports))
	for i, p := range ports {
		out[i] = discoveryv1.EndpointPort{Name: ptr.To(p.Name), Port: ptr.To(p.Port), Protocol: ptr.To(p.Protocol), AppProtocol: p.AppProtocol}
	}
	return out
}
