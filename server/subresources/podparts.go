package subresources

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/skiff-project/skiff/apis/core"
	"github.com/skiff-project/skiff/server/registry"
)

// podPartStorage serves the subresources of pods that change one part of a
// running pod's spec: ephemeralcontainers and resize.
type podPartStorage struct{ store *genericregistry.Store }

var (
	_ rest.Patcher             = &podPartStorage{}
	_ rest.ResetFieldsStrategy = &podPartStorage{}
	_ rest.TableConvertor      = &podPartStorage{}
)

func newEphemeralContainers(_ Config, store *registry.Store) rest.Storage {
	return &podPartStorage{store.WithUpdateStrategy(podPartStrategy{
		UpdateResetFieldsStrategy: store.MainStrategy(),
		take:                      func(pod, from *corev1.Pod) { pod.Spec.EphemeralContainers = from.Spec.EphemeralContainers },
		validate:                  core.ValidatePodEphemeralContainersUpdate,
	})}
}

func newResize(_ Config, store *registry.Store) rest.Storage {
	return &podPartStorage{store.WithUpdateStrategy(podPartStrategy{
		UpdateResetFieldsStrategy: store.MainStrategy(),
		take:                      takeResources,
		validate:                  validateResize,
	})}
}

func (s *podPartStorage) New() runtime.Object { return s.store.New() }
func (s *podPartStorage) Destroy()            {}

func (s *podPartStorage) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return s.store.Get(ctx, name, options)
}

func (s *podPartStorage) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc,
	updateValidation rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return s.store.Update(ctx, name, info, createValidation, updateValidation, false, options)
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (s *podPartStorage) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.store.GetResetFields()
}

// ConvertToTable implements rest.TableConvertor.
func (s *podPartStorage) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return s.store.ConvertToTable(ctx, obj, options)
}

// podPartStrategy takes one part of the new pod and keeps all else of the old.
type podPartStrategy struct {
	rest.UpdateResetFieldsStrategy
	take     func(pod, from *corev1.Pod)
	validate func(ctx context.Context, pod, old *corev1.Pod) field.ErrorList
}

func (s podPartStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	pod, isPod := obj.(*corev1.Pod)
	was, wasPod := old.(*corev1.Pod)
	if !isPod || !wasPod {
		return
	}
	wanted := *pod
	*pod = *was.DeepCopy()
	s.take(pod, &wanted)
	// The managed fields are the API machinery's bookkeeping of this very update.
	pod.ManagedFields = wanted.ManagedFields
	pod.ResourceVersion = wanted.ResourceVersion
	if !equalSpecs(pod, was) {
		pod.Generation = was.Generation + 1
	}
}

func (s podPartStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	pod, isPod := obj.(*corev1.Pod)
	was, wasPod := old.(*corev1.Pod)
	if !isPod || !wasPod {
		return nil
	}
	return s.validate(ctx, pod, was)
}

func (s podPartStrategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}
