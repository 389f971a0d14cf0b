// Package tainteviction deletes pods from nodes whose NoExecute taints they do
// not tolerate, or tolerate no longer (tolerationSeconds).
//
// # Model
//
// Each pod on a tainted node has one deadline, computed from the taints' own
// times, so that a restart of the controller does not start the clock anew. A
// pod is looked at when its node's taints change, when it comes to a tainted
// node, and at its deadline.
package tainteviction

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/skiff-project/skiff/controllers/podcontrol"
)

// Deps are the things that a Reconciler works with; all are needed.
type Deps struct {
	Client  client.Client // reads the cache, which has the index podcontrol.ByNode
	Events  record.EventRecorder
	Clock   clock.PassiveClock
	Workers int
}

// Reconciler evicts pods; requests name pods.
type Reconciler struct {
	Deps
	mu        sync.Mutex
	scheduled map[types.NamespacedName]time.Time // pods with a deadline, since when
}

// New returns the controller.
func New(deps Deps) *Reconciler {
	return &Reconciler{Deps: deps, scheduled: make(map[types.NamespacedName]time.Time)}
}

// Name returns the controller's name.
func (r *Reconciler) Name() string { return "taint-eviction-controller" }

// Register adds the controller to the manager.
func (r *Reconciler) Register(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named(r.Name()).
		Watches(&corev1.Pod{}, handler.Funcs{
			CreateFunc: func(_ context.Context, e event.CreateEvent, q podcontrol.Queue) { enqueue(e.Object, q) },
			UpdateFunc: func(_ context.Context, e event.UpdateEvent, q podcontrol.Queue) {
				before, okBefore := e.ObjectOld.(*corev1.Pod)
				after, okAfter := e.ObjectNew.(*corev1.Pod)
				if okBefore && okAfter && (before.UID != after.UID || before.Spec.NodeName != after.Spec.NodeName ||
					!equality.Semantic.DeepEqual(before.Spec.Tolerations, after.Spec.Tolerations)) {
					enqueue(after, q)
				}
			},
			DeleteFunc: func(_ context.Context, e event.DeleteEvent, _ podcontrol.Queue) {
				r.forget(client.ObjectKeyFromObject(e.Object))
			},
		}).
		Watches(&corev1.Node{}, handler.Funcs{
			CreateFunc: func(ctx context.Context, e event.CreateEvent, q podcontrol.Queue) {
				if node, ok := e.Object.(*corev1.Node); ok && len(evicting(node)) > 0 {
					r.enqueueAll(ctx, node, q)
				}
			},
			UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q podcontrol.Queue) {
				before, okBefore := e.ObjectOld.(*corev1.Node)
				after, okAfter := e.ObjectNew.(*corev1.Node)
				if okBefore && okAfter && !equality.Semantic.DeepEqual(evicting(before), evicting(after)) {
					r.enqueueAll(ctx, after, q)
				}
			},
		}).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Workers}).
		Complete(r)
}

func enqueue(obj client.Object, q podcontrol.Queue) {
	if pod, ok := obj.(*corev1.Pod); ok && pod.Spec.NodeName != "" {
		q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)})
	}
}

func (r *Reconciler) enqueueAll(ctx context.Context, node *corev1.Node, q podcontrol.Queue) {
	pods, err := podcontrol.List(ctx, r.Client, client.MatchingFields{podcontrol.ByNode: node.Name})
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Looking for the pods of a tainted node", "node", node.Name)
		return
	}
	for _, pod := range pods {
		enqueue(pod, q)
	}
}

// Reconcile evicts one pod if its time has come, or says when it will.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var pod corev1.Pod
	if err := r.Client.Get(ctx, req.NamespacedName, &pod); err != nil {
		r.forget(req.NamespacedName)
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if pod.Spec.NodeName == "" || pod.DeletionTimestamp != nil {
		r.forget(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	var node corev1.Node
	if err := r.Client.Get(ctx, client.ObjectKey{Name: pod.Spec.NodeName}, &node); err != nil {
		r.forget(req.NamespacedName)
		return ctrl.Result{}, client.IgnoreNotFound(err) // the pod garbage collector's business
	}
	now := r.Clock.Now()
	at, due := Deadline(ctrl.LoggerFrom(ctx), node.Spec.Taints, pod.Spec.Tolerations, r.since(req.NamespacedName, now))
	switch {
	case !due:
		if r.forget(req.NamespacedName) {
			r.Events.Eventf(&pod, corev1.EventTypeNormal, "TaintManagerEviction", "Cancelling deletion of Pod %s", req.NamespacedName)
		}
		return ctrl.Result{}, nil
	case at.After(now):
		r.schedule(req.NamespacedName, now)
		return ctrl.Result{RequeueAfter: at.Sub(now)}, nil
	default:
		return ctrl.Result{}, r.evict(ctx, &pod)
	}
}

func (r *Reconciler) evict(ctx context.Context, pod *corev1.Pod) error {
	name := client.ObjectKeyFromObject(pod)
	r.Events.Eventf(pod, corev1.EventTypeNormal, "TaintManagerEviction", "Marking for deletion Pod %s", name)
	updated := pod.DeepCopy()
	changed := podcontrol.SetCondition(updated, corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, ObservedGeneration: pod.Generation,
		Reason: "DeletionByTaintManager", Message: "Taint manager: deleting due to NoExecute taint",
		LastTransitionTime: metav1.NewTime(r.Clock.Now()),
	})
	if changed {
		if err := r.Client.Status().Patch(ctx, updated, client.StrategicMergeFrom(pod)); podcontrol.IgnoreStale(err) != nil {
			return fmt.Errorf("marking pod as target of disruption: %w", err)
		}
	}
	if err := r.Client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID}); podcontrol.IgnoreStale(err) != nil {
		return fmt.Errorf("deleting pod: %w", err)
	}
	r.forget(name)
	return nil
}

func (r *Reconciler) since(name types.NamespacedName, now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t, ok := r.scheduled[name]; ok {
		return t
	}
	return now
}

func (r *Reconciler) schedule(name types.NamespacedName, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.scheduled[name]; !ok {
		r.scheduled[name] = now
	}
}

// forget drops a pod's deadline, and reports whether it had one.
func (r *Reconciler) forget(name types.NamespacedName) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, had := r.scheduled[name]
	delete(r.scheduled, name)
	return had
}
