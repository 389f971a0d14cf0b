// Package defaultbinder binds a pod to its node through the binding subresource.
package defaultbinder

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// Name of the plugin in KubeSchedulerConfiguration.
const Name = "DefaultBinder"

// Plugin binds through Pods.
type Plugin struct {
	Pods corev1client.PodsGetter
}

var _ fwk.BindPlugin = Plugin{}

// Name returns the plugin's name.
func (Plugin) Name() string { return Name }

// Bind implements framework.BindPlugin. The UID makes sure that a pod of the same
// name which was made meanwhile is not bound.
func (p Plugin) Bind(ctx context.Context, _ fwk.CycleState, pod *corev1.Pod, node string) *fwk.Status {
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	}
	if err := p.Pods.Pods(pod.Namespace).Bind(ctx, binding, metav1.CreateOptions{}); err != nil {
		return fwk.AsStatus(fmt.Errorf("binding pod %s/%s to node %s: %w", pod.Namespace, pod.Name, node, err))
	}
	return nil
}
