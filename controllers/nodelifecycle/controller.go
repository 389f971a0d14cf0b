// Package nodelifecycle watches over the life of nodes: one that falls silent is
// marked Unknown, its pods not ready, and it gets the taints that keep new pods
// away and, in time, drive the old ones off.
//
// # Model
//
//	Ready --50 s without a sign--> Unknown, unreachable:NoSchedule
//	      --the zone's turn-------> unreachable:NoExecute --tolerationSeconds-->
//	        package tainteviction deletes the pods
//
// A sign of life is a renewed Lease or a new heartbeat in the Ready condition.
// Leases are only noted; each node has one timer, for the moment at which it
// would have been silent too long. How fast nodes are emptied depends on how
// many of their zone are lost; if all are, none is.
package nodelifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/component-helpers/node/topology"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/skiff-project/skiff/controllers/podcontrol"
)

// turnDelay is how soon a lost node asks again for its turn to be emptied.
const turnDelay = time.Second

// Deps are the things that a Reconciler works with; all are needed.
type Deps struct {
	Client       client.Client // reads the cache, which has the index podcontrol.ByNode
	Events       record.EventRecorder
	Clock        clock.PassiveClock
	Grace        time.Duration
	StartupGrace time.Duration
	EvictionRate float32
	Workers      int
}

// Reconciler watches over nodes.
type Reconciler struct {
	Deps
	tracker *tracker
	limits  limits
}

// New returns the controller.
func New(deps Deps) *Reconciler { return &Reconciler{Deps: deps, tracker: newTracker()} }

// Name returns the controller's name.
func (r *Reconciler) Name() string { return "node-controller" }

// Register adds the controller to the manager.
func (r *Reconciler) Register(mgr ctrl.Manager) error {
	note := func(obj client.Object) {
		lease, ok := obj.(*coordinationv1.Lease)
		if ok && lease.Namespace == corev1.NamespaceNodeLease && lease.Spec.RenewTime != nil {
			r.tracker.lease(lease.Name, lease.Spec.RenewTime.Time, r.Clock.Now())
		}
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named(r.Name()).
		For(&corev1.Node{}).
		Watches(&coordinationv1.Lease{}, handler.Funcs{
			CreateFunc: func(_ context.Context, e event.CreateEvent, _ podcontrol.Queue) { note(e.Object) },
			UpdateFunc: func(_ context.Context, e event.UpdateEvent, _ podcontrol.Queue) { note(e.ObjectNew) },
		}).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Workers}).
		Complete(r)
}

// Reconcile judges one node.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var cached corev1.Node
	err := r.Client.Get(ctx, req.NamespacedName, &cached)
	if apierrors.IsNotFound(err) {
		if uid, known := r.tracker.forget(req.Name); known {
			r.Events.Eventf(reference(req.Name, uid), corev1.EventTypeNormal, "RemovingNode", "Node %s event: Removing Node %s from Controller", req.Name, req.Name)
		}
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("reading node: %w", err)
	}
	node, now := cached.DeepCopy(), r.Clock.Now()
	isNew, fell, last := r.tracker.node(node, now)
	if isNew {
		r.Events.Eventf(reference(node.Name, node.UID), corev1.EventTypeNormal, "RegisteredNode", "Node %s event: Registered Node %s in Controller", node.Name, node.Name)
	}
	next := silentAt(node, last, graces{running: r.Grace, startup: r.StartupGrace}).Sub(now)
	if next <= 0 {
		next = 0
		if err := r.silence(ctx, node, now); err != nil {
			return ctrl.Result{}, ignoreStale("marking node status unknown", err)
		}
		_, fellNow, _ := r.tracker.node(node, now)
		fell = fell || fellNow
	}
	if fell {
		r.Events.Eventf(reference(node.Name, node.UID), corev1.EventTypeNormal, "NodeNotReady", "Node %s status is now: %s", node.Name, "NodeNotReady")
	}
	if r.tracker.unmarked(node.Name) {
		if err := r.markPods(ctx, node); err != nil {
			return ctrl.Result{}, fmt.Errorf("marking pods of node %s not ready: %w", node.Name, err)
		}
		r.tracker.marked(node.Name)
	}
	again, err := r.taint(ctx, node, now)
	if err != nil {
		return ctrl.Result{}, ignoreStale("tainting node", err)
	}
	if again > 0 && (next == 0 || again < next) {
		next = again
	}
	return ctrl.Result{RequeueAfter: next}, nil
}

