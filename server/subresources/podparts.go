package subresources

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/skiff-project/skiff/apis/core"
	"github.com/skiff-project/skiff/server/registry"
)

func newEphemeralContainers(_ Config, store *registry.Store) rest.Storage {
	return store.Part(podPartStrategy{
		UpdateResetFieldsStrategy: store.MainStrategy(),
		take:                      func(pod, from *corev1.Pod) { pod.Spec.EphemeralContainers = from.Spec.EphemeralContainers },
		validate:                  core.ValidatePodEphemeralContainersUpdate,
	})
}

func newResize(_ Config, store *registry.Store) rest.Storage {
	return store.Part(podPartStrategy{
		UpdateResetFieldsStrategy: store.MainStrategy(),
		take:                      takeResources,
		validate:                  validateResize,
	})
}

// podPartStrategy serves the subresources of pods that change one part of a
// running pod's spec, ephemeralcontainers and resize: it takes that part of the
// new pod and keeps all else of the old.
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
