package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	resourcehelper "k8s.io/component-helpers/resource"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// containerResources are the resources without a domain that a container may have.
var containerResources = sets.New(corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage)

// countedResources are the resources without a domain that come in whole numbers.
var countedResources = sets.New(corev1.ResourcePods, corev1.ResourceServices, corev1.ResourceReplicationControllers,
	corev1.ResourceQuotas, corev1.ResourceSecrets, corev1.ResourceConfigMaps, corev1.ResourcePersistentVolumeClaims,
	corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers)

// knownResources are all resources without a domain, those of quotas included.
var knownResources = containerResources.Union(countedResources).Insert(corev1.ResourceStorage,
	corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory, corev1.ResourceRequestsStorage, corev1.ResourceRequestsEphemeralStorage,
	corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceLimitsEphemeralStorage)

func isHugePages(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// isNative reports whether the resource is Kubernetes' own.
func isNative(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

// isExtended reports whether the resource is one that nodes or devices advertise.
func isExtended(name corev1.ResourceName) bool {
	return !isNative(name) && !strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix) &&
		len(validation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+string(name))) == 0
}

// canOvercommit reports whether a limit of the resource may exceed the request.
func canOvercommit(name corev1.ResourceName) bool { return isNative(name) && !isHugePages(name) }

// checkResources checks the requests and limits of a container. claims are the
// names of the pod's resource claims.
func checkResources(r *corev1.ResourceRequirements, claims sets.Set[string], path *field.Path) field.ErrorList {
	errs := checkQuantities(r, path, checkContainerResourceName)
	used := sets.New[string]()
	for i, claim := range r.Claims {
		at := path.Child("claims").Index(i)
		key := claim.Name + "/" + claim.Request
		switch {
		case claim.Name == "":
			errs = append(errs, field.Required(at, ""))
		case used.Has(key):
			errs = append(errs, field.Duplicate(at, claim.Name))
		case !claims.Has(claim.Name):
			errs = append(errs, field.NotFound(at, claim.Name))
		}
		used.Insert(key)
	}
	return errs
}

// checkQuantities checks names and amounts, and requests against limits.
func checkQuantities(r *corev1.ResourceRequirements, path *field.Path, checkName func(corev1.ResourceName, *field.Path) field.ErrorList) field.ErrorList {
	var errs field.ErrorList
	huge, ordinary := false, false
	check := func(list corev1.ResourceList, path *field.Path) {
		for _, name := range sets.List(sets.KeySet(list)) {
			errs = append(errs, checkName(name, path.Key(string(name)))...)
			errs = append(errs, checkQuantity(name, list[name], path.Key(string(name)))...)
			huge = huge || isHugePages(name)
			ordinary = ordinary || name == corev1.ResourceCPU || name == corev1.ResourceMemory
		}
	}
	check(r.Limits, path.Child("limits"))
	check(r.Requests, path.Child("requests"))
	for _, name := range sets.List(sets.KeySet(r.Requests)) {
		request := r.Requests[name]
		limit, limited := r.Limits[name]
		switch {
		case !limited && !canOvercommit(name):
			errs = append(errs, field.Required(path.Child("limits"), "Limit must be set for non overcommitable resources"))
		case limited && !canOvercommit(name) && request.Cmp(limit) != 0:
			errs = append(errs, field.Invalid(path.Child("requests"), request.String(),
				fmt.Sprintf("must be equal to %s limit of %s", name, limit.String())))
		case limited && request.Cmp(limit) > 0:
			errs = append(errs, field.Invalid(path.Child("requests"), request.String(),
				fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String())))
		}
	}
	if huge && !ordinary {
		errs = append(errs, field.Forbidden(path, "HugePages require cpu or memory"))
	}
	return errs
}

func checkQuantity(name corev1.ResourceName, quantity resource.Quantity, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if quantity.Sign() < 0 {
		errs = append(errs, field.Invalid(path, quantity.String(), apivalidation.IsNegativeErrorMsg))
	}
	if (isExtended(name) || countedResources.Has(name)) && quantity.MilliValue()%1000 != 0 {
		errs = append(errs, field.Invalid(path, quantity, notAnInteger))
	}
	return errs
}

