// Package snapshot is the scheduler's picture of the cluster: which pods are on
// which nodes, and what is left there.
//
// # Model
//
// The Cache follows the watch events of nodes and of assigned pods. A pod that
// the scheduler has just placed is "assumed" to be on its node until its watch
// event confirms it, so that the next pod sees the room as taken. A Snapshot is a
// consistent view for one scheduling cycle; only nodes that changed since the
// last one are copied.
//
// # Traps
//
// Events can come out of order: a pod's before its node's, a deletion before the
// confirmation. Each is handled by state, not by order: a pod is counted on at
// most one node, under its UID.
package snapshot

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
)

// Cache is safe for concurrent use.
type Cache struct {
	mu         sync.Mutex // guards everything below
	nodes      map[string]*NodeInfo
	pods       map[types.UID]*placed
	generation int64 // grows with every change
	shown      map[string]*NodeInfo
	shownAt    map[string]int64
}

// placed is where a pod is counted.
type placed struct {
	info    *PodInfo
	node    string
	assumed bool // not yet confirmed by a watch event
}

// NewCache returns an empty cache.
func NewCache() *Cache {
	return &Cache{
		nodes: map[string]*NodeInfo{}, pods: map[types.UID]*placed{},
		shown: map[string]*NodeInfo{}, shownAt: map[string]int64{},
	}
}

// touch returns the node of that name, made if it is not known, and marks it as
// changed.
func (c *Cache) touch(name string) *NodeInfo {
	node := c.nodes[name]
	if node == nil {
		node = NewNodeInfo(nil)
		c.nodes[name] = node
	}
	c.generation++
	node.generation = c.generation
	return node
}

// SetNode adds or updates a node.
func (c *Cache) SetNode(node *corev1.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.touch(node.Name).SetNode(node)
}

// DeleteNode forgets a node. Pods that are still counted on it stay known, in
// case the node comes back before they go.
func (c *Cache) DeleteNode(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	node := c.touch(name)
	if len(node.pods) == 0 {
		delete(c.nodes, name)
		return
	}
	node.node = nil
}

// Assume counts a pod on node before the API server has said so.
func (c *Cache) Assume(pod *corev1.Pod, node string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.pods[pod.UID]; at != nil {
		return fmt.Errorf("assuming pod %s/%s on node %s: it is already counted on %s", pod.Namespace, pod.Name, node, at.node)
	}
	return c.count(pod, node, true)
}

// Forget takes back an assumption, after the binding failed. A pod that a watch
// event has confirmed meanwhile stays.
func (c *Cache) Forget(pod *corev1.Pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.pods[pod.UID]; at != nil && at.assumed {
		c.uncount(pod.UID)
	}
}

// SetPod adds or updates a pod that the API server shows on a node.
func (c *Cache) SetPod(pod *corev1.Pod) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.uncount(pod.UID)
	return c.count(pod, pod.Spec.NodeName, false)
}

// DeletePod forgets a pod.
func (c *Cache) DeletePod(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.uncount(uid)
}

// Holds reports whether the pod is counted on some node, assumed or not.
func (c *Cache) Holds(uid types.UID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pods[uid] != nil
}

func (c *Cache) count(pod *corev1.Pod, node string, assumed bool) error {
	info, err := NewPodInfo(pod)
	if err != nil {
		return fmt.Errorf("counting pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	c.touch(node).AddPodInfo(info)
	c.pods[pod.UID] = &placed{info: info, node: node, assumed: assumed}
	return nil
}

func (c *Cache) uncount(uid types.UID) {
	at := c.pods[uid]
	if at == nil {
		return
	}
	delete(c.pods, uid)
	node := c.touch(at.node)
	// It cannot fail: pods and nodes change together under the lock.
	_ = node.RemovePod(klog.Logger{}, at.info.pod)
	if node.node == nil && len(node.pods) == 0 {
		delete(c.nodes, at.node)
	}
}

// Snapshot returns the nodes as they are now, sorted by name. The result does not
// change later.
func (c *Cache) Snapshot() []fwk.NodeInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	view := make([]fwk.NodeInfo, 0, len(c.nodes))
	for name, node := range c.nodes {
		if node.node == nil {
			continue
		}
		if c.shown[name] == nil || c.shownAt[name] != node.generation {
			c.shown[name], c.shownAt[name] = node.clone(), node.generation
		}
		view = append(view, c.shown[name])
	}
	if len(c.shown) > len(view) {
		c.dropUnknown()
	}
	slices.SortFunc(view, func(a, b fwk.NodeInfo) int { return strings.Compare(a.Node().Name, b.Node().Name) })
	return view
}

// dropUnknown frees the copies of nodes that are gone.
func (c *Cache) dropUnknown() {
	for name := range c.shown {
		if node := c.nodes[name]; node == nil || node.node == nil {
			delete(c.shown, name)
			delete(c.shownAt, name)
		}
	}
}

// Dump says which pods (by UID) are counted on which node. Tests compare it with
// the API.
func (c *Cache) Dump() map[types.UID]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	dump := make(map[types.UID]string, len(c.pods))
	for uid, at := range c.pods {
		dump[uid] = at.node
	}
	return dump
}
