package deployment

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/skiff-project/skiff/controllers/podcontrol"
)

// errStale ends a pass that met a newer object than the cache showed; the event
// of that object starts the next one.
var errStale = errors.New("the cache is behind")

// rollout is one pass over one Deployment. d is a copy that the pass may change.
type rollout struct {
	*Reconciler
	d       *appsv1.Deployment
	current *appsv1.ReplicaSet
	old     []*appsv1.ReplicaSet
}

// Reconcile takes one Deployment a step further.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var d appsv1.Deployment
	if err := r.Client.Get(ctx, req.NamespacedName, &d); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	ro := &rollout{Reconciler: r, d: d.DeepCopy()}
	result, err := ro.run(ctx)
	if errors.Is(err, errStale) || podcontrol.IgnoreStale(err) == nil {
		return result, nil
	}
	return ctrl.Result{}, err
}

func (ro *rollout) run(ctx context.Context) (ctrl.Result, error) {
	d := ro.d
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("reading the selector: %w", err)
	}
	if selector.Empty() {
		ro.Events.Event(d, corev1.EventTypeWarning, "SelectingAll", "This deployment is selecting all pods. A non-empty selector is required.")
		status := *d.Status.DeepCopy()
		status.ObservedGeneration = d.Generation
		return ctrl.Result{}, ro.writeStatus(ctx, status)
	}
	sets, err := ro.sets(ctx, d, selector)
	if err != nil {
		return ctrl.Result{}, err
	}
	ro.current, ro.old = Split(d, sets)
	if d.DeletionTimestamp != nil {
		return ctrl.Result{}, ro.writeStatus(ctx, CountStatus(d, ro.current, ro.old, ro.Clock.Now()))
	}
	if status, changed := Paused(d, ro.Clock.Now()); changed {
		if err := ro.writeStatus(ctx, status); err != nil {
			return ctrl.Result{}, err
		}
	}
	switch {
	case d.Spec.Paused || Scaled(d, sets):
		return ctrl.Result{}, ro.resize(ctx)
	case d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		return ro.recreate(ctx)
	default:
		return ro.rolling(ctx)
	}
}

// resize follows a change of spec.replicas without touching the rollout.
func (ro *rollout) resize(ctx context.Context) error {
	if ro.current != nil {
		if err := ro.syncCurrent(ctx); err != nil {
			return err
		}
	}
	if err := ro.applySizes(ctx); err != nil {
		return err
	}
	if ro.d.Spec.Paused {
		if err := ro.cleanup(ctx); err != nil {
			return err
		}
	}
	return ro.writeStatus(ctx, CountStatus(ro.d, ro.current, ro.old, ro.Clock.Now()))
}

func (ro *rollout) applySizes(ctx context.Context) error {
	if rs := sole(ro.current, ro.old); rs != nil {
		return ro.scaleAll(ctx, []Resize{{rs, desired(ro.d)}})
	}
	if Saturated(ro.d, ro.current) {
		var resizes []Resize
		for _, rs := range active(ro.old) {
			resizes = append(resizes, Resize{rs, 0})
		}
		return ro.scaleAll(ctx, resizes)
	}
	if ro.d.Spec.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType {
		return nil
	}
	return ro.scaleAll(ctx, Proportional(ro.d, ro.current, ro.old))
}

// rolling takes one step of a RollingUpdate: up with the new, then down with the
// old. After each write the pass ends; what it did changes the next sums.
func (ro *rollout) rolling(ctx context.Context) (ctrl.Result, error) {
	if err := ro.syncCurrent(ctx); err != nil {
		return ctrl.Result{}, err
	}
	if to := NewSize(ro.d, with(ro.old, ro.current), ro.current); to != replicasOf(ro.current) {
		if err := ro.scaleAll(ctx, []Resize{{ro.current, to}}); err != nil {
			return ctrl.Result{}, err
		}
		return ro.finish(ctx)
	}
	if resizes := ShrinkOld(ro.d, ro.current, ro.old); len(resizes) > 0 {
		if err := ro.scaleAll(ctx, resizes); err != nil {
			return ctrl.Result{}, err
		}
		return ro.finish(ctx)
	}
	if Complete(ro.d, &ro.d.Status) {
		if err := ro.cleanup(ctx); err != nil {
			return ctrl.Result{}, err
		}
	}
	return ro.finish(ctx)
}

// recreate takes one step of a Recreate: all old pods must be gone before the
// first new one comes.
func (ro *rollout) recreate(ctx context.Context) (ctrl.Result, error) {
	var resizes []Resize
	for _, rs := range active(ro.old) {
		resizes = append(resizes, Resize{rs, 0})
	}
	if len(resizes) > 0 {
		if err := ro.scaleAll(ctx, resizes); err != nil {
			return ctrl.Result{}, err
		}
		return ro.finish(ctx)
	}
	running, err := ro.podsRunning(ctx, ro.d.Namespace, ro.old, "")
	if err != nil {
		return ctrl.Result{}, err
	}
	if running {
		return ro.finish(ctx)
	}
	if err := ro.syncCurrent(ctx); err != nil {
		return ctrl.Result{}, err
	}
	if err := ro.scaleAll(ctx, []Resize{{ro.current, desired(ro.d)}}); err != nil {
		return ctrl.Result{}, err
	}
	if Complete(ro.d, &ro.d.Status) {
		if err := ro.cleanup(ctx); err != nil {
			return ctrl.Result{}, err
		}
	}
	return ro.finish(ctx)
}

func (ro *rollout) finish(ctx context.Context) (ctrl.Result, error) {
	now := ro.Clock.Now()
	status := RolloutStatus(ro.d, ro.current, ro.old, now)
	if err := ro.writeStatus(ctx, status); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: CheckAgain(ro.d, &status, now)}, nil
}

// cleanup deletes the ReplicaSets beyond the history limit.
func (ro *rollout) cleanup(ctx context.Context) error {
	for _, rs := range Expired(ro.d, ro.old) {
		if err := ro.Client.Delete(ctx, rs, client.Preconditions{UID: &rs.UID}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("deleting old replica set %s: %w", rs.Name, err)
		}
	}
	return nil
}

// writeStatus writes the status if it differs and keeps ro.d up to date, so that
// a second write in the same pass does not conflict with the first.
func (ro *rollout) writeStatus(ctx context.Context, status appsv1.DeploymentStatus) error {
	if equality.Semantic.DeepEqual(ro.d.Status, status) {
		return nil
	}
	updated := ro.d.DeepCopy()
	updated.Status = status
	if err := ro.Client.Status().Update(ctx, updated); err != nil {
		return fmt.Errorf("updating status: %w", err)
	}
	ro.d = updated
	return nil
}
