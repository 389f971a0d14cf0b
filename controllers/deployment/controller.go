package deployment

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
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

var (
	deploymentKind = appsv1.SchemeGroupVersion.WithKind("Deployment")
	replicaSetKind = appsv1.SchemeGroupVersion.WithKind("ReplicaSet")
)

// Deps are the things that a Reconciler works with; all are needed.
type Deps struct {
	Client  client.Client // reads the cache, which indexes ReplicaSets and pods by podcontrol.ByController
	Live    client.Reader
	Events  record.EventRecorder
	Clock   clock.PassiveClock
	Workers int
}

// Reconciler rolls out Deployments.
type Reconciler struct{ Deps }

// New returns the controller.
func New(deps Deps) *Reconciler { return &Reconciler{deps} }

// Name returns the controller's name.
func (r *Reconciler) Name() string { return "deployment-controller" }

// Register adds the controller to the manager.
func (r *Reconciler) Register(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named(r.Name()).
		For(&appsv1.Deployment{}).
		Watches(&appsv1.ReplicaSet{}, podcontrol.OwnedEvents(deploymentKind.GroupKind(), r.matching)).
		// A Recreate rollout waits for the last old pod to be gone.
		Watches(&corev1.Pod{}, handler.Funcs{DeleteFunc: r.podDeleted}).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Workers}).
		Complete(r)
}

// matching returns the Deployments that may adopt a ReplicaSet.
func (r *Reconciler) matching(ctx context.Context, rs client.Object) []reconcile.Request {
	if len(rs.GetLabels()) == 0 {
		return nil
	}
	var list appsv1.DeploymentList
	if err := r.Client.List(ctx, &list, client.InNamespace(rs.GetNamespace())); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Looking for deployments that match a replica set", "replicaSet", rs.GetName())
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		selector, err := metav1.LabelSelectorAsSelector(list.Items[i].Spec.Selector)
		if err != nil || selector.Empty() || !selector.Matches(labels.Set(rs.GetLabels())) {
			continue
		}
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return out
}

func (r *Reconciler) podDeleted(ctx context.Context, e event.DeleteEvent, q podcontrol.Queue) {
	name, ok := podcontrol.OwnerName(e.Object, replicaSetKind.GroupKind())
	if !ok {
		return
	}
	var rs appsv1.ReplicaSet
	if err := r.Client.Get(ctx, name, &rs); err != nil {
		return // the set is gone too; its own event brings the deployment
	}
	owner, ok := podcontrol.OwnerName(&rs, deploymentKind.GroupKind())
	if !ok {
		return
	}
	var d appsv1.Deployment
	if err := r.Client.Get(ctx, owner, &d); err == nil && d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		q.Add(reconcile.Request{NamespacedName: owner})
	}
}

// sets returns the ReplicaSets of the Deployment, after settling who owns what.
func (r *Reconciler) sets(ctx context.Context, d *appsv1.Deployment, selector labels.Selector) ([]*appsv1.ReplicaSet, error) {
	var candidates []*appsv1.ReplicaSet
	for _, key := range []string{string(d.UID), podcontrol.Orphan} {
		var list appsv1.ReplicaSetList
		if err := r.Client.List(ctx, &list, client.InNamespace(d.Namespace), client.MatchingFields{podcontrol.ByController: key}); err != nil {
			return nil, fmt.Errorf("listing replica sets: %w", err)
		}
		for i := range list.Items {
			candidates = append(candidates, &list.Items[i])
		}
	}
	sets, err := podcontrol.Claim(ctx, podcontrol.Claimer{
		Client: r.Client, Live: r.Live, Controller: d, Kind: deploymentKind, Selector: selector,
	}, candidates)
	if err != nil {
		return nil, fmt.Errorf("claiming replica sets: %w", err)
	}
	return sets, nil
}

// podsRunning reports that a set other than the current one still has a pod that
// has not ended; terminating ones count.
func (r *Reconciler) podsRunning(ctx context.Context, namespace string, sets []*appsv1.ReplicaSet, except types.UID) (bool, error) {
	for _, rs := range sets {
		if rs.UID == except {
			continue
		}
		pods, err := podcontrol.List(ctx, r.Client, client.InNamespace(namespace), client.MatchingFields{podcontrol.ByController: string(rs.UID)})
		if err != nil {
			return false, err
		}
		for _, pod := range pods {
			if !podcontrol.Terminal(pod) {
				return true, nil
			}
		}
	}
	return false, nil
}
