package integration

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/controllers/podcontrol"
	"github.com/skiff-project/skiff/controllers/testkit"
	"github.com/skiff-project/skiff/e2e/testenv"
)

func TestNodesGetPodCIDRs(t *testing.T) {
	env := start(t)
	seen := make(map[string]bool)
	for _, name := range []string{"cidr-1", "cidr-2", "cidr-3"} {
		node(t, env, name)
		testkit.Eventually(t, func(ctx context.Context) error {
			n, err := env.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			cidr, err := netip.ParsePrefix(n.Spec.PodCIDR)
			if err != nil || cidr.Bits() != 24 || !slices.Equal(n.Spec.PodCIDRs, []string{n.Spec.PodCIDR}) {
				return fmt.Errorf("podCIDR %q, podCIDRs %v", n.Spec.PodCIDR, n.Spec.PodCIDRs)
			}
			seen[n.Spec.PodCIDR] = true
			return nil
		})
	}
	if len(seen) != 3 {
		t.Errorf("podCIDRs overlap: %v", seen)
	}
}

// heartbeat renews a node's lease until the returned function is called.
func heartbeat(t *testing.T, env *testenv.Env, name string) (stop func()) {
	t.Helper()
	leases := env.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	ctx, cancel := context.WithCancel(t.Context())
	beat := func() error {
		lease, err := leases.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			_, err = leases.Create(ctx, &coordinationv1.Lease{
				ObjectMeta: metav1.ObjectMeta{Name: name},
				Spec:       coordinationv1.LeaseSpec{HolderIdentity: &name, RenewTime: ptr.To(metav1.NowMicro())},
			}, metav1.CreateOptions{})
			return err
		}
		if err != nil {
			return err
		}
		lease.Spec.RenewTime = ptr.To(metav1.NowMicro())
		_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
		return err
	}
	if err := beat(); err != nil {
		t.Fatalf("first heartbeat: %v", err)
	}
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = beat()
			}
		}
	}()
	t.Cleanup(cancel)
	return cancel
}

