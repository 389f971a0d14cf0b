package replicaset

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/skiff-project/skiff/controllers/podcontrol"
)

// burst is the most pods that one pass creates or deletes for one set.
const burst = 500

// Reconcile brings one set a step nearer to its spec.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	obj := r.kind.New()
	if err := r.Client.Get(ctx, req.NamespacedName, obj); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	set, err := r.kind.View(obj)
	if err != nil {
		return ctrl.Result{}, err
	}
	settled := r.pending.Settled(obj.GetUID())
	pods, err := podcontrol.ListOwnedOrOrphan(ctx, r.Client, obj.GetNamespace(), obj.GetUID())
	if err != nil {
		return ctrl.Result{}, err
	}
	active, err := podcontrol.Claim(ctx, podcontrol.Claimer{
		Client: r.Client, Live: r.Live, Controller: obj, Kind: r.kind.GVK, Selector: set.Selector,
	}, podcontrol.Filter(pods, podcontrol.Active))
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("claiming pods: %w", err)
	}
	terminating := podcontrol.Filter(pods, func(pod *corev1.Pod) bool {
		return podcontrol.Terminating(pod) && metav1.IsControlledBy(pod, obj)
	})

	var scaleErr error
	if settled && obj.GetDeletionTimestamp() == nil {
		scaleErr = r.scale(ctx, obj, set, active)
	}
	now := r.Clock.Now()
	if err := r.writeStatus(ctx, obj, set, Status(set, obj.GetGeneration(), active, terminating, scaleErr, now)); err != nil {
		return ctrl.Result{}, errors.Join(scaleErr, err)
	}
	if scaleErr != nil {
		return ctrl.Result{}, scaleErr
	}
	return ctrl.Result{RequeueAfter: podcontrol.NextAvailable(active, set.MinReadySeconds, now)}, nil
}

// scale creates or deletes the pods that are missing or too many.
func (r *Reconciler) scale(ctx context.Context, obj client.Object, set Set, active []*corev1.Pod) error {
	diff := len(active) - int(set.Replicas)
	switch {
	case diff < 0:
		_, err := podcontrol.SlowStart(min(-diff, burst), func(int) error { return r.create(ctx, obj, set) })
		return err
	case diff > 0:
		related, err := r.related(ctx, obj)
		if err != nil {
			return err
		}
		return r.deleteAll(ctx, obj, podcontrol.Victims(active, related, min(diff, burst), r.Clock.Now()))
	}
	return nil
}

func (r *Reconciler) create(ctx context.Context, obj client.Object, set Set) error {
	pod := podcontrol.FromTemplate(set.Template, obj, r.kind.GVK)
	if err := r.Client.Create(ctx, pod); err != nil {
		if podcontrol.NamespaceTerminating(err) {
			return nil
		}
		r.Events.Eventf(obj, corev1.EventTypeWarning, "FailedCreate", "Error creating: %v", err)
		return err // the text becomes the message of condition ReplicaFailure
	}
	r.pending.Created(obj.GetUID(), pod)
	r.Events.Eventf(obj, corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: %s", pod.Name)
	return nil
}

// related returns the pods of all sets of the same application.
func (r *Reconciler) related(ctx context.Context, obj client.Object) ([]*corev1.Pod, error) {
	uids, err := r.kind.Siblings(ctx, r.Client, obj)
	if err != nil {
		return nil, err
	}
	var out []*corev1.Pod
	for _, uid := range uids {
		pods, err := podcontrol.List(ctx, r.Client, client.InNamespace(obj.GetNamespace()), client.MatchingFields{podcontrol.ByController: string(uid)})
		if err != nil {
			return nil, err
		}
		out = append(out, pods...)
	}
	return out, nil
}

// deleteAll deletes pods concurrently; unlike creations, deletions do not fail
// in bulk, so there is no slow start.
func (r *Reconciler) deleteAll(ctx context.Context, obj client.Object, pods []*corev1.Pod) error {
	errs := make(chan error, len(pods))
	for _, pod := range pods {
		go func() { errs <- r.delete(ctx, obj, pod) }()
	}
	var first error
	for range pods {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (r *Reconciler) delete(ctx context.Context, obj client.Object, pod *corev1.Pod) error {
	err := r.Client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID})
	if err != nil && !apierrors.IsNotFound(err) {
		r.Events.Eventf(obj, corev1.EventTypeWarning, "FailedDelete", "Error deleting: %v", err)
		return fmt.Errorf("unable to delete pods: %w", err)
	}
	r.pending.Deleted(obj.GetUID(), pod)
	if err == nil {
		r.Events.Eventf(obj, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted pod: %s", pod.Name)
	}
	return nil
}
