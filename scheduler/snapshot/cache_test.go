package snapshot

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"
)

func newNode(name string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func newPod(name, node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}},
			Ports:     []corev1.ContainerPort{{HostPort: 80, Protocol: corev1.ProtocolTCP}},
		}}},
	}
}

// milliCPU is what the snapshot shows as requested, by node.
func milliCPU(c *Cache) map[string]int64 {
	out := map[string]int64{}
	for _, node := range c.Snapshot() {
		out[node.Node().Name] = node.GetRequested().GetMilliCPU()
	}
	return out
}

func expect(t *testing.T, c *Cache, want map[string]int64) {
	t.Helper()
	got := milliCPU(c)
	if len(got) != len(want) {
		t.Fatalf("nodes are %v, want %v", got, want)
	}
	for name, amount := range want {
		if got[name] != amount {
			t.Fatalf("requested CPU is %v, want %v", got, want)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAssumedPodsTakeRoom(t *testing.T) {
	c := NewCache()
	c.SetNode(newNode("a"))
	pod := newPod("p", "a")
	must(t, c.Assume(pod, "a"))
	expect(t, c, map[string]int64{"a": 100})
	if err := c.Assume(pod, "a"); err == nil {
		t.Error("a pod was assumed twice")
	}
	c.Forget(pod)
	expect(t, c, map[string]int64{"a": 0})

	must(t, c.Assume(pod, "a"))
	must(t, c.SetPod(pod)) // the watch confirms it
	expect(t, c, map[string]int64{"a": 100})
	c.Forget(pod) // too late: it is real
	expect(t, c, map[string]int64{"a": 100})
	c.DeletePod(pod.UID)
	expect(t, c, map[string]int64{"a": 0})
}

// Whatever the order of events, a pod counts once, where the API shows it.
func TestEventsOutOfOrder(t *testing.T) {
	c := NewCache()
	must(t, c.SetPod(newPod("early", "b"))) // before its node
	expect(t, c, map[string]int64{})
	c.SetNode(newNode("b"))
	expect(t, c, map[string]int64{"b": 100})

	must(t, c.Assume(newPod("p", "a"), "a")) // but another scheduler was faster
	must(t, c.SetPod(newPod("p", "b")))
	c.SetNode(newNode("a"))
	expect(t, c, map[string]int64{"a": 0, "b": 200})

	c.DeleteNode("b") // before its pods
	expect(t, c, map[string]int64{"a": 0})
	c.SetNode(newNode("b"))
	expect(t, c, map[string]int64{"a": 0, "b": 200})
	c.DeleteNode("b")
	c.DeletePod("p")
	c.DeletePod("early")
	c.DeletePod("never seen")
	expect(t, c, map[string]int64{"a": 0})
	if len(c.nodes) != 1 || len(c.pods) != 0 || len(c.shown) != 1 {
		t.Errorf("left behind: %d nodes, %d pods, %d copies", len(c.nodes), len(c.pods), len(c.shown))
	}
}

func TestSnapshotsDoNotChange(t *testing.T) {
	c := NewCache()
	c.SetNode(newNode("a"))
	must(t, c.SetPod(newPod("one", "a")))
	before := c.Snapshot()
	must(t, c.SetPod(newPod("two", "a")))
	if n := len(before[0].GetPods()); n != 1 || before[0].GetRequested().GetMilliCPU() != 100 {
		t.Errorf("an old snapshot shows %d pods", n)
	}
	c.DeletePod("one")
	c.DeletePod("two")
	if !before[0].GetUsedPorts().CheckConflict("", "TCP", 80) {
		t.Error("an old snapshot lost a port")
	}
	after := c.Snapshot()
	if after[0].GetUsedPorts().Len() != 0 || len(after[0].GetPods()) != 0 {
		t.Errorf("the new snapshot shows %d pods", len(after[0].GetPods()))
	}
	var again []fwk.NodeInfo = c.Snapshot()
	if again[0] != after[0] {
		t.Error("an unchanged node was copied")
	}
}
