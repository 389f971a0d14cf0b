package core

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	nodehelper "github.com/skiff-project/skiff/apis/helpers/node"
	"github.com/skiff-project/skiff/apis/resource"
)

func nodeColumns() []resource.TypedColumn[corev1.Node] {
	info := corev1.NodeSystemInfo{}.SwaggerDoc()
	addresses := corev1.NodeStatus{}.SwaggerDoc()["addresses"]
	return []resource.TypedColumn[corev1.Node]{
		nameColumn[corev1.Node](),
		text("Status", "The status of the node", func(n *corev1.Node) any { return nodeStatus(n) }),
		text("Roles", "The roles of the node", func(n *corev1.Node) any { return joinOrNone(nodehelper.Roles(n)) }),
		ageColumn[corev1.Node](),
		text("Version", info["kubeletVersion"], func(n *corev1.Node) any { return n.Status.NodeInfo.KubeletVersion }),
		wide(text("Internal-IP", addresses, func(n *corev1.Node) any { return orNone(nodehelper.Address(n, corev1.NodeInternalIP)) })),
		wide(text("External-IP", addresses, func(n *corev1.Node) any { return orNone(nodehelper.Address(n, corev1.NodeExternalIP)) })),
		wide(text("OS-Image", info["osImage"], func(n *corev1.Node) any { return orUnknown(n.Status.NodeInfo.OSImage) })),
		wide(text("Kernel-Version", info["kernelVersion"], func(n *corev1.Node) any { return orUnknown(n.Status.NodeInfo.KernelVersion) })),
		wide(text("Container-Runtime", info["containerRuntimeVersion"], func(n *corev1.Node) any {
			return orUnknown(n.Status.NodeInfo.ContainerRuntimeVersion)
		})),
	}
}

func orUnknown(text string) string {
	if text == "" {
		return unknown
	}
	return text
}

// nodeStatus returns "Ready", "NotReady" or "Unknown", and whether the scheduler
// may use the node.
func nodeStatus(n *corev1.Node) string {
	status := []string{"Unknown"}
	ready := slices.IndexFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == corev1.NodeReady })
	if ready >= 0 {
		if n.Status.Conditions[ready].Status == corev1.ConditionTrue {
			status[0] = "Ready"
		} else {
			status[0] = "NotReady"
		}
	}
	if n.Spec.Unschedulable {
		status = append(status, "SchedulingDisabled")
	}
	return strings.Join(status, ",")
}
