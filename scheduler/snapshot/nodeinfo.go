package snapshot

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ndf "k8s.io/component-helpers/nodedeclaredfeatures"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
)

// NodeInfo is a node and the sums over the pods on it. The lists of pods are
// replaced, never changed in place, so that a Snapshot may share them.
type NodeInfo struct {
	node         *corev1.Node
	pods         []fwk.PodInfo
	withAffinity []fwk.PodInfo
	withAnti     []fwk.PodInfo

	requested, nonZero, allocatable *Amounts
	ports                           fwk.HostPortInfo
	claims                          map[string]int // PVC key to the number of pods that use it
	images                          map[string]*fwk.ImageStateSummary
	generation                      int64
}

var _ fwk.NodeInfo = &NodeInfo{}

// NewNodeInfo returns a node with pods on it. node may be nil: pods can be known
// before their node.
func NewNodeInfo(node *corev1.Node, pods ...fwk.PodInfo) *NodeInfo {
	n := &NodeInfo{
		requested: &Amounts{}, nonZero: &Amounts{}, allocatable: &Amounts{},
		ports: fwk.HostPortInfo{}, claims: map[string]int{}, images: map[string]*fwk.ImageStateSummary{},
	}
	if node != nil {
		n.SetNode(node)
	}
	for _, pod := range pods {
		n.AddPodInfo(pod)
	}
	return n
}

// Node and its siblings implement framework.NodeInfo.
func (n *NodeInfo) Node() *corev1.Node                                { return n.node }
func (n *NodeInfo) GetPods() []fwk.PodInfo                            { return n.pods }
func (n *NodeInfo) GetPodsWithAffinity() []fwk.PodInfo                { return n.withAffinity }
func (n *NodeInfo) GetPodsWithRequiredAntiAffinity() []fwk.PodInfo    { return n.withAnti }
func (n *NodeInfo) GetUsedPorts() fwk.HostPortInfo                    { return n.ports }
func (n *NodeInfo) GetRequested() fwk.Resource                        { return n.requested }
func (n *NodeInfo) GetNonZeroRequested() fwk.Resource                 { return n.nonZero }
func (n *NodeInfo) GetAllocatable() fwk.Resource                      { return n.allocatable }
func (n *NodeInfo) GetImageStates() map[string]*fwk.ImageStateSummary { return n.images }
func (n *NodeInfo) GetPVCRefCounts() map[string]int                   { return n.claims }
func (n *NodeInfo) GetGeneration() int64                              { return n.generation }
func (n *NodeInfo) GetNodeDeclaredFeatures() ndf.FeatureSet           { return ndf.FeatureSet{} }
func (n *NodeInfo) GetPodsWithRequiredNonHostScopedAntiAffinity() []fwk.PodInfo {
	return slices.DeleteFunc(slices.Clone(n.withAnti), func(p fwk.PodInfo) bool {
		return !slices.ContainsFunc(p.GetRequiredAntiAffinityTerms(), func(t fwk.AffinityTerm) bool {
			return t.TopologyKey != corev1.LabelHostname
		})
	})
}

// SetNode takes over a node's allocatable resources and images.
func (n *NodeInfo) SetNode(node *corev1.Node) {
	n.node = node
	n.allocatable = AmountsOf(node.Status.Allocatable)
	n.images = map[string]*fwk.ImageStateSummary{}
	for _, image := range node.Status.Images {
		for _, name := range image.Names {
			n.images[name] = &fwk.ImageStateSummary{Size: image.SizeBytes, NumNodes: 1}
		}
	}
}

// AddPodInfo counts a pod on the node.
func (n *NodeInfo) AddPodInfo(p fwk.PodInfo) {
	n.pods = append(slices.Clone(n.pods), p)
	if len(p.GetRequiredAffinityTerms())+len(p.GetPreferredAffinityTerms())+len(p.GetRequiredAntiAffinityTerms())+len(p.GetPreferredAntiAffinityTerms()) > 0 {
		n.withAffinity = append(slices.Clone(n.withAffinity), p)
	}
	if len(p.GetRequiredAntiAffinityTerms()) > 0 {
		n.withAnti = append(slices.Clone(n.withAnti), p)
	}
	n.count(p, 1)
}

