package core

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilnet "k8s.io/utils/net"

	podhelper "github.com/skiff-project/skiff/apis/helpers/pod"
	servicehelper "github.com/skiff-project/skiff/apis/helpers/service"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// deprecatedNodeLabels are labels of nodes that have newer names.
var deprecatedNodeLabels = map[string]string{
	"beta.kubernetes.io/arch":                  `deprecated since v1.14; use "kubernetes.io/arch" instead`,
	"beta.kubernetes.io/os":                    `deprecated since v1.14; use "kubernetes.io/os" instead`,
	"failure-domain.beta.kubernetes.io/region": `deprecated since v1.17; use "topology.kubernetes.io/region" instead`,
	"failure-domain.beta.kubernetes.io/zone":   `deprecated since v1.17; use "topology.kubernetes.io/zone" instead`,
	"beta.kubernetes.io/instance-type":         `deprecated since v1.17; use "node.kubernetes.io/instance-type" instead`,
}

// deprecatedAnnotations are annotations of pods that have become fields.
var deprecatedAnnotations = map[string]string{
	"seccomp.security.alpha.kubernetes.io/pod":   `non-functional in v1.27+; use the "seccompProfile" field instead`,
	"security.alpha.kubernetes.io/sysctls":       `non-functional in v1.11+; use the "sysctls" field instead`,
	"scheduler.alpha.kubernetes.io/critical-pod": `non-functional in v1.16+; use the "priorityClassName" field instead`,
}

func warnPod(_ context.Context, pod, old *corev1.Pod) []string {
	if old != nil {
		return nil // what is worth a warning cannot be changed any more
	}
	return warningsForPod(&corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}, nil, true)
}

// WarningsForPodTemplate returns what is suspicious about a template of pods; old
// is nil for a new one. An unchanged template gives no warnings.
func WarningsForPodTemplate(template, old *corev1.PodTemplateSpec, path *field.Path) []string {
	if old != nil && equality.Semantic.DeepEqual(template, old) {
		return nil
	}
	return warningsForPod(template, path, false)
}

func warningsForPod(template *corev1.PodTemplateSpec, path *field.Path, isPod bool) []string {
	var out []string
	warn := func(at *field.Path, format string, args ...any) {
		out = append(out, fmt.Sprintf("%s: %s", at, fmt.Sprintf(format, args...)))
	}
	spec := child(path, "spec")
	for _, key := range sets.List(sets.KeySet(template.Annotations)) {
		if message, ok := deprecatedAnnotations[key]; ok {
			warn(child(path, "metadata", "annotations").Key(key), "%s", message)
		}
	}
	for _, key := range sets.List(sets.KeySet(template.Spec.NodeSelector)) {
		if message, ok := deprecatedNodeLabels[key]; ok {
			warn(spec.Child("nodeSelector").Key(key), "%s", message)
		}
	}
	for i, c := range template.Spec.TopologySpreadConstraints {
		if message, ok := deprecatedNodeLabels[c.TopologyKey]; ok {
			warn(spec.Child("topologySpreadConstraints").Index(i).Child("topologyKey"), "%s is %s", c.TopologyKey, message)
		}
	}
	for i := range template.Spec.Volumes {
		warnVolume(&template.Spec.Volumes[i], spec.Child("volumes").Index(i), warn)
	}
	warnContainers(&template.Spec, spec, warn)
	names := sets.New[string]()
	for i, secret := range template.Spec.ImagePullSecrets {
		at := spec.Child("imagePullSecrets").Index(i)
		switch {
		case secret.Name == "":
			warn(at, "invalid empty name %q", secret.Name)
		case names.Has(secret.Name):
			warn(at, "duplicate name %q", secret.Name)
		}
		names.Insert(secret.Name)
	}
	if grace := template.Spec.TerminationGracePeriodSeconds; grace != nil && *grace < 0 {
		warn(spec.Child("terminationGracePeriodSeconds"), "must be >= 0; negative values are invalid and will be treated as 1")
	}
	if isPod && template.Name != "" && len(validation.IsDNS1123Label(template.Name)) > 0 {
		warn(child(path, "metadata", "name"), "this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: %v",
			validation.IsDNS1123Label(template.Name))
	}
	return out
}

