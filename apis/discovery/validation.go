package discovery

import (
	"context"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

const (
	maxEndpoints    = 1000
	maxAddresses    = 100
	maxPorts        = 20000
	maxTopologyInfo = 16
	maxZoneHints    = 8
	maxNodeHints    = 8
)

// ValidateEndpointSlice returns what is wrong with a new slice.
func ValidateEndpointSlice(_ context.Context, s *discoveryv1.EndpointSlice) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&s.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, rules.Metadata)
	errs = append(errs, rules.RequiredEnum(s.AddressType, field.NewPath("addressType"),
		discoveryv1.AddressTypeFQDN, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6)...)
	errs = append(errs, checkEndpoints(s.Endpoints, s.AddressType, field.NewPath("endpoints"))...)
	return append(errs, checkPorts(s.Ports, field.NewPath("ports"))...)
}

// ValidateEndpointSliceUpdate returns what is wrong with a change of a slice.
func ValidateEndpointSliceUpdate(ctx context.Context, s, old *discoveryv1.EndpointSlice) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&s.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, ValidateEndpointSlice(ctx, s)...)
	return append(errs, rules.Immutable(s.AddressType, old.AddressType, field.NewPath("addressType"))...)
}

func checkEndpoints(endpoints []discoveryv1.Endpoint, t discoveryv1.AddressType, path *field.Path) field.ErrorList {
	if len(endpoints) > maxEndpoints {
		return field.ErrorList{field.TooMany(path, len(endpoints), maxEndpoints)}
	}
	var errs field.ErrorList
	for i := range endpoints {
		errs = append(errs, checkEndpoint(&endpoints[i], t, path.Index(i))...)
	}
	return errs
}

func checkEndpoint(e *discoveryv1.Endpoint, t discoveryv1.AddressType, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	at := path.Child("addresses")
	switch n := len(e.Addresses); {
	case n == 0:
		errs = append(errs, field.Required(at, "must contain at least 1 address"))
	case n > maxAddresses:
		errs = append(errs, field.TooMany(at, n, maxAddresses))
	}
	for i, address := range e.Addresses {
		errs = append(errs, checkAddress(address, t, at.Index(i))...)
	}
	if e.NodeName != nil {
		errs = append(errs, rules.Invalid(path.Child("nodeName"), *e.NodeName, validation.IsDNS1123Subdomain(*e.NodeName)...)...)
	}
	if n := len(e.DeprecatedTopology); n > maxTopologyInfo {
		errs = append(errs, field.TooMany(path.Child("deprecatedTopology"), n, maxTopologyInfo))
	}
	errs = append(errs, metavalidation.ValidateLabels(e.DeprecatedTopology, path.Child("deprecatedTopology"))...)
	if e.Hostname != nil {
		errs = append(errs, rules.DNSLabel(*e.Hostname, path.Child("hostname"))...)
	}
	if e.Hints != nil {
		errs = append(errs, checkHints(e.Hints, path.Child("hints"))...)
	}
	return errs
}

func checkAddress(address string, t discoveryv1.AddressType, path *field.Path) field.ErrorList {
	switch t {
	case discoveryv1.AddressTypeIPv4:
		return checkIP(address, path, netip.Addr.Is4, "must be a valid IPv4 address")
	case discoveryv1.AddressTypeIPv6:
		return checkIP(address, path, netip.Addr.Is6, "must be a valid IPv6 address")
	case discoveryv1.AddressTypeFQDN:
		return validation.IsFullyQualifiedDomainName(path, address)
	}
	return nil
}

// checkIP checks the family of an address, and that it can be an endpoint.
func checkIP(address string, path *field.Path, family func(netip.Addr) bool, message string) field.ErrorList {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Zone() != "" || !family(ip) || ip.Is4In6() {
		return field.ErrorList{field.Invalid(path, address, message)}
	}
	var errs field.ErrorList
	refuse := func(is bool, message string) {
		if is {
			errs = append(errs, field.Invalid(path, address, message))
		}
	}
	refuse(ip.IsUnspecified(), "may not be unspecified (0.0.0.0 or ::)")
	refuse(ip.IsLoopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)")
	refuse(ip.IsLinkLocalUnicast(), "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
	refuse(ip.IsLinkLocalMulticast(), "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")
	return errs
}

func checkHints(h *discoveryv1.EndpointHints, path *field.Path) field.ErrorList {
	var zones, nodes []string
	for _, z := range h.ForZones {
		zones = append(zones, z.Name)
	}
	for _, n := range h.ForNodes {
		nodes = append(nodes, n.Name)
	}
	errs := checkHintNames(zones, maxZoneHints, path.Child("forZones"), validation.IsValidLabelValue)
	return append(errs, checkHintNames(nodes, maxNodeHints, path.Child("forNodes"), validation.IsDNS1123Subdomain)...)
}

func checkHintNames(names []string, most int, path *field.Path, valid func(string) []string) field.ErrorList {
	if len(names) > most {
		return field.ErrorList{field.TooMany(path, len(names), most)}
	}
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, name := range names {
		at := path.Index(i).Child("name")
		if seen.Has(name) {
			errs = append(errs, field.Duplicate(at, name))
		}
		seen.Insert(name)
		errs = append(errs, rules.Invalid(at, name, valid(name)...)...)
	}
	return errs
}

func checkPorts(ports []discoveryv1.EndpointPort, path *field.Path) field.ErrorList {
	if len(ports) > maxPorts {
		return field.ErrorList{field.TooMany(path, len(ports), maxPorts)}
	}
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, p := range ports {
		at := path.Index(i)
		if p.Name != nil {
			if *p.Name != "" {
				errs = append(errs, rules.DNSLabel(*p.Name, at.Child("name"))...)
			}
			if seen.Has(*p.Name) {
				errs = append(errs, field.Duplicate(at.Child("name"), *p.Name))
			}
			seen.Insert(*p.Name)
		}
		if p.Port != nil {
			errs = append(errs, rules.Invalid(at.Child("port"), *p.Port, validation.IsValidPortNum(int(*p.Port))...)...)
		}
		if p.Protocol == nil {
			errs = append(errs, field.Required(at.Child("protocol"), ""))
		} else {
			errs = append(errs, rules.Enum(*p.Protocol, at.Child("protocol"), corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)...)
		}
		if p.AppProtocol != nil {
			errs = append(errs, metavalidation.ValidateLabelName(*p.AppProtocol, at.Child("appProtocol"))...)
		}
	}
	return errs
}