// RemovePod takes a pod off the node's sums. It fails if the pod is not there.
func (n *NodeInfo) RemovePod(_ klog.Logger, pod *corev1.Pod) error {
	is := func(p fwk.PodInfo) bool { return p.GetPod().UID == pod.UID }
	i := slices.IndexFunc(n.pods, is)
	if i < 0 {
		return fmt.Errorf("removing pod %s/%s: it is not on node %s", pod.Namespace, pod.Name, n.name())
	}
	n.count(n.pods[i], -1)
	n.pods = without(n.pods, is)
	n.withAffinity = without(n.withAffinity, is)
	n.withAnti = without(n.withAnti, is)
	return nil
}

func without(pods []fwk.PodInfo, is func(fwk.PodInfo) bool) []fwk.PodInfo {
	if !slices.ContainsFunc(pods, is) {
		return pods
	}
	return slices.DeleteFunc(slices.Clone(pods), is)
}

// count adds a pod's sums, ports and claims sign times (1 or -1).
func (n *NodeInfo) count(p fwk.PodInfo, sign int64) {
	sums := p.CalculateResource()
	if requested, ok := sums.Resource.(*Amounts); ok {
		n.requested.add(requested, sign)
	}
	n.nonZero.add(&Amounts{MilliCPU: sums.Non0CPU, Memory: sums.Non0Mem}, sign)
	pod := p.GetPod()
	for _, port := range HostPorts(pod) {
		if sign > 0 {
			n.ports.Add(port.HostIP, string(port.Protocol), port.HostPort)
		} else {
			n.ports.Remove(port.HostIP, string(port.Protocol), port.HostPort)
		}
	}
	for _, volume := range pod.Spec.Volumes {
		if volume.PersistentVolumeClaim == nil {
			continue
		}
		key := types.NamespacedName{Namespace: pod.Namespace, Name: volume.PersistentVolumeClaim.ClaimName}.String()
		if n.claims[key] += int(sign); n.claims[key] <= 0 {
			delete(n.claims, key)
		}
	}
}

// HostPorts lists the ports of the host that a pod wants, those of sidecars
// included.
func HostPorts(pod *corev1.Pod) []corev1.ContainerPort {
	var ports []corev1.ContainerPort
	collect := func(c *corev1.Container) {
		for _, port := range c.Ports {
			if port.HostPort > 0 {
				ports = append(ports, port)
			}
		}
	}
	for i := range pod.Spec.InitContainers {
		if policy := pod.Spec.InitContainers[i].RestartPolicy; policy != nil && *policy == corev1.ContainerRestartPolicyAlways {
			collect(&pod.Spec.InitContainers[i])
		}
	}
	for i := range pod.Spec.Containers {
		collect(&pod.Spec.Containers[i])
	}
	return ports
}

// Snapshot returns a copy that later changes of the original do not touch.
func (n *NodeInfo) Snapshot() fwk.NodeInfo { return n.clone() }

func (n *NodeInfo) clone() *NodeInfo {
	copied := *n
	copied.requested, copied.nonZero, copied.allocatable = n.requested.clone(), n.nonZero.clone(), n.allocatable.clone()
	copied.claims = maps.Clone(n.claims)
	copied.ports = fwk.HostPortInfo{}
	for ip, ports := range n.ports {
		copied.ports[ip] = maps.Clone(ports)
	}
	return &copied
}

func (n *NodeInfo) name() string {
	if n.node == nil {
		return "<unknown>"
	}
	return n.node.Name
}

// String names the node and what is requested of it.
func (n *NodeInfo) String() string {
	return fmt.Sprintf("node %s: %d pods, %dm CPU and %d bytes of memory requested", n.name(), len(n.pods), n.requested.MilliCPU, n.requested.Memory)
}
