package subresources

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/client-go/util/retry"

	podhelper "github.com/skiff-project/skiff/apis/helpers/pod"
	"github.com/skiff-project/skiff/server/registry"
)

// evictionStorage serves pods/eviction: a deletion that minds disruption budgets.
type evictionStorage struct {
	store  *registry.Store
	status *registry.PartStore // nil where pods have no status
	budget DisruptionBudget
}

var (
	_ rest.NamedCreater             = &evictionStorage{}
	_ rest.GroupVersionKindProvider = &evictionStorage{}
)

func newEviction(cfg Config, store *registry.Store) rest.Storage {
	return &evictionStorage{store: store, status: store.Part(store.StatusStrategy()), budget: cfg.Budget}
}

func (e *evictionStorage) New() runtime.Object { return &policyv1.Eviction{} }
func (e *evictionStorage) Destroy()            {}

// GroupVersionKind implements rest.GroupVersionKindProvider.
func (e *evictionStorage) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return policyv1.SchemeGroupVersion.WithKind("Eviction")
}

// Create implements rest.NamedCreater.
func (e *evictionStorage) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	eviction, ok := obj.(*policyv1.Eviction)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Eviction object: %T", obj))
	}
	if name != eviction.Name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Eviction object")
	}
	deletion, err := deletionOf(eviction, options)
	if err != nil {
		return nil, err
	}
	current, err := e.store.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	if validate != nil {
		if err := validate(ctx, eviction.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	pod, ok := current.(*corev1.Pod)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("unexpected %T", current))
	}
	dryRun := dryrun.IsDryRun(deletion.DryRun)
	if e.budget != nil && !outsideBudgets(pod) {
		if err := e.budget.Allow(ctx, pod, dryRun); err != nil {
			return nil, err
		}
	}
	if err := e.evict(ctx, pod, deletion, dryRun); err != nil {
		return nil, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess}, nil
}

// deletionOf returns the delete options of an eviction. A dry run may be asked
// for in either place, but not differently in both.
func deletionOf(eviction *policyv1.Eviction, options *metav1.CreateOptions) (*metav1.DeleteOptions, error) {
	deletion := &metav1.DeleteOptions{}
	if eviction.DeleteOptions != nil {
		deletion = eviction.DeleteOptions.DeepCopy()
	}
	if deletion.DryRun == nil && options != nil {
		deletion.DryRun = options.DryRun
	}
	for _, value := range deletion.DryRun {
		if value != metav1.DryRunAll {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid dryRun value %q", value))
		}
	}
	return deletion, nil
}

// outsideBudgets reports that no budget counts the pod: it does not run, or is
// on its way out already.
func outsideBudgets(pod *corev1.Pod) bool {
	return podhelper.IsTerminal(pod) || pod.Status.Phase == corev1.PodPending || podhelper.IsTerminating(pod)
}

// evict notes on the pod why it goes (KEP-3329) and deletes it. The note changes
// the resourceVersion, so a precondition on that is checked with the note and
// carried over to the deletion.
func (e *evictionStorage) evict(ctx context.Context, pod *corev1.Pod, deletion *metav1.DeleteOptions, dryRun bool) error {
	attempt := func() error {
		options := deletion.DeepCopy()
		if !dryRun {
			marked, err := e.markDisrupted(ctx, pod, options.Preconditions)
			if err != nil {
				return err
			}
			if p := options.Preconditions; p != nil && p.ResourceVersion != nil {
				p.ResourceVersion = &marked.ResourceVersion
			}
		}
		_, _, err := e.store.Delete(ctx, pod.Name, rest.ValidateAllObjectFunc, options)
		return err
	}
	if p := deletion.Preconditions; p != nil && p.ResourceVersion != nil {
		return attempt()
	}
	return retry.RetryOnConflict(retry.DefaultRetry, attempt)
}

func (e *evictionStorage) markDisrupted(ctx context.Context, pod *corev1.Pod, preconditions *metav1.Preconditions) (*corev1.Pod, error) {
	mark := func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		current, ok := old.DeepCopyObject().(*corev1.Pod)
		if !ok {
			return nil, fmt.Errorf("unexpected %T", old)
		}
		if current.UID != pod.UID {
			return nil, apierrors.NewNotFound(e.store.Row().GroupResource(), pod.Name)
		}
		if err := e.check(current, preconditions); err != nil {
			return nil, err
		}
		podhelper.SetCondition(&current.Status, corev1.PodCondition{
			Type:    corev1.DisruptionTarget,
			Status:  corev1.ConditionTrue,
			Reason:  "EvictionByEvictionAPI",
			Message: "Eviction API: evicting",
		}, metav1.Now())
		return current, nil
	}
	obj, _, err := e.status.Update(ctx, pod.Name, rest.DefaultUpdatedObjectInfo(nil, mark),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil {
		return nil, err
	}
	marked, ok := obj.(*corev1.Pod)
	if !ok {
		return nil, fmt.Errorf("unexpected %T", obj)
	}
	return marked, nil
}

func (e *evictionStorage) check(pod *corev1.Pod, preconditions *metav1.Preconditions) error {
	if preconditions == nil {
		return nil
	}
	conflict := func(what, want, have string) error {
		return apierrors.NewConflict(e.store.Row().GroupResource(), pod.Name,
			fmt.Errorf("the %s in the precondition (%s) does not match the %s in record (%s). The object might have been modified", what, want, what, have))
	}
	if uid := preconditions.UID; uid != nil && *uid != pod.UID {
		return conflict("UID", string(*uid), string(pod.UID))
	}
	if version := preconditions.ResourceVersion; version != nil && *version != pod.ResourceVersion {
		return conflict("ResourceVersion", *version, pod.ResourceVersion)
	}
	return nil
}
