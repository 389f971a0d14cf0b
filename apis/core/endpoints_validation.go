package core

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// ValidateEndpoints returns what is wrong with endpoints.
func ValidateEndpoints(_ context.Context, e *corev1.Endpoints) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&e.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, rules.Metadata)
	return append(errs, checkSubsets(e.Subsets)...)
}

// ValidateEndpointsUpdate returns what is wrong with a change of endpoints.
func ValidateEndpointsUpdate(_ context.Context, e, old *corev1.Endpoints) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&e.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	return append(errs, checkSubsets(e.Subsets)...)
}

func checkSubsets(subsets []corev1.EndpointSubset) field.ErrorList {
	var errs field.ErrorList
	for i := range subsets {
		subset, at := &subsets[i], field.NewPath("subsets").Index(i)
		if len(subset.Addresses) == 0 && len(subset.NotReadyAddresses) == 0 {
			errs = append(errs, field.Required(at, "must specify `addresses` or `notReadyAddresses`"))
		}
		errs = append(errs, checkEndpointAddresses(subset.Addresses, at.Child("addresses"))...)
		errs = append(errs, checkEndpointAddresses(subset.NotReadyAddresses, at.Child("notReadyAddresses"))...)
		for j, port := range subset.Ports {
			at := at.Child("ports").Index(j)
			if port.Name == "" && len(subset.Ports) > 1 {
				errs = append(errs, field.Required(at.Child("name"), ""))
			} else if port.Name != "" {
				errs = append(errs, rules.DNSLabel(port.Name, at.Child("name"))...)
			}
			errs = append(errs, checkPort(port.Port, at.Child("port"))...)
			errs = append(errs, checkProtocol(port.Protocol, at.Child("protocol"))...)
			if port.AppProtocol != nil {
				errs = append(errs, rules.Invalid(at.Child("appProtocol"), *port.AppProtocol, validation.IsQualifiedName(*port.AppProtocol)...)...)
			}
		}
	}
	return errs
}

func checkEndpointAddresses(addresses []corev1.EndpointAddress, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, address := range addresses {
		at := path.Index(i)
		errs = append(errs, validation.IsValidIP(at.Child("ip"), address.IP)...)
		errs = append(errs, checkOrdinaryIP(address.IP, at.Child("ip"))...)
		if address.Hostname != "" {
			errs = append(errs, rules.DNSLabel(address.Hostname, at.Child("hostname"))...)
		}
		if address.NodeName != nil {
			errs = append(errs, checkName(*address.NodeName, at.Child("nodeName"), apivalidation.NameIsDNSSubdomain)...)
		}
	}
	return errs
}
