// Package framework runs scheduler plugins. The extension points are the
// published ones of k8s.io/kube-scheduler/framework, so that plugins written for
// them fit in here.
//
// # Model
//
// A Profile is an ordered list of plugins, each of which implements one or more
// extension points. Filtering a pod gives the nodes that can take it and, for
// each of the others, the status that says why not; scoring ranks the former.
package framework

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
)

// Weighted is a plugin and the weight of its score; a weight of 0 means that it
// does not score.
type Weighted struct {
	Plugin fwk.Plugin
	Weight int64
}

type scorer struct {
	fwk.ScorePlugin
	weight int64
}

// Profile holds plugins by extension point, in their order.
type Profile struct {
	Name string // spec.schedulerName

	sort       fwk.QueueSortPlugin
	preEnqueue []fwk.PreEnqueuePlugin
	preFilter  []fwk.PreFilterPlugin
	filter     []fwk.FilterPlugin
	postFilter []fwk.PostFilterPlugin
	preScore   []fwk.PreScorePlugin
	score      []scorer
	reserve    []fwk.ReservePlugin
	preBind    []fwk.PreBindPlugin
	bind       []fwk.BindPlugin
	enqueue    []fwk.EnqueueExtensions
}

// NewProfile sorts plugins by what they implement. It fails without exactly one
// queue sort plugin and at least one bind plugin.
func NewProfile(name string, plugins []Weighted) (*Profile, error) {
	p := &Profile{Name: name}
	seen := sets.New[string]()
	for _, w := range plugins {
		if seen.Has(w.Plugin.Name()) {
			return nil, fmt.Errorf("profile %s: plugin %s is listed twice", name, w.Plugin.Name())
		}
		seen.Insert(w.Plugin.Name())
		if sorter, ok := w.Plugin.(fwk.QueueSortPlugin); ok {
			if p.sort != nil {
				return nil, fmt.Errorf("profile %s: %s and %s both sort the queue", name, p.sort.Name(), sorter.Name())
			}
			p.sort = sorter
		}
		if s, ok := w.Plugin.(fwk.ScorePlugin); ok && w.Weight > 0 {
			p.score = append(p.score, scorer{s, w.Weight})
		}
		collect(&p.preEnqueue, w.Plugin)
		collect(&p.preFilter, w.Plugin)
		collect(&p.filter, w.Plugin)
		collect(&p.postFilter, w.Plugin)
		collect(&p.preScore, w.Plugin)
		collect(&p.reserve, w.Plugin)
		collect(&p.preBind, w.Plugin)
		collect(&p.bind, w.Plugin)
		collect(&p.enqueue, w.Plugin)
	}
	if p.sort == nil || len(p.bind) == 0 {
		return nil, fmt.Errorf("profile %s: needs a plugin that sorts the queue and one that binds", name)
	}
	return p, nil
}

func collect[T any](into *[]T, plugin fwk.Plugin) {
	if typed, ok := plugin.(T); ok {
		*into = append(*into, typed)
	}
}

// Less is the order of the queue.
func (p *Profile) Less(a, b fwk.QueuedEntityInfo) bool { return p.sort.Less(a, b) }

// PreEnqueue returns the first status that holds the pod back, or nil.
func (p *Profile) PreEnqueue(ctx context.Context, pod *corev1.Pod) *fwk.Status {
	for _, plugin := range p.preEnqueue {
		if status := plugin.PreEnqueue(ctx, pod); !status.IsSuccess() {
			return status.WithPlugin(plugin.Name())
		}
	}
	return nil
}

// EventsByPlugin returns, for each plugin that says so, the events that can help
// a pod that it rejected.
func (p *Profile) EventsByPlugin(ctx context.Context) (map[string][]fwk.ClusterEventWithHint, error) {
	events := map[string][]fwk.ClusterEventWithHint{}
	for _, plugin := range p.enqueue {
		registered, err := plugin.EventsToRegister(ctx)
		if err != nil {
			return nil, fmt.Errorf("asking plugin %s for its events: %w", plugin.Name(), err)
		}
		events[plugin.Name()] = registered
	}
	return events, nil
}

// Filter returns the nodes that can take the pod. If there are none, the error is
// a *FitError, or another one if a plugin failed.
func (p *Profile) Filter(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, nodes []fwk.NodeInfo) ([]fwk.NodeInfo, error) {
	fit := &FitError{Pod: pod, NumNodes: len(nodes), Statuses: map[string]*fwk.Status{}}
	candidates, status := p.runPreFilter(ctx, state, pod, nodes, fit)
	if status != nil {
		if !status.IsRejected() {
			return nil, fmt.Errorf("plugin %s: %w", status.Plugin(), status.AsError())
		}
		fit.PreFilter = status
		return nil, fit
	}
	var feasible []fwk.NodeInfo
	for _, node := range candidates {
		status := p.filterNode(ctx, state, pod, node)
		switch {
		case status.IsSuccess():
			feasible = append(feasible, node)
		case status.IsRejected():
			fit.Statuses[node.Node().Name] = status
		default:
			return nil, fmt.Errorf("plugin %s on node %s: %w", status.Plugin(), node.Node().Name, status.AsError())
		}
	}
	if len(feasible) == 0 {
		return nil, fit
	}
	return feasible, nil
}

// runPreFilter runs the pre-filters and returns the nodes that they leave.
func (p *Profile) runPreFilter(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, nodes []fwk.NodeInfo, fit *FitError) ([]fwk.NodeInfo, *fwk.Status) {
	skip := sets.New[string]()
	var left sets.Set[string] // nil: all
	var cutBy []string        // the plugins that left nodes out
	for _, plugin := range p.preFilter {
		result, status := plugin.PreFilter(ctx, state, pod, nodes)
		if status.IsSkip() {
			skip.Insert(plugin.Name())
			continue
		}
		if !status.IsSuccess() {
			return nil, status.WithPlugin(plugin.Name())
		}
		if result == nil || result.NodeNames == nil {
			continue
		}
		if left == nil {
			left = result.NodeNames.Clone()
		} else {
			left = left.Intersection(result.NodeNames)
		}
		cutBy = append(cutBy, plugin.Name())
	}
	state.SetSkipFilterPlugins(skip)
	if left == nil {
		return nodes, nil
	}
	fit.cutBy = cutBy
	var candidates []fwk.NodeInfo
	cut := fwk.NewStatus(fwk.UnschedulableAndUnresolvable, fmt.Sprintf("node(s) didn't satisfy plugin(s) %v", cutBy))
	for _, node := range nodes {
		if left.Has(node.Node().Name) {
			candidates = append(candidates, node)
		} else {
			fit.Statuses[node.Node().Name] = cut
		}
	}
	return candidates, nil
}

func (p *Profile) filterNode(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node fwk.NodeInfo) *fwk.Status {
	for _, plugin := range p.filter {
		if state.GetSkipFilterPlugins().Has(plugin.Name()) {
			continue
		}
		if status := plugin.Filter(ctx, state, pod, node); !status.IsSuccess() {
			return status.WithPlugin(plugin.Name())
		}
	}
	return nil
}
