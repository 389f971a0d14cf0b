package node

import (
	"context"
	"fmt"
	"maps"
	goruntime "runtime"
	"slices"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/component-helpers/apimachinery/lease"
	"k8s.io/klog/v2"
)

// register makes the Node object, or takes over the one that is there: its labels
// are brought up to date, everything else of its spec stays (podCIDR, cordon).
func (n *Node) register(ctx context.Context) error {
	nodes := n.cfg.Client.CoreV1().Nodes()
	made, err := nodes.Create(ctx, n.fresh(ctx), metav1.CreateOptions{})
	if err == nil {
		n.uid.Store(&made.UID)
		n.written = n.cfg.Clock.Now()
		klog.FromContext(ctx).Info("Registered the node", "node", n.cfg.Name)
		return nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating the node: %w", err)
	}
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		known, err := nodes.Get(ctx, n.cfg.Name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("reading the node: %w", err)
		}
		n.uid.Store(&known.UID)
		updated := known.DeepCopy()
		if updated.Labels == nil {
			updated.Labels = map[string]string{}
		}
		maps.Copy(updated.Labels, n.labels())
		if equality.Semantic.DeepEqual(known, updated) {
			return nil
		}
		if _, err = nodes.Update(ctx, updated, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("updating the node: %w", err)
		}
		return nil
	})
}

// fresh is the Node object of a machine that the cluster does not know yet.
func (n *Node) fresh(ctx context.Context) *corev1.Node {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.cfg.Name, Labels: n.labels()},
		Spec:       corev1.NodeSpec{Taints: slices.Clone(n.cfg.Taints)},
	}
	node.Status = Describe(n.described(), corev1.NodeStatus{}, n.facts(ctx))
	return node
}

// labels are those that every node has, and those of its administrator.
func (n *Node) labels() map[string]string {
	labels := map[string]string{
		corev1.LabelHostname:      n.cfg.Name,
		corev1.LabelOSStable:      goruntime.GOOS,
		corev1.LabelArchStable:    goruntime.GOARCH,
		"beta.kubernetes.io/os":   goruntime.GOOS,
		"beta.kubernetes.io/arch": goruntime.GOARCH,
	}
	maps.Copy(labels, n.cfg.Labels)
	return labels
}

// renewLease keeps the node's Lease until ctx ends.
func (n *Node) renewLease(ctx context.Context) {
	owner := lease.ProcessLeaseFunc(func(l *coordinationv1.Lease) error {
		uid := n.uid.Load() // changes when the node is registered again
		l.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: corev1.SchemeGroupVersion.String(), Kind: "Node", Name: n.cfg.Name, UID: *uid,
		}}
		return nil
	})
	seconds := int32(leaseDuration.Seconds())
	lease.NewController(n.cfg.Clock, n.cfg.Client, n.cfg.Name, seconds, n.Trigger, leaseDuration/4,
		n.cfg.Name, corev1.NamespaceNodeLease, owner).Run(ctx)
}
