package node

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
)

// report writes the node's status if it changed or a heartbeat is due. A node
// that somebody deleted is registered again.
func (n *Node) report(ctx context.Context) error {
	facts := n.facts(ctx)
	nodes := n.cfg.Client.CoreV1().Nodes()
	version := "0" // a cached node will do, but not again after a conflict
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		known, err := nodes.Get(ctx, n.cfg.Name, metav1.GetOptions{ResourceVersion: version})
		version = ""
		if apierrors.IsNotFound(err) {
			return n.register(ctx)
		}
		if err != nil {
			return fmt.Errorf("reading the node: %w", err)
		}
		n.uid.Store(&known.UID)
		updated := known.DeepCopy()
		updated.Status = Describe(n.described(), known.Status, facts)
		due := !n.cfg.Clock.Now().Before(n.written.Add(reportPeriod))
		if !due && !differs(known.Status, updated.Status) {
			return nil
		}
		if _, err := nodes.UpdateStatus(ctx, updated, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("writing the node's status: %w", err)
		}
		n.written = n.cfg.Clock.Now()
		n.announce(updated, readiness(known.Status), readiness(updated.Status))
		return nil
	})
}

// announce tells of a change of readiness.
func (n *Node) announce(node *corev1.Node, was, is corev1.ConditionStatus) {
	if was == is {
		return
	}
	reason := "NodeNotReady"
	if is == corev1.ConditionTrue {
		reason = "NodeReady"
	}
	// Events of nodes are found by the name in place of the UID.
	reference := &corev1.ObjectReference{Kind: "Node", Name: node.Name, UID: types.UID(node.Name)}
	n.cfg.Recorder.Eventf(reference, corev1.EventTypeNormal, reason, "Node %s status is now: %s", node.Name, reason)
}

func readiness(s corev1.NodeStatus) corev1.ConditionStatus {
	for i := range s.Conditions {
		if s.Conditions[i].Type == corev1.NodeReady {
			return s.Conditions[i].Status
		}
	}
	return corev1.ConditionUnknown
}

// differs compares two statuses but for the times of heartbeats.
func differs(a, b corev1.NodeStatus) bool {
	return !equality.Semantic.DeepEqual(withoutHeartbeats(a), withoutHeartbeats(b))
}

func withoutHeartbeats(s corev1.NodeStatus) *corev1.NodeStatus {
	copied := s.DeepCopy()
	for i := range copied.Conditions {
		copied.Conditions[i].LastHeartbeatTime = metav1.Time{}
	}
	return copied
}
