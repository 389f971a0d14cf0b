// Package plugins_test checks each filter and score on the smallest cluster that
// shows it.
package plugins_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/skiff-project/skiff/scheduler/framework"
	"github.com/skiff-project/skiff/scheduler/plugins/imagelocality"
	"github.com/skiff-project/skiff/scheduler/plugins/nodeaffinity"
	"github.com/skiff-project/skiff/scheduler/plugins/nodename"
	"github.com/skiff-project/skiff/scheduler/plugins/nodeports"
	"github.com/skiff-project/skiff/scheduler/plugins/noderesources"
	"github.com/skiff-project/skiff/scheduler/plugins/nodeunschedulable"
	"github.com/skiff-project/skiff/scheduler/plugins/schedulinggates"
	"github.com/skiff-project/skiff/scheduler/plugins/tainttoleration"
	"github.com/skiff-project/skiff/scheduler/snapshot"
)

type podOption func(*corev1.Pod)

func newPod(options ...podOption) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", UID: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "app:1"}}}}
	for _, option := range options {
		option(pod)
	}
	return pod
}

func requests(cpu, memory string) podOption {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
}

func hostPort(port int32, ip string, protocol corev1.Protocol) podOption {
	return func(p *corev1.Pod) {
		p.UID += "x" // another pod
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: port, HostIP: ip, Protocol: protocol}}
	}
}

func tolerates(key string, effect corev1.TaintEffect) podOption {
	return func(p *corev1.Pod) {
		p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: effect})
	}
}

func selects(key, value string) podOption {
	return func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{key: value} }
}

func requires(requirement corev1.NodeSelectorRequirement) podOption {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{requirement}}},
		}}}
	}
}

func newNode(change func(*corev1.Node)) *corev1.Node {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"zone": "a"}},
		Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("1Gi"), corev1.ResourcePods: resource.MustParse("2"),
		}},
	}
	if change != nil {
		change(node)
	}
	return node
}

func tainted(effect corev1.TaintEffect) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "k", Value: "v", Effect: effect}} }
}

