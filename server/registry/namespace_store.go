package registry

import (
	"context"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// The rest of NamespaceStore is the generic store's. It cannot be embedded, or
// namespaces could be deleted as a collection.

// NewNamespaceStore returns the storage of namespaces on their generic store.
func NewNamespaceStore(store *Store) *NamespaceStore { return &NamespaceStore{store} }

// New implements rest.Storage.
func (s *NamespaceStore) New() runtime.Object { return s.store.New() }

// Destroy implements rest.Storage.
func (s *NamespaceStore) Destroy() { s.store.Destroy() }

// NewList implements rest.Lister.
func (s *NamespaceStore) NewList() runtime.Object { return s.store.NewList() }

// NamespaceScoped implements rest.Scoper.
func (s *NamespaceStore) NamespaceScoped() bool { return s.store.NamespaceScoped() }

// ReadinessCheck implements rest.StorageWithReadiness.
func (s *NamespaceStore) ReadinessCheck() error { return s.store.ReadinessCheck() }

// GetSingularName implements rest.SingularNameProvider.
func (s *NamespaceStore) GetSingularName() string { return s.store.GetSingularName() }

// ShortNames implements rest.ShortNamesProvider.
func (s *NamespaceStore) ShortNames() []string { return s.store.ShortNames() }

// Categories implements rest.CategoriesProvider.
func (s *NamespaceStore) Categories() []string { return s.store.Categories() }

// DeleteReturnsDeletedObject implements rest.MayReturnFullObjectDeleter.
func (s *NamespaceStore) DeleteReturnsDeletedObject() bool {
	return s.store.DeleteReturnsDeletedObject()
}

// StorageVersion implements rest.StorageVersionProvider.
func (s *NamespaceStore) StorageVersion() runtime.GroupVersioner { return s.store.StorageVersion() }

// GetResetFields implements rest.ResetFieldsStrategy.
func (s *NamespaceStore) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.store.GetResetFields()
}

// Get implements rest.Getter.
func (s *NamespaceStore) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return s.store.Get(ctx, name, options)
}

// List implements rest.Lister.
func (s *NamespaceStore) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	return s.store.List(ctx, options)
}

// Watch implements rest.Watcher.
func (s *NamespaceStore) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	return s.store.Watch(ctx, options)
}

// ConvertToTable implements rest.TableConvertor.
func (s *NamespaceStore) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return s.store.ConvertToTable(ctx, obj, options)
}

// Create implements rest.Creater.
func (s *NamespaceStore) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	return s.store.Create(ctx, obj, validate, options)
}

// Update implements rest.Updater.
func (s *NamespaceStore) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc,
	updateValidation rest.ValidateObjectUpdateFunc, forceCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return s.store.Update(ctx, name, info, createValidation, updateValidation, forceCreate, options)
}
