package framework

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// Reserve tells plugins that the pod will go to node. If one refuses, those before
// it are told of the end.
func (p *Profile) Reserve(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) *fwk.Status {
	for _, plugin := range p.reserve {
		if status := plugin.Reserve(ctx, state, pod, node); !status.IsSuccess() {
			p.Unreserve(ctx, state, pod, node)
			return status.WithPlugin(plugin.Name())
		}
	}
	return nil
}

// Unreserve tells plugins that the pod will not go to node after all.
func (p *Profile) Unreserve(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) {
	for i := len(p.reserve) - 1; i >= 0; i-- {
		p.reserve[i].Unreserve(ctx, state, pod, node)
	}
}

// Bind runs the pre-bind plugins and then the first bind plugin that takes the pod.
func (p *Profile) Bind(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) error {
	for _, plugin := range p.preBind {
		if status := plugin.PreBind(ctx, state, pod, node); !status.IsSuccess() {
			return fmt.Errorf("plugin %s: before binding: %w", plugin.Name(), status.AsError())
		}
	}
	for _, plugin := range p.bind {
		status := plugin.Bind(ctx, state, pod, node)
		if status.IsSkip() {
			continue
		}
		return status.AsError()
	}
	return fmt.Errorf("binding pod %s/%s: no plugin took it", pod.Namespace, pod.Name)
}