func warnVolume(v *corev1.Volume, path *field.Path, warn func(*field.Path, string, ...any)) {
	deprecated := func(name, since string) { warn(path.Child(name), "deprecated in %s", since) }
	switch {
	case v.PhotonPersistentDisk != nil:
		deprecated("photonPersistentDisk", "v1.11, non-functional in v1.16+")
	case v.GitRepo != nil:
		deprecated("gitRepo", "v1.11, and disabled by default in v1.33+")
	case v.ScaleIO != nil:
		deprecated("scaleIO", "v1.16, non-functional in v1.22+")
	case v.Flocker != nil:
		deprecated("flocker", "v1.22, non-functional in v1.25+")
	case v.StorageOS != nil:
		deprecated("storageOS", "v1.22, non-functional in v1.25+")
	case v.Quobyte != nil:
		deprecated("quobyte", "v1.22, non-functional in v1.25+")
	case v.Glusterfs != nil:
		deprecated("glusterfs", "v1.25, non-functional in v1.26+")
	case v.CephFS != nil:
		deprecated("cephfs", "v1.28, non-functional in v1.31+")
	case v.RBD != nil:
		deprecated("rbd", "v1.28, non-functional in v1.31+")
	}
}

func warnContainers(spec *corev1.PodSpec, path *field.Path, warn func(*field.Path, string, ...any)) {
	index := map[string]int{}
	type portKey struct {
		port     int32
		protocol corev1.Protocol
	}
	ports := map[portKey]*field.Path{}
	for list, c := range podhelper.Containers(spec) {
		at := path.Child(list).Index(index[list])
		index[list]++
		for _, resources := range []struct {
			name string
			list corev1.ResourceList
		}{{"limits", c.Resources.Limits}, {"requests", c.Resources.Requests}} {
			for _, name := range []corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
				if quantity := resources.list[name]; quantity.MilliValue()%1000 != 0 {
					warn(at.Child("resources", resources.name).Key(string(name)), "fractional byte value %q is invalid, must be an integer", quantity.String())
				}
			}
		}
		seen := sets.New[string]()
		for i, v := range c.Env {
			// Taking up the earlier value is the one good reason to set a name again.
			if seen.Has(v.Name) && !strings.Contains(v.Value, "$("+v.Name+")") {
				warn(at.Child("env").Index(i), "hides previous definition of %q, which may be dropped when using apply", v.Name)
			}
			seen.Insert(v.Name)
		}
		for i, port := range c.Ports {
			key := portKey{port.ContainerPort, port.Protocol}
			if other := ports[key]; other != nil && list == "containers" {
				warn(at.Child("ports").Index(i), "duplicate port definition with %s", other)
			} else if list == "containers" {
				ports[key] = at.Child("ports").Index(i)
			}
		}
	}
}

func warnService(_ context.Context, s, old *corev1.Service) []string {
	var out []string
	if old == nil {
		if _, ok := s.Annotations["service.kubernetes.io/topology-aware-hints"]; ok {
			out = append(out, `annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead`)
		}
	}
	if servicehelper.IsHeadless(s) {
		if s.Spec.LoadBalancerIP != "" {
			out = append(out, "spec.loadBalancerIP is ignored when spec.clusterIP is None")
		}
		if len(s.Spec.ExternalIPs) > 0 {
			out = append(out, "spec.externalIPs is ignored when spec.clusterIP is None")
		}
		if s.Spec.SessionAffinity != corev1.ServiceAffinityNone {
			out = append(out, "spec.SessionAffinity is ignored for headless services")
		}
	}
	if s.Spec.Type == corev1.ServiceTypeExternalName && len(s.Spec.ExternalIPs) > 0 {
		out = append(out, `spec.externalIPs is ignored when spec.type is "ExternalName"`)
	}
	for i, ip := range s.Spec.ExternalIPs {
		if utilnet.ParseIPSloppy(ip) == nil {
			continue // refused anyway, and the library logs an error about being asked
		}
		out = append(out, validation.GetWarningsForIP(rules.Spec.Child("externalIPs").Index(i), ip)...)
	}
	return out
}

func warnNode(_ context.Context, n, old *corev1.Node) []string {
	if n.Spec.ConfigSource != nil {
		return []string{"spec.configSource: deprecated in v1.22, support removal is planned in v1.26"}
	}
	if n.Spec.DoNotUseExternalID != "" && (old == nil || old.Spec.DoNotUseExternalID == "") {
		return []string{"spec.externalID: deprecated in v1.15, this field is unused"}
	}
	return nil
}

// child returns the path below parent, which may be nil for an object's root.
func child(parent *field.Path, name string, more ...string) *field.Path {
	if parent == nil {
		return field.NewPath(name, more...)
	}
	return parent.Child(name, more...)
}
