// Package podgc removes pods that nobody else will: those of nodes that are
// gone, those that were deleted before they got a node, and terminated ones when
// there are too many.
//
// # Model
//
// One request stands for the whole cluster. It is made by the events that can
// leave such pods behind (a node goes, a pod ends or is deleted), gathered for a
// while, and leads to one pass: list from the cache, plan, remove.
package podgc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/skiff-project/skiff/controllers/podcontrol"
)

const (
	// gather is how long events are collected before a pass, as often as kube
	// looks for such pods.
	gather = 20 * time.Second
	// soon is for pods that somebody waits for.
	soon = time.Second
)

var everything = reconcile.Request{NamespacedName: types.NamespacedName{Name: "pods"}}

// Deps are the things that a Reconciler works with; all are needed.
type Deps struct {
	Client    client.Client
	Live      client.Reader
	Clock     clock.PassiveClock
	Threshold int // terminated pods to keep; negative: all
}

// Reconciler removes pods.
type Reconciler struct {
	Deps
	mu      sync.Mutex
	missing map[string]time.Time
}

// New returns the controller.
func New(deps Deps) *Reconciler {
	return &Reconciler{Deps: deps, missing: make(map[string]time.Time)}
}

// Name returns the controller's name.
func (r *Reconciler) Name() string { return "pod-garbage-collector" }

// Register adds the controller to the manager.
func (r *Reconciler) Register(mgr ctrl.Manager) error {
	look := func(ctx context.Context, obj client.Object, q podcontrol.Queue) {
		pod, ok := obj.(*corev1.Pod)
		switch {
		case !ok:
		case pod.Spec.NodeName != "" && r.nodeMissing(ctx, pod.Spec.NodeName):
			q.AddAfter(everything, soon)
		case pod.Spec.NodeName == "" && pod.DeletionTimestamp != nil:
			q.AddAfter(everything, soon)
		case podcontrol.Terminal(pod) || pod.DeletionTimestamp != nil:
			q.AddAfter(everything, gather)
		}
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named(r.Name()).
		Watches(&corev1.Pod{}, handler.Funcs{
			CreateFunc: func(ctx context.Context, e event.CreateEvent, q podcontrol.Queue) { look(ctx, e.Object, q) },
			UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q podcontrol.Queue) { look(ctx, e.ObjectNew, q) },
		}).
		Watches(&corev1.Node{}, handler.Funcs{
			DeleteFunc: func(_ context.Context, _ event.DeleteEvent, q podcontrol.Queue) { q.AddAfter(everything, soon) },
			UpdateFunc: func(_ context.Context, e event.UpdateEvent, q podcontrol.Queue) {
				if node, ok := e.ObjectNew.(*corev1.Node); ok && outOfService(node) {
					q.AddAfter(everything, soon)
				}
			},
		}).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1}).
		Complete(r)
}

func (r *Reconciler) nodeMissing(ctx context.Context, name string) bool {
	var node corev1.Node
	return apierrors.IsNotFound(r.Client.Get(ctx, client.ObjectKey{Name: name}, &node))
}

// Reconcile makes one pass over all pods.
func (r *Reconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	pods, err := podcontrol.List(ctx, r.Client)
	if err != nil {
		return ctrl.Result{}, err
	}
	var list corev1.NodeList
	if err := r.Client.List(ctx, &list); err != nil {
		return ctrl.Result{}, fmt.Errorf("listing nodes: %w", err)
	}
	nodes := make(map[string]*corev1.Node, len(list.Items))
	for i := range list.Items {
		nodes[list.Items[i].Name] = &list.Items[i]
	}
	now := r.Clock.Now()
	removals, next := plan(cluster{pods: pods, nodes: nodes, missing: r.note(pods, nodes, now)}, r.Threshold, now)
	var errs []error
	for _, rm := range removals {
		errs = append(errs, r.remove(ctx, rm))
	}
	if err := errors.Join(errs...); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: next}, nil
}

// note keeps the record of nodes that pods name and nobody knows.
func (r *Reconciler) note(pods []*corev1.Pod, nodes map[string]*corev1.Node, now time.Time) map[string]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	current := make(map[string]time.Time)
	for _, pod := range pods {
		name := pod.Spec.NodeName
		if name == "" || nodes[name] != nil {
			continue
		}
		since, known := r.missing[name]
		if !known {
			since = now
		}
		current[name] = since
	}
	r.missing = current
	return current
}

func (r *Reconciler) remove(ctx context.Context, rm removal) error {
	if rm.node != "" {
		var node corev1.Node
		err := r.Live.Get(ctx, client.ObjectKey{Name: rm.node}, &node)
		if !apierrors.IsNotFound(err) {
			return err // it is there after all (nil), or nobody knows
		}
	}
	if err := r.markFailed(ctx, rm); podcontrol.IgnoreStale(err) != nil {
		return fmt.Errorf("marking pod %s/%s failed: %w", rm.pod.Namespace, rm.pod.Name, err)
	}
	err := r.Client.Delete(ctx, rm.pod, &client.DeleteOptions{
		GracePeriodSeconds: ptr.To[int64](0), Preconditions: &metav1.Preconditions{UID: &rm.pod.UID},
	})
	if podcontrol.IgnoreStale(err) != nil {
		return fmt.Errorf("removing pod %s/%s: %w", rm.pod.Namespace, rm.pod.Name, err)
	}
	return nil
}

// markFailed ends a pod in its status before it goes, so that its controller
// counts it as failed and knows why.
func (r *Reconciler) markFailed(ctx context.Context, rm removal) error {
	if podcontrol.Terminal(rm.pod) {
		return nil
	}
	updated := rm.pod.DeepCopy()
	updated.Status.Phase = corev1.PodFailed
	if rm.reason != "" {
		podcontrol.SetCondition(updated, corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, ObservedGeneration: rm.pod.Generation,
			Reason: rm.reason, Message: rm.message, LastTransitionTime: metav1.NewTime(r.Clock.Now()),
		})
	}
	return r.Client.Status().Patch(ctx, updated, client.StrategicMergeFrom(rm.pod))
}