func ensureNamespace(t *testing.T, env *testenv.Env, name string) {
	t.Helper()
	_, err := env.Client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// A node that falls silent is marked, its pods leave the endpoints and, when
// they tolerate it no longer, are deleted and replaced; a node that keeps its
// lease stays.
func TestSilentNodeLosesItsPods(t *testing.T) {
	env := testenv.Shared(t)
	ensureNamespace(t, env, corev1.NamespaceNodeLease)
	cfg := config(env)
	cfg.NodeMonitorGracePeriod = 5 * time.Second // a busy machine may delay heartbeats
	testkit.Run(t, cfg)
	ns := env.Namespace(t)
	node(t, env, "alive")
	node(t, env, "dying")
	heartbeat(t, env, "alive")
	kill := heartbeat(t, env, "dying")

	rs := replicaSet("web", 1)
	rs.Spec.Template.Spec.NodeName = "dying"
	rs.Spec.Template.Spec.Tolerations = []corev1.Toleration{
		{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr.To[int64](1)},
	}
	if _, err := env.Client.AppsV1().ReplicaSets(ns).Create(t.Context(), rs, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	steady := podOn(t, env, ns, "steady", "dying", map[string]string{"app": "steady"})
	testkit.Eventually(t, func(ctx context.Context) error {
		pods, err := livePods(ctx, env, ns)
		if err != nil || len(pods) != 2 {
			return errors.Join(err, fmt.Errorf("%d pods", len(pods)))
		}
		for i := range pods {
			testkit.SetReady(&pods[i], true)
			if _, err := env.Client.CoreV1().Pods(ns).UpdateStatus(ctx, &pods[i], metav1.UpdateOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	before, err := livePods(t.Context(), env, ns)
	if err != nil {
		t.Fatal(err)
	}
	victim := before[slices.IndexFunc(before, func(p corev1.Pod) bool { return p.Name != "steady" })]

	kill()
	awaitUnreachable(t, env, "dying")
	testkit.Eventually(t, func(ctx context.Context) error {
		pod, err := env.Client.CoreV1().Pods(ns).Get(ctx, victim.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err == nil && pod.DeletionTimestamp == nil {
			err = errors.New("the pod is not evicted")
		}
		return err
	})
	hasEvent(t, env, ns, "TaintManagerEviction", "Marking for deletion Pod "+ns+"/"+victim.Name)
	testkit.Eventually(t, func(ctx context.Context) error { // its replacement
		pods, err := livePods(ctx, env, ns)
		if err == nil && !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.UID != victim.UID && p.Name != "steady" }) {
			err = errors.New("no replacement")
		}
		return err
	})
	pod, err := env.Client.CoreV1().Pods(ns).Get(t.Context(), steady.Name, metav1.GetOptions{})
	if err != nil || pod.DeletionTimestamp != nil || podcontrol.Ready(pod) {
		t.Errorf("a pod that tolerates everything should stay, not ready: %v, %v", pod, err)
	}
	alive, err := env.Client.CoreV1().Nodes().Get(t.Context(), "alive", metav1.GetOptions{})
	if err != nil || len(alive.Spec.Taints) != 0 {
		t.Errorf("the node with a heartbeat: %v, %v", alive.Spec.Taints, err)
	}

	// It comes back.
	heartbeat(t, env, "dying")
	reportReady(t, env, "dying")
	testkit.Eventually(t, func(ctx context.Context) error {
		n, err := env.Client.CoreV1().Nodes().Get(ctx, "dying", metav1.GetOptions{})
		if err == nil && len(n.Spec.Taints) > 0 {
			err = fmt.Errorf("taints %v", n.Spec.Taints)
		}
		return err
	})
}

// awaitUnreachable waits until a node has the conditions and the taints of one
// that is silent.
func awaitUnreachable(t *testing.T, env *testenv.Env, name string) {
	t.Helper()
	testkit.Eventually(t, func(ctx context.Context) error {
		n, err := env.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, kind := range []corev1.NodeConditionType{corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure} {
			if !slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == kind && c.Status == corev1.ConditionUnknown }) {
				return fmt.Errorf("condition %s of %v", kind, n.Status.Conditions)
			}
		}
		for _, effect := range []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute} {
			if !slices.ContainsFunc(n.Spec.Taints, func(taint corev1.Taint) bool {
				return taint.Key == corev1.TaintNodeUnreachable && taint.Effect == effect
			}) {
				return fmt.Errorf("taints %v", n.Spec.Taints)
			}
		}
		return nil
	})
}

// reportReady writes the conditions that the agent of a healthy node reports.
func reportReady(t *testing.T, env *testenv.Env, name string) {
	t.Helper()
	testkit.Eventually(t, func(ctx context.Context) error {
		n, err := env.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for i := range n.Status.Conditions {
			n.Status.Conditions[i].Status = corev1.ConditionFalse
			if n.Status.Conditions[i].Type == corev1.NodeReady {
				n.Status.Conditions[i].Status = corev1.ConditionTrue
			}
			n.Status.Conditions[i].LastHeartbeatTime = metav1.Now()
		}
		_, err = env.Client.CoreV1().Nodes().UpdateStatus(ctx, n, metav1.UpdateOptions{})
		return err
	})
}

// A pod that was deleted before it got a node has nobody to finish it.
func TestUnscheduledPodIsRemoved(t *testing.T) {
	env := start(t)
	ns := env.Namespace(t)
	ctx := t.Context()
	_, err := env.Client.CoreV1().Pods(ns).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "nowhere"}, Spec: testkit.PodTemplate(nil).Spec,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := env.Client.CoreV1().Pods(ns).Delete(ctx, "nowhere", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func(ctx context.Context) error {
		_, err := env.Client.CoreV1().Pods(ns).Get(ctx, "nowhere", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("still there (%v)", err)
	})
}
