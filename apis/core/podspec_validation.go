package core

import (
	"math"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// ValidatePodTemplateSpec returns what is wrong with the template of a workload's
// pods. What a kind of workload demands beyond that (its restart policy, labels
// that its selector matches) is for that kind to check.
func ValidatePodTemplateSpec(template *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	errs := metavalidation.ValidateLabels(template.Labels, path.Child("labels"))
	errs = append(errs, apivalidation.ValidateAnnotations(template.Annotations, path.Child("annotations"))...)
	errs = append(errs, checkPodAnnotations(template.Annotations, &template.Spec, path.Child("annotations"))...)
	errs = append(errs, ValidatePodSpec(&template.Spec, nil, path.Child("spec"))...)
	if len(template.Spec.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(path.Child("spec", "ephemeralContainers"), "ephemeral containers not allowed in pod template"))
	}
	return errs
}

// ValidatePodSpec returns what is wrong with the spec of a pod. meta is the pod's
// metadata, or nil for a template.
func ValidatePodSpec(spec *corev1.PodSpec, meta *metav1.ObjectMeta, path *field.Path) field.ErrorList {
	errs := checkVolumes(spec.Volumes, path.Child("volumes"))
	errs = append(errs, newContainerRules(spec).checkAll(path)...)
	errs = append(errs, checkPodResources(spec, path.Child("resources"))...)
	errs = append(errs, rules.RequiredEnum(spec.RestartPolicy, path.Child("restartPolicy"),
		corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)...)
	errs = append(errs, checkDNS(spec, path)...)
	errs = append(errs, checkPlacement(spec, path)...)
	errs = append(errs, checkPodSecurityContext(spec, path)...)
	errs = append(errs, checkHostUsers(spec, path)...)
	errs = append(errs, checkReferences(spec, path)...)
	errs = append(errs, checkHostnames(spec, meta, path)...)
	for i, gate := range spec.ReadinessGates {
		errs = append(errs, rules.Invalid(path.Child("readinessGates").Index(i).Child("conditionType"),
			gate.ConditionType, validation.IsQualifiedName(string(gate.ConditionType))...)...)
	}
	if s := spec.ActiveDeadlineSeconds; s != nil && (*s < 1 || *s > math.MaxInt32) {
		errs = append(errs, field.Invalid(path.Child("activeDeadlineSeconds"), *s, validation.InclusiveRangeError(1, math.MaxInt32)))
	}
	errs = append(errs, checkOptionalEnum(spec.PreemptionPolicy, path.Child("preemptionPolicy"),
		corev1.PreemptLowerPriority, corev1.PreemptNever)...)
	for _, name := range sets.List(sets.KeySet(spec.Overhead)) {
		at := path.Child("overhead").Key(string(name))
		errs = append(errs, checkResourceName(name, at)...)
		errs = append(errs, checkQuantity(name, spec.Overhead[name], at)...)
	}
	return append(errs, checkOS(spec, path)...)
}

// checkPlacement checks where the pod may run.
func checkPlacement(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	errs := metavalidation.ValidateLabels(spec.NodeSelector, path.Child("nodeSelector"))
	errs = append(errs, checkAffinity(spec.Affinity, path.Child("affinity"))...)
	errs = append(errs, checkSchedulingGates(spec.SchedulingGates, path.Child("schedulingGates"))...)
	errs = append(errs, checkTopologySpread(spec.TopologySpreadConstraints, path.Child("topologySpreadConstraints"))...)
	if spec.NodeName != "" {
		errs = append(errs, checkName(spec.NodeName, path.Child("nodeName"), apivalidation.NameIsDNSSubdomain)...)
	}
	errs = append(errs, checkTolerations(spec.Tolerations, path.Child("tolerations"))...)
	return append(errs, checkHostAliases(spec.HostAliases, path.Child("hostAliases"))...)
}