// Conformance: "SchedulerPredicates validates resource limits of pods that are
// allowed to run", "... that NodeSelector is respected if matching / not matching",
// "... that there is no conflict between pods with same hostPort but different
// hostIP and protocol", "... that taints-tolerations is respected".
func TestFilters(t *testing.T) {
	unresolvable, unschedulable := fwk.UnschedulableAndUnresolvable, fwk.Unschedulable
	for name, test := range map[string]struct {
		plugin  fwk.Plugin
		pod     *corev1.Pod
		node    *corev1.Node
		on      []*corev1.Pod // already on the node
		code    fwk.Code
		reasons []string
	}{
		"name unset":        {plugin: nodename.Plugin{}, pod: newPod()},
		"name of the node":  {plugin: nodename.Plugin{}, pod: newPod(func(p *corev1.Pod) { p.Spec.NodeName = "n" })},
		"name of another":   {plugin: nodename.Plugin{}, pod: newPod(func(p *corev1.Pod) { p.Spec.NodeName = "m" }), code: unresolvable, reasons: []string{"node(s) didn't match the requested node name"}},
		"cordoned":          {plugin: nodeunschedulable.Plugin{}, pod: newPod(), node: newNode(func(n *corev1.Node) { n.Spec.Unschedulable = true }), code: unresolvable, reasons: []string{"node(s) were unschedulable"}},
		"cordon tolerated":  {plugin: nodeunschedulable.Plugin{}, pod: newPod(tolerates(corev1.TaintNodeUnschedulable, "")), node: newNode(func(n *corev1.Node) { n.Spec.Unschedulable = true })},
		"taint":             {plugin: tainttoleration.Plugin{}, pod: newPod(), node: newNode(tainted(corev1.TaintEffectNoSchedule)), code: unresolvable, reasons: []string{"node(s) had untolerated taint(s)"}},
		"taint tolerated":   {plugin: tainttoleration.Plugin{}, pod: newPod(tolerates("k", corev1.TaintEffectNoExecute)), node: newNode(tainted(corev1.TaintEffectNoExecute))},
		"other effect":      {plugin: tainttoleration.Plugin{}, pod: newPod(tolerates("k", corev1.TaintEffectNoSchedule)), node: newNode(tainted(corev1.TaintEffectNoExecute)), code: unresolvable, reasons: []string{"node(s) had untolerated taint(s)"}},
		"preference only":   {plugin: tainttoleration.Plugin{}, pod: newPod(), node: newNode(tainted(corev1.TaintEffectPreferNoSchedule))},
		"selector":          {plugin: nodeaffinity.Plugin{}, pod: newPod(selects("zone", "a"))},
		"selector mismatch": {plugin: nodeaffinity.Plugin{}, pod: newPod(selects("zone", "b")), code: unresolvable, reasons: []string{"node(s) didn't match Pod's node affinity/selector"}},
		"affinity In":       {plugin: nodeaffinity.Plugin{}, pod: newPod(requires(corev1.NodeSelectorRequirement{Key: "zone", Operator: corev1.NodeSelectorOpIn, Values: []string{"a", "b"}}))},
		"affinity Absent":   {plugin: nodeaffinity.Plugin{}, pod: newPod(requires(corev1.NodeSelectorRequirement{Key: "zone", Operator: corev1.NodeSelectorOpDoesNotExist})), code: unresolvable, reasons: []string{"node(s) didn't match Pod's node affinity/selector"}},
		"free port":         {plugin: nodeports.Plugin{}, pod: newPod(hostPort(80, "", corev1.ProtocolTCP)), on: []*corev1.Pod{newPod(hostPort(81, "", corev1.ProtocolTCP))}},
		"taken port":        {plugin: nodeports.Plugin{}, pod: newPod(hostPort(80, "", corev1.ProtocolTCP)), on: []*corev1.Pod{newPod(hostPort(80, "", corev1.ProtocolTCP))}, code: unschedulable, reasons: []string{"node(s) didn't have free ports for the requested pod ports"}},
		"other protocol":    {plugin: nodeports.Plugin{}, pod: newPod(hostPort(80, "", corev1.ProtocolUDP)), on: []*corev1.Pod{newPod(hostPort(80, "", corev1.ProtocolTCP))}},
		"other address":     {plugin: nodeports.Plugin{}, pod: newPod(hostPort(80, "127.0.0.1", corev1.ProtocolTCP)), on: []*corev1.Pod{newPod(hostPort(80, "127.0.0.2", corev1.ProtocolTCP))}},
		"address within all": {plugin: nodeports.Plugin{}, pod: newPod(hostPort(80, "127.0.0.1", corev1.ProtocolTCP)), on: []*corev1.Pod{newPod(hostPort(80, "", corev1.ProtocolTCP))},
			code: unschedulable, reasons: []string{"node(s) didn't have free ports for the requested pod ports"}},
		"fits":           {plugin: noderesources.Fit{}, pod: newPod(requests("2", "1Gi"))},
		"too much taken": {plugin: noderesources.Fit{}, pod: newPod(requests("1", "1Mi")), on: []*corev1.Pod{newPod(requests("1500m", "1Mi"))}, code: unschedulable, reasons: []string{"Insufficient cpu"}},
		"never fits":     {plugin: noderesources.Fit{}, pod: newPod(requests("3", "2Gi")), code: unresolvable, reasons: []string{"Insufficient cpu", "Insufficient memory"}},
		"too many pods":  {plugin: noderesources.Fit{}, pod: newPod(), on: []*corev1.Pod{newPod(), newPod()}, code: unschedulable, reasons: []string{"Too many pods"}},
		"unknown resource": {plugin: noderesources.Fit{}, pod: newPod(func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"example.com/gpu": resource.MustParse("1")}
		}), code: unresolvable, reasons: []string{"Insufficient example.com/gpu"}},
		"big init container": {plugin: noderesources.Fit{}, pod: newPod(func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "i", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("3")}}}}
		}), code: unresolvable, reasons: []string{"Insufficient cpu"}},
	} {
		t.Run(name, func(t *testing.T) {
			node := test.node
			if node == nil {
				node = newNode(nil)
			}
			status := filter(t, test.plugin, test.pod, snapshot.NewNodeInfo(node, infos(t, test.on)...))
			var reasons []string
			if status != nil {
				reasons = status.Reasons()
			}
			if status.Code() != test.code || !slices.Equal(reasons, test.reasons) {
				t.Errorf("got %s %q, want %s %q", status.Code(), reasons, test.code, test.reasons)
			}
		})
	}
}

