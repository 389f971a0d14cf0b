// Package nodeaffinity keeps pods on the nodes that their nodeSelector and
// required node affinity name, and prefers those that match preferred terms.
package nodeaffinity

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/skiff-project/skiff/scheduler/framework"
)

// Name of the plugin in KubeSchedulerConfiguration.
const Name = "NodeAffinity"

const reason = "node(s) didn't match Pod's node affinity/selector"

// Plugin implements the filter and the score.
type Plugin struct{}

var (
	_ fwk.PreFilterPlugin   = Plugin{}
	_ fwk.FilterPlugin      = Plugin{}
	_ fwk.PreScorePlugin    = Plugin{}
	_ fwk.ScorePlugin       = Plugin{}
	_ fwk.EnqueueExtensions = Plugin{}
)

// Keys of what is parsed once a cycle.
const (
	requiredKey  fwk.StateKey = Name + "/required"
	preferredKey fwk.StateKey = Name + "/preferred"
)

type required struct {
	nodeaffinity.RequiredNodeAffinity
}

func (r *required) Clone() fwk.StateData { return r }

type preferred struct {
	terms *nodeaffinity.PreferredSchedulingTerms
}

func (p *preferred) Clone() fwk.StateData { return p }

// Name returns the plugin's name.
func (Plugin) Name() string { return Name }

// PreFilter parses the pod's selectors, and skips the filter if it has none.
func (Plugin) PreFilter(_ context.Context, state fwk.CycleState, pod *corev1.Pod, _ []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	if len(pod.Spec.NodeSelector) == 0 && requiredTerms(pod) == nil {
		return nil, fwk.NewStatus(fwk.Skip)
	}
	state.Write(requiredKey, &required{nodeaffinity.GetRequiredNodeAffinity(pod)})
	return nil, nil
}

func requiredTerms(pod *corev1.Pod) *corev1.NodeSelector {
	if a := pod.Spec.Affinity; a != nil && a.NodeAffinity != nil {
		return a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	return nil
}

// PreFilterExtensions implements framework.PreFilterPlugin.
func (Plugin) PreFilterExtensions() fwk.PreFilterExtensions { return nil }

// Filter implements framework.FilterPlugin.
func (Plugin) Filter(_ context.Context, state fwk.CycleState, pod *corev1.Pod, node fwk.NodeInfo) *fwk.Status {
	var affinity nodeaffinity.RequiredNodeAffinity
	if data, err := state.Read(requiredKey); err == nil {
		affinity = data.(*required).RequiredNodeAffinity
	} else {
		affinity = nodeaffinity.GetRequiredNodeAffinity(pod)
	}
	matches, err := affinity.Match(node.Node())
	if err != nil { // a selector that cannot be parsed matches nowhere
		return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, err.Error())
	}
	if !matches {
		return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, reason)
	}
	return nil
}

// PreScore parses the preferred terms, and skips the score if there are none.
func (Plugin) PreScore(_ context.Context, state fwk.CycleState, pod *corev1.Pod, _ []fwk.NodeInfo) *fwk.Status {
	a := pod.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || len(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution) == 0 {
		return fwk.NewStatus(fwk.Skip)
	}
	terms, err := nodeaffinity.NewPreferredSchedulingTerms(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	if err != nil {
		return fwk.AsStatus(fmt.Errorf("parsing preferred node affinity: %w", err))
	}
	state.Write(preferredKey, &preferred{terms})
	return nil
}

// Score implements framework.ScorePlugin: the weights of the matching terms.
func (Plugin) Score(_ context.Context, state fwk.CycleState, _ *corev1.Pod, node fwk.NodeInfo) (int64, *fwk.Status) {
	data, err := state.Read(preferredKey)
	if err != nil {
		return 0, fwk.AsStatus(fmt.Errorf("reading preferred node affinity: %w", err))
	}
	return data.(*preferred).terms.Score(node.Node()), nil
}

// ScoreExtensions implements framework.ScorePlugin.
func (p Plugin) ScoreExtensions() fwk.ScoreExtensions { return p }

// NormalizeScore implements framework.ScoreExtensions.
func (Plugin) NormalizeScore(_ context.Context, _ fwk.CycleState, _ *corev1.Pod, scores fwk.NodeScoreList) *fwk.Status {
	framework.Normalize(scores, false)
	return nil
}

// EventsToRegister implements framework.EnqueueExtensions.
func (Plugin) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	helps := func(_ klog.Logger, pod *corev1.Pod, _, newObj any) (fwk.QueueingHint, error) {
		node, ok := newObj.(*corev1.Node)
		if !ok {
			return fwk.Queue, nil
		}
		matches, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node)
		if err != nil || matches {
			return fwk.Queue, err
		}
		return fwk.QueueSkip, nil
	}
	return []fwk.ClusterEventWithHint{
		{Event: fwk.ClusterEvent{Resource: fwk.Node, ActionType: fwk.Add | fwk.UpdateNodeLabel}, QueueingHintFn: helps},
	}, nil
}
