package env

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/skiff-project/skiff/apis/helpers/pod"
)

// Fields answers fieldRef and resourceFieldRef, for variables and downward API
// volumes alike.
type Fields struct {
	// PodIPs and HostIPs are newer than the pod's status.
	PodIPs, HostIPs []string
	// Allocatable of the node stands in for limits that a container does not have.
	Allocatable corev1.ResourceList
}

// Value returns the field of the pod that path names.
func (f Fields) Value(p *corev1.Pod, path string) (string, error) {
	if name, key, ok := subscript(path); ok {
		switch name {
		case "metadata.labels":
			return p.Labels[key], nil
		case "metadata.annotations":
			return p.Annotations[key], nil
		}
		return "", fmt.Errorf("unsupported fieldPath: %v", path)
	}
	switch path {
	case "metadata.name":
		return p.Name, nil
	case "metadata.namespace":
		return p.Namespace, nil
	case "metadata.uid":
		return string(p.UID), nil
	case "metadata.labels":
		return formatMap(p.Labels), nil
	case "metadata.annotations":
		return formatMap(p.Annotations), nil
	case "spec.nodeName":
		return p.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return p.Spec.ServiceAccountName, nil
	case "status.hostIP":
		return first(f.HostIPs), nil
	case "status.hostIPs":
		return strings.Join(f.HostIPs, ","), nil
	case "status.podIP":
		return first(f.PodIPs), nil
	case "status.podIPs":
		return strings.Join(f.PodIPs, ","), nil
	default:
		return "", fmt.Errorf("unsupported fieldPath: %v", path)
	}
}

// subscript splits metadata.labels['key'].
func subscript(path string) (name, key string, ok bool) {
	name, rest, found := strings.Cut(path, "['")
	if !found {
		return "", "", false
	}
	key, ok = strings.CutSuffix(rest, "']")
	return name, key, ok
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// formatMap returns key="value" lines, sorted, as the downward API has them.
func formatMap(values map[string]string) string {
	lines := make([]string, 0, len(values))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		lines = append(lines, key+"="+strconv.Quote(values[key]))
	}
	return strings.Join(lines, "\n")
}

// Resource returns a container's request or limit in units of the divisor,
// rounded up. ref.ContainerName empty means defaultContainer.
func (f Fields) Resource(p *corev1.Pod, ref *corev1.ResourceFieldSelector, defaultContainer string) (string, error) {
	name := ref.ContainerName
	if name == "" {
		name = defaultContainer
	}
	var found *corev1.Container
	for _, c := range pod.Containers(&p.Spec) {
		if c.Name == name {
			found = c
		}
	}
	if found == nil {
		return "", fmt.Errorf("container %s not found", name)
	}
	kind, resourceName, _ := strings.Cut(ref.Resource, ".")
	quantity, err := f.quantity(found, kind, corev1.ResourceName(resourceName))
	if err != nil {
		return "", fmt.Errorf("unsupported container resource : %v", ref.Resource)
	}
	return divide(quantity, ref.Divisor, corev1.ResourceName(resourceName)), nil
}

func (f Fields) quantity(c *corev1.Container, kind string, name corev1.ResourceName) (resource.Quantity, error) {
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
	default:
		if !strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) {
			return resource.Quantity{}, fmt.Errorf("unknown resource %q", name)
		}
	}
	switch kind {
	case "limits":
		limit, ok := c.Resources.Limits[name]
		// Without a limit a container can use what the node has.
		if whole, has := f.Allocatable[name]; has && (!ok || limit.IsZero()) {
			return whole, nil
		}
		return limit, nil
	case "requests":
		return c.Resources.Requests[name], nil
	default:
		return resource.Quantity{}, fmt.Errorf("unknown kind %q", kind)
	}
}

func divide(quantity, divisor resource.Quantity, name corev1.ResourceName) string {
	if name == corev1.ResourceCPU {
		by := int64(1000)
		if !divisor.IsZero() {
			by = max(divisor.MilliValue(), 1)
		}
		return strconv.FormatInt((quantity.MilliValue()+by-1)/by, 10)
	}
	by := int64(1)
	if !divisor.IsZero() {
		by = max(divisor.Value(), 1)
	}
	return strconv.FormatInt((quantity.Value()+by-1)/by, 10)
}