// silence writes the conditions of a silent node; node gets them too.
func (r *Reconciler) silence(ctx context.Context, node *corev1.Node, now time.Time) error {
	conditions, changed := silenced(node, now)
	if !changed {
		return nil
	}
	updated := node.DeepCopy()
	updated.Status.Conditions = conditions
	if err := r.Client.Status().Update(ctx, updated); err != nil {
		return err
	}
	*node = *updated
	return nil
}

// taint gives the node the taints it should have. again says when to look again
// because it is not the node's turn yet.
func (r *Reconciler) taint(ctx context.Context, node *corev1.Node, now time.Time) (again time.Duration, err error) {
	eviction, again, err := r.eviction(ctx, node)
	if err != nil {
		return 0, err
	}
	taints, changed := Taints(node, eviction, now)
	if !changed {
		return again, nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": node.UID, "resourceVersion": node.ResourceVersion},
		"spec":     map[string]any{"taints": taints},
	})
	if err != nil {
		return 0, fmt.Errorf("encoding taints: %w", err)
	}
	return again, r.Client.Patch(ctx, node, client.RawPatch(types.MergePatchType, patch))
}

// eviction decides whether it is the turn of a lost node to be emptied.
func (r *Reconciler) eviction(ctx context.Context, node *corev1.Node) (Eviction, time.Duration, error) {
	if lostKey(node) == "" {
		return Evict, 0, nil
	}
	var nodes corev1.NodeList
	if err := r.Client.List(ctx, &nodes); err != nil {
		return Hold, 0, fmt.Errorf("listing nodes: %w", err)
	}
	for i := range nodes.Items {
		if nodes.Items[i].Name == node.Name {
			nodes.Items[i] = *node // the cache may not know of its fall yet
		}
	}
	zones := count(nodes.Items)
	if allLost(zones) {
		return Spare, turnDelay, nil
	}
	if hasTaint(node, corev1.TaintNodeNotReady, corev1.TaintEffectNoExecute) || hasTaint(node, corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute) {
		return Evict, 0, nil // it had its turn
	}
	zone := topology.GetZoneKey(node)
	if !r.limits.take(zone, rate(zones[zone], r.EvictionRate)) {
		return Hold, turnDelay, nil
	}
	return Evict, 0, nil
}

// markPods sets Ready to False on the pods of a node that is not ready, so that
// they leave the endpoints of their services.
func (r *Reconciler) markPods(ctx context.Context, node *corev1.Node) error {
	pods, err := podcontrol.List(ctx, r.Client, client.MatchingFields{podcontrol.ByNode: node.Name})
	if err != nil {
		return err
	}
	var errs []error
	for _, pod := range pods {
		if podcontrol.Terminal(pod) || !podcontrol.Ready(pod) {
			continue
		}
		updated := pod.DeepCopy()
		c := podcontrol.Condition(updated, corev1.PodReady)
		c.Status = corev1.ConditionFalse
		c.LastTransitionTime = metav1.NewTime(r.Clock.Now())
		err := r.Client.Status().Patch(ctx, updated, client.StrategicMergeFrom(pod))
		if podcontrol.IgnoreStale(err) != nil {
			errs = append(errs, err)
			continue
		}
		r.Events.Event(pod, corev1.EventTypeWarning, "NodeNotReady", "Node is not ready")
	}
	return errors.Join(errs...)
}

// reference returns the object of a node's events; their namespace is the
// default one, as nodes have none.
func reference(name string, uid types.UID) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: name, UID: uid}
}

// ignoreStale drops conflicts: the event of the newer node starts another pass.
func ignoreStale(action string, err error) error {
	if podcontrol.IgnoreStale(err) == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", action, err)
}
