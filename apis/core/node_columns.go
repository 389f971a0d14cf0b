package core

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	nodehelper "github.com/skiff-project/skiff/apis/helpers/node"
	"github.com/skiff-project/skiff/apis/resource"

	"github.com/skiff-project/skiff/apis/resource/columns"
)

func nodeColumns() []resource.TypedColumn[corev1.Node] {
	info := corev1.NodeSystemInfo{}.SwaggerDoc()
	addresses := corev1.NodeStatus{}.SwaggerDoc()["addresses"]
	return []resource.TypedColumn[corev1.Node]{
		columns.Name[corev1.Node](),
		columns.Text("Status", "The status of the node", func(n *corev1.Node) string { return nodeStatus(n) }),
		columns.Text("Roles", "The roles of the node", func(n *corev1.Node) string { return columns.OrNone(nodehelper.Roles(n)...) }),
		columns.Age[corev1.Node](),
		columns.Text("Version", info["kubeletVersion"], func(n *corev1.Node) string { return n.Status.NodeInfo.KubeletVersion }),
		columns.Wide(columns.Text("Internal-IP", addresses, func(n *corev1.Node) string { return columns.OrNone(nodehelper.Address(n, corev1.NodeInternalIP)) })),
		columns.Wide(columns.Text("External-IP", addresses, func(n *corev1.Node) string { return columns.OrNone(nodehelper.Address(n, corev1.NodeExternalIP)) })),
		columns.Wide(columns.Text("OS-Image", info["osImage"], func(n *corev1.Node) string { return orUnknown(n.Status.NodeInfo.OSImage) })),
		columns.Wide(columns.Text("Kernel-Version", info["kernelVersion"], func(n *corev1.Node) string { return orUnknown(n.Status.NodeInfo.KernelVersion) })),
		columns.Wide(columns.Text("Container-Runtime", info["containerRuntimeVersion"], func(n *corev1.Node) string {
			return orUnknown(n.Status.NodeInfo.ContainerRuntimeVersion)
		})),
	}
}

func orUnknown(text string) string {
	if text == "" {
		return columns.Unknown
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
