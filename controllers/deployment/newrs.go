package deployment

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/skiff-project/skiff/controllers/podcontrol"
)

// syncCurrent makes sure that the ReplicaSet of the current template exists and
// carries the right revision, and that the Deployment says which one it is at.
func (ro *rollout) syncCurrent(ctx context.Context) error {
	revision := maxRevision(ro.old) + 1
	if ro.current == nil {
		return ro.createCurrent(ctx, revision)
	}
	updated := ro.current.DeepCopy()
	updated.Annotations = annotate(ro.d, updated.Annotations, revision)
	updated.Spec.MinReadySeconds = ro.d.Spec.MinReadySeconds
	if !equality.Semantic.DeepEqual(ro.current, updated) {
		if err := ro.Client.Update(ctx, updated); err != nil {
			return fmt.Errorf("updating replica set %s: %w", updated.Name, err)
		}
		ro.current = updated
	}
	if err := ro.setRevision(ctx, updated.Annotations[RevisionAnnotation]); err != nil {
		return err
	}
	if !hasDeadline(ro.d) || condition(&ro.d.Status, appsv1.DeploymentProgressing) != nil {
		return nil
	}
	return ro.note(ctx, corev1.ConditionTrue, reasonSetFound, fmt.Sprintf("Found new replica set %q", updated.Name))
}

// note writes condition Progressing at once: the steps that follow may take long
// or fail.
func (ro *rollout) note(ctx context.Context, value corev1.ConditionStatus, reason, message string) error {
	status := *ro.d.Status.DeepCopy()
	setCondition(&status, newCondition(appsv1.DeploymentProgressing, value, reason, message, ro.Clock.Now()))
	return ro.writeStatus(ctx, status)
}

// NewReplicaSet returns the ReplicaSet of the Deployment's current template, not
// yet sized.
func NewReplicaSet(d *appsv1.Deployment, revision int64) (*appsv1.ReplicaSet, error) {
	hash, err := TemplateHash(&d.Spec.Template, d.Status.CollisionCount)
	if err != nil {
		return nil, err
	}
	template := d.Spec.Template.DeepCopy()
	template.Labels = withHash(template.Labels, hash)
	selector := d.Spec.Selector.DeepCopy()
	selector.MatchLabels = withHash(selector.MatchLabels, hash)
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name:            d.Name + "-" + hash,
			Namespace:       d.Namespace,
			Labels:          template.Labels,
			Annotations:     annotate(d, nil, revision),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, deploymentKind)},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas:        ptr.To[int32](0),
			MinReadySeconds: d.Spec.MinReadySeconds,
			Selector:        selector,
			Template:        *template,
		},
	}, nil
}

func withHash(labels map[string]string, hash string) map[string]string {
	out := maps.Clone(labels)
	if out == nil {
		out = make(map[string]string)
	}
	out[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	return out
}

func (ro *rollout) createCurrent(ctx context.Context, revision int64) error {
	d := ro.d
	rs, err := NewReplicaSet(d, revision)
	if err != nil {
		return err
	}
	size := NewSize(d, ro.old, nil)
	rs.Spec.Replicas = &size
	surge, _ := Fenceposts(d)
	rs.Annotations, _ = annotateSize(rs.Annotations, desired(d), desired(d)+surge)

	created := rs.DeepCopy()
	err = ro.Client.Create(ctx, created)
	switch {
	case apierrors.IsAlreadyExists(err):
		return ro.taken(ctx, rs)
	case podcontrol.NamespaceTerminating(err):
		return errStale // the namespace takes the deployment with it
	case err != nil:
		message := fmt.Sprintf("Failed to create new replica set %q: %v", rs.Name, err)
		ro.Events.Event(d, corev1.EventTypeWarning, reasonSetCreateError, message)
		if hasDeadline(d) {
			// The create error matters more than one of telling about it.
			_ = ro.note(ctx, corev1.ConditionFalse, reasonSetCreateError, message)
		}
		return fmt.Errorf("creating replica set %s: %w", rs.Name, err)
	}
	ro.current = created
	if size > 0 {
		ro.Events.Eventf(d, corev1.EventTypeNormal, "ScalingReplicaSet", "Scaled up replica set %s from 0 to %d", created.Name, size)
	}
	if err := ro.setRevision(ctx, created.Annotations[RevisionAnnotation]); err != nil {
		return err
	}
	if !hasDeadline(d) {
		return nil
	}
	return ro.note(ctx, corev1.ConditionTrue, reasonSetCreated, fmt.Sprintf("Created new replica set %q", created.Name))
}

// taken handles a ReplicaSet name that exists already: either it is ours and the
// cache does not show it yet, or the hash collides and must be made anew.
func (ro *rollout) taken(ctx context.Context, rs *appsv1.ReplicaSet) error {
	var other appsv1.ReplicaSet
	if err := ro.Live.Get(ctx, client.ObjectKeyFromObject(rs), &other); err != nil {
		return fmt.Errorf("reading replica set %s: %w", rs.Name, err)
	}
	if metav1.IsControlledBy(&other, ro.d) && SameTemplate(&other.Spec.Template, &ro.d.Spec.Template) {
		return errStale
	}
	status := *ro.d.Status.DeepCopy()
	status.CollisionCount = ptr.To(ptr.Deref(status.CollisionCount, 0) + 1)
	if err := ro.writeStatus(ctx, status); err != nil {
		return err
	}
	return errStale // the new status brings us back with another hash
}

// setRevision writes the revision annotation of the Deployment. Annotations and
// status are separate writes.
func (ro *rollout) setRevision(ctx context.Context, revision string) error {
	if ro.d.Annotations[RevisionAnnotation] == revision {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"resourceVersion": ro.d.ResourceVersion,
		"annotations":     map[string]string{RevisionAnnotation: revision},
	}})
	if err != nil {
		return fmt.Errorf("encoding revision %s: %w", strconv.Quote(revision), err)
	}
	if err := ro.Client.Patch(ctx, ro.d, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("setting revision: %w", err)
	}
	return nil
}
