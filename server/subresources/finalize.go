package subresources

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/skiff-project/skiff/apis/core"
	"github.com/skiff-project/skiff/server/registry"
)

// finalizeStorage serves namespaces/finalize: the only way to change
// spec.finalizers. Emptying them lets the store remove a namespace under
// deletion.
type finalizeStorage struct{ part *registry.PartStore }

var (
	_ rest.Updater             = &finalizeStorage{}
	_ rest.ResetFieldsStrategy = &finalizeStorage{}
)

func newFinalize(_ Config, store *registry.Store) rest.Storage {
	return &finalizeStorage{store.Part(finalizeStrategy{store.MainStrategy()})}
}

func (s *finalizeStorage) New() runtime.Object { return s.part.New() }
func (s *finalizeStorage) Destroy()            {}

func (s *finalizeStorage) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc,
	updateValidation rest.ValidateObjectUpdateFunc, forceCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return s.part.Update(ctx, name, info, createValidation, updateValidation, forceCreate, options)
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (s *finalizeStorage) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.part.GetResetFields()
}

// finalizeStrategy takes spec.finalizers and keeps everything else.
type finalizeStrategy struct{ rest.UpdateResetFieldsStrategy }

func (finalizeStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	ns, isNamespace := obj.(*corev1.Namespace)
	was, wasNamespace := old.(*corev1.Namespace)
	if !isNamespace || !wasNamespace {
		return
	}
	ns.Status = *was.Status.DeepCopy()
}

func (finalizeStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	ns, isNamespace := obj.(*corev1.Namespace)
	was, wasNamespace := old.(*corev1.Namespace)
	if !isNamespace || !wasNamespace {
		return nil
	}
	return core.ValidateNamespaceFinalizeUpdate(ctx, ns, was)
}

func (finalizeStrategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (finalizeStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{"v1": fieldpath.NewSet(fieldpath.MakePathOrDie("status"))}
}