// checkResourceName checks the name of a resource of whatever object.
func checkResourceName(name corev1.ResourceName, path *field.Path) field.ErrorList {
	errs := rules.Invalid(path, name, validation.IsQualifiedName(string(name))...)
	if len(errs) == 0 && !strings.Contains(string(name), "/") && !knownResources.Has(name) && !isHugePages(name) {
		errs = append(errs, field.Invalid(path, name, "must be a standard resource type or fully qualified"))
	}
	return errs
}

func checkContainerResourceName(name corev1.ResourceName, path *field.Path) field.ErrorList {
	errs := checkResourceName(name, path)
	switch {
	case !strings.Contains(string(name), "/"):
		if !containerResources.Has(name) && !isHugePages(name) {
			errs = append(errs, field.Invalid(path, name, "must be a standard resource for containers"))
		}
	case !isNative(name) && !isExtended(name):
		errs = append(errs, field.Invalid(path, name, "doesn't follow extended resource name standard"))
	}
	return errs
}

// checkPodResources checks resources of the pod as a whole (KEP-2837) against
// those of its containers.
func checkPodResources(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	if spec.Resources == nil {
		return nil
	}
	errs := checkQuantities(spec.Resources, path, func(name corev1.ResourceName, path *field.Path) field.ErrorList {
		if resourcehelper.IsSupportedPodLevelResource(name) {
			return nil
		}
		return field.ErrorList{field.NotSupported(path, name, sets.List(resourcehelper.SupportedPodLevelResources()))}
	})
	if len(spec.Resources.Claims) > 0 {
		errs = append(errs, field.Forbidden(path.Child("claims"), "claims may not be specified at pod level"))
	}
	pod := &corev1.Pod{Spec: *spec}
	sum := resourcehelper.AggregateContainerRequests(pod, resourcehelper.PodResourcesOptions{})
	for _, name := range sets.List(sets.KeySet(spec.Resources.Requests)) {
		request, total := spec.Resources.Requests[name], sum[name]
		if total.Cmp(request) > 0 {
			errs = append(errs, field.Invalid(path.Child("requests").Key(string(name)), request.String(),
				fmt.Sprintf("must be greater than or equal to aggregate container requests of %s", total.String())))
		}
	}
	for i := range spec.Containers {
		for _, name := range sets.List(sets.KeySet(spec.Containers[i].Resources.Limits)) {
			limit := spec.Containers[i].Resources.Limits[name]
			if podLimit, ok := spec.Resources.Limits[name]; ok && limit.Cmp(podLimit) > 0 {
				at := rules.Spec.Child("containers").Index(i).Child("resources", "limits").Key(string(name))
				errs = append(errs, field.Invalid(at, limit.String(),
					fmt.Sprintf("must be less than or equal to pod limits of %s", podLimit.String())))
			}
		}
	}
	return errs
}

// checkResizePolicy checks what a change of resources in place does (KEP-1287).
func (r containerRules) checkResizePolicy(policies []corev1.ContainerResizePolicy, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[corev1.ResourceName]()
	for i, policy := range policies {
		at := path.Index(i)
		if seen.Has(policy.ResourceName) {
			errs = append(errs, field.Duplicate(at, policy.ResourceName))
		}
		seen.Insert(policy.ResourceName)
		errs = append(errs, rules.RequiredEnum(policy.ResourceName, at.Child("resourceName"), corev1.ResourceCPU, corev1.ResourceMemory)...)
		errs = append(errs, rules.RequiredEnum(policy.RestartPolicy, at.Child("restartPolicy"), corev1.NotRequired, corev1.RestartContainer)...)
		if r.spec.RestartPolicy == corev1.RestartPolicyNever && policy.RestartPolicy != corev1.NotRequired {
			errs = append(errs, field.Invalid(at, policy.RestartPolicy, "must be 'NotRequired' when `restartPolicy` is 'Never'"))
		}
	}
	return errs
}