// checkReferences checks the names of other objects that the pod needs.
func checkReferences(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if spec.ServiceAccountName != "" {
		errs = append(errs, checkName(spec.ServiceAccountName, path.Child("serviceAccountName"), apivalidation.ValidateServiceAccountName)...)
	}
	if spec.PriorityClassName != "" {
		errs = append(errs, checkName(spec.PriorityClassName, path.Child("priorityClassName"), apivalidation.NameIsDNSSubdomain)...)
	}
	if spec.RuntimeClassName != nil {
		errs = append(errs, checkName(*spec.RuntimeClassName, path.Child("runtimeClassName"), apivalidation.NameIsDNSSubdomain)...)
	}
	names := sets.New[string]()
	for i, claim := range spec.ResourceClaims {
		at := path.Child("resourceClaims").Index(i)
		if claim.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		} else {
			errs = append(errs, rules.DNSLabel(claim.Name, at.Child("name"))...)
			errs = append(errs, checkUniqueName(claim.Name, names, at)...)
		}
		switch {
		case claim.ResourceClaimName != nil && claim.ResourceClaimTemplateName != nil:
			errs = append(errs, field.Invalid(at, claim, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"))
		case claim.ResourceClaimName == nil && claim.ResourceClaimTemplateName == nil:
			errs = append(errs, field.Invalid(at, claim, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"))
		}
	}
	return errs
}

func checkHostnames(spec *corev1.PodSpec, meta *metav1.ObjectMeta, path *field.Path) field.ErrorList {
	const longestHostname = 64
	var errs field.ErrorList
	if spec.Hostname != "" {
		errs = append(errs, rules.DNSLabel(spec.Hostname, path.Child("hostname"))...)
	}
	if spec.Subdomain != "" {
		errs = append(errs, rules.DNSLabel(spec.Subdomain, path.Child("subdomain"))...)
	}
	fqdn := spec.SetHostnameAsFQDN != nil && *spec.SetHostnameAsFQDN
	if spec.HostnameOverride == nil {
		return errs
	}
	at := path.Child("hostnameOverride")
	errs = append(errs, rules.DNSSubdomain(*spec.HostnameOverride, at)...)
	if len(*spec.HostnameOverride) > longestHostname {
		errs = append(errs, field.TooLong(at, *spec.HostnameOverride, longestHostname))
	}
	if fqdn {
		errs = append(errs, field.Forbidden(at, "may not be specified when `setHostnameAsFQDN` is true"))
	}
	if spec.HostNetwork {
		errs = append(errs, field.Forbidden(at, "may not be specified when `hostNetwork` is true"))
	}
	return errs
}

// checkHostUsers checks that a pod with users of its own (KEP-127) does not share
// the node's namespaces.
func checkHostUsers(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	if spec.HostUsers == nil || *spec.HostUsers {
		return nil
	}
	const refusal = "when `hostUsers` is false"
	errs := forbid(path, refusal, map[string]bool{
		"hostNetwork": spec.HostNetwork, "hostPID": spec.HostPID, "hostIPC": spec.HostIPC,
	})
	for i := range spec.Containers {
		if len(spec.Containers[i].VolumeDevices) > 0 {
			errs = append(errs, field.Forbidden(path.Child("containers").Index(i).Child("volumeDevices"), refusal))
		}
	}
	return errs
}

// checkOS checks the operating system and, for Windows, that nothing is asked for
// that only Linux has.
func checkOS(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	if spec.OS == nil {
		return nil
	}
	at := path.Child("os", "name")
	if spec.OS.Name == "" {
		return field.ErrorList{field.Required(at, "cannot be empty")}
	}
	errs := rules.Enum(spec.OS.Name, at, corev1.Linux, corev1.Windows)
	if spec.OS.Name != corev1.Windows {
		return errs
	}
	const refusal = "cannot be set for a windows pod"
	errs = append(errs, forbid(path, refusal, map[string]bool{
		"hostPID":               spec.HostPID,
		"hostIPC":               spec.HostIPC,
		"shareProcessNamespace": spec.ShareProcessNamespace != nil,
	})...)
	if sc := spec.SecurityContext; sc != nil {
		errs = append(errs, forbid(path.Child("securityContext"), refusal, map[string]bool{
			"seLinuxOptions": sc.SELinuxOptions != nil, "runAsUser": sc.RunAsUser != nil, "runAsGroup": sc.RunAsGroup != nil,
			"fsGroup": sc.FSGroup != nil, "fsGroupChangePolicy": sc.FSGroupChangePolicy != nil,
			"seccompProfile": sc.SeccompProfile != nil, "appArmorProfile": sc.AppArmorProfile != nil,
			"sysctls": len(sc.Sysctls) > 0, "supplementalGroups": len(sc.SupplementalGroups) > 0,
		})...)
	}
	return errs
}