func infos(t *testing.T, pods []*corev1.Pod) []fwk.PodInfo {
	t.Helper()
	var out []fwk.PodInfo
	for _, pod := range pods {
		info, err := snapshot.NewPodInfo(pod)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, info)
	}
	return out
}

// filter runs a plugin as a cycle does: the filter is left out if the pre-filter
// says so.
func filter(t *testing.T, plugin fwk.Plugin, pod *corev1.Pod, node fwk.NodeInfo) *fwk.Status {
	t.Helper()
	state := framework.NewCycleState()
	if pre, ok := plugin.(fwk.PreFilterPlugin); ok {
		_, status := pre.PreFilter(t.Context(), state, pod, []fwk.NodeInfo{node})
		if status.IsSkip() {
			return nil
		}
		if !status.IsSuccess() {
			return status
		}
	}
	return plugin.(fwk.FilterPlugin).Filter(t.Context(), state, pod, node)
}

func TestSchedulingGates(t *testing.T) {
	gated := newPod(func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "a"}, {Name: "b"}} })
	status := schedulinggates.Plugin{}.PreEnqueue(t.Context(), gated)
	if status.Code() != fwk.UnschedulableAndUnresolvable || status.Message() != "waiting for scheduling gates: [a b]" {
		t.Errorf("got %s %q", status.Code(), status.Message())
	}
	if status := (schedulinggates.Plugin{}).PreEnqueue(t.Context(), newPod()); !status.IsSuccess() {
		t.Errorf("a pod without gates: %s", status.Message())
	}
}

// Each score prefers the first node to the second.
func TestScoresPrefer(t *testing.T) {
	empty, busy := newNode(nil), newNode(func(n *corev1.Node) { n.Name = "busy" })
	load := infos(t, []*corev1.Pod{newPod(requests("1500m", "64Mi"))})
	prefersZone := newPod(func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{
			Weight: 5, Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "zone", Operator: corev1.NodeSelectorOpIn, Values: []string{"a"}}}},
		}}}}
	})
	withImage := newNode(func(n *corev1.Node) {
		n.Status.Images = []corev1.ContainerImage{{Names: []string{"app:1"}, SizeBytes: 500 << 20}}
	})
	for name, test := range map[string]struct {
		plugin        fwk.Plugin
		pod           *corev1.Pod
		first, second fwk.NodeInfo
	}{
		"least allocated":    {noderesources.Fit{}, newPod(requests("100m", "64Mi")), snapshot.NewNodeInfo(empty), snapshot.NewNodeInfo(busy, load...)},
		"balanced":           {noderesources.Balanced{}, newPod(requests("200m", "100Mi")), snapshot.NewNodeInfo(empty), snapshot.NewNodeInfo(busy, load...)},
		"preferred affinity": {nodeaffinity.Plugin{}, prefersZone, snapshot.NewNodeInfo(empty), snapshot.NewNodeInfo(newNode(func(n *corev1.Node) { n.Labels = nil }))},
		"preferred taint":    {tainttoleration.Plugin{}, newPod(), snapshot.NewNodeInfo(empty), snapshot.NewNodeInfo(newNode(tainted(corev1.TaintEffectPreferNoSchedule)))},
		"image":              {imagelocality.Plugin{}, newPod(), snapshot.NewNodeInfo(withImage), snapshot.NewNodeInfo(empty)},
	} {
		t.Run(name, func(t *testing.T) {
			profile, err := framework.NewProfile("test", []framework.Weighted{{Plugin: test.plugin, Weight: 1}, {Plugin: sortAndBind{}}})
			if err != nil {
				t.Fatal(err)
			}
			scores, err := profile.Score(t.Context(), framework.NewCycleState(), test.pod, []fwk.NodeInfo{test.first, test.second})
			if err != nil || scores[0] <= scores[1] {
				t.Errorf("scores are %v, %v", scores, err)
			}
		})
	}
}

func TestImageNames(t *testing.T) {
	for image, want := range map[string]string{
		"app": "app:latest", "app:1": "app:1", "host:5000/app": "host:5000/app:latest", "app@sha256:0": "app@sha256:0",
	} {
		if got := imagelocality.Normalized(image); got != want {
			t.Errorf("%s: got %s, want %s", image, got, want)
		}
	}
}
