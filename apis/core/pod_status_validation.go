package core

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilnet "k8s.io/utils/net"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// ValidatePodStatusUpdate returns what is wrong with a write of a pod's status.
func ValidatePodStatusUpdate(_ context.Context, pod, old *corev1.Pod) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&pod.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, checkMirrorUnchanged(pod, old)...)
	if name := pod.Status.NominatedNodeName; name != "" {
		errs = append(errs, checkName(name, rules.Status.Child("nominatedNodeName"), apivalidation.NameIsDNSSubdomain)...)
	}
	if old.Status.QOSClass != "" {
		errs = append(errs, apivalidation.ValidateImmutableField(pod.Status.QOSClass, old.Status.QOSClass, rules.Status.Child("qosClass"))...)
	}
	if pod.Status.ObservedGeneration < 0 {
		errs = append(errs, field.Invalid(rules.Status.Child("observedGeneration"), pod.Status.ObservedGeneration, apivalidation.IsNegativeErrorMsg))
	}
	errs = append(errs, checkNotRevived(pod.Status.ContainerStatuses, old.Status.ContainerStatuses, &old.Spec, rules.Status.Child("containerStatuses"))...)
	errs = append(errs, checkAddresses(podIPs(pod.Status.PodIPs), rules.Status.Child("podIPs"))...)
	errs = append(errs, checkAddresses(hostIPs(pod.Status.HostIPs), rules.Status.Child("hostIPs"))...)
	if len(pod.Status.HostIPs) > 0 && pod.Status.HostIPs[0].IP != pod.Status.HostIP {
		errs = append(errs, field.Invalid(rules.Status.Child("hostIPs").Index(0).Child("ip"), pod.Status.HostIPs[0].IP, "must be equal to `hostIP`"))
	}
	for i, c := range pod.Status.Conditions {
		errs = append(errs, rules.Invalid(rules.Status.Child("conditions").Index(i).Child("type"), c.Type, validation.IsQualifiedName(string(c.Type))...)...)
	}
	return errs
}

// checkNotRevived checks that a container which has ended for good stays ended.
func checkNotRevived(statuses, old []corev1.ContainerStatus, spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	if spec.RestartPolicy == corev1.RestartPolicyAlways {
		return nil
	}
	restarts := map[string]bool{} // containers that say themselves when to restart
	for _, c := range spec.Containers {
		restarts[c.Name] = c.RestartPolicy != nil
	}
	var errs field.ErrorList
	for i, was := range old {
		if was.State.Terminated == nil || restarts[was.Name] {
			continue
		}
		if was.State.Terminated.ExitCode != 0 && spec.RestartPolicy == corev1.RestartPolicyOnFailure {
			continue
		}
		for _, is := range statuses {
			if is.Name == was.Name && is.State.Terminated == nil {
				errs = append(errs, field.Forbidden(path.Index(i).Child("state"), "may not be transitioned to non-terminated state"))
			}
		}
	}
	return errs
}

func podIPs(list []corev1.PodIP) []string {
	var out []string
	for _, ip := range list {
		out = append(out, ip.IP)
	}
	return out
}

func hostIPs(list []corev1.HostIP) []string {
	var out []string
	for _, ip := range list {
		out = append(out, ip.IP)
	}
	return out
}

// checkAddresses checks that there is at most one address of each family.
func checkAddresses(ips []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, ip := range ips {
		errs = append(errs, validation.IsValidIP(path.Index(i), ip)...)
	}
	if len(ips) > 1 {
		if dual, err := utilnet.IsDualStackIPStrings(ips); err == nil && (!dual || len(ips) > 2) {
			errs = append(errs, field.Invalid(path, ips, "may specify no more than one IP for each IP family"))
		}
	}
	seen := sets.New[string]()
	for i, ip := range ips {
		if seen.Has(ip) {
			errs = append(errs, field.Duplicate(path.Index(i), ip))
		}
		seen.Insert(ip)
	}
	return errs
}
