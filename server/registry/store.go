package registry

import (
	"context"
	"fmt"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/warning"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/skiff-project/skiff/apis/resource"
)

// Store is the storage of one row: the generic store with the row's names.
type Store struct {
	*genericregistry.Store
	row resource.Resource
}

var (
	_ rest.StandardStorage      = &Store{}
	_ rest.ShortNamesProvider   = &Store{}
	_ rest.CategoriesProvider   = &Store{}
	_ rest.SingularNameProvider = &Store{}
)

// ShortNames implements rest.ShortNamesProvider.
func (s *Store) ShortNames() []string { return s.row.ShortNames }

// Categories implements rest.CategoriesProvider.
func (s *Store) Categories() []string { return s.row.Categories }

// Row returns the row that the store was built from.
func (s *Store) Row() resource.Resource { return s.row }

// Delete implements rest.GracefulDeleter.
func (s *Store) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	s.warnOfDeletion(ctx, options)
	return s.Store.Delete(ctx, name, validate, options)
}

// DeleteCollection implements rest.CollectionDeleter.
func (s *Store) DeleteCollection(ctx context.Context, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions,
	list *metainternalversion.ListOptions) (runtime.Object, error) {
	s.warnOfDeletion(ctx, options)
	return s.Store.DeleteCollection(ctx, validate, options, list)
}

// warnOfDeletion does what strategies have no hook for.
func (s *Store) warnOfDeletion(ctx context.Context, options *metav1.DeleteOptions) {
	if s.row.WarningsOnDelete == nil {
		return
	}
	for _, text := range s.row.WarningsOnDelete(ctx, options) {
		warning.AddWarning(ctx, "", text)
	}
}

// Stores has the store of every stored row.
type Stores map[schema.GroupResource]*Store

// NewStore builds the store of a row on the storage that getter gives it.
func NewStore(row resource.Resource, getter generic.RESTOptionsGetter) (*Store, error) {
	if err := checkRow(row); err != nil {
		return nil, err
	}
	main := newStrategy(row)
	options, indexed := storeOptions(row, getter)
	store := &genericregistry.Store{
		NewFunc:                   row.New,
		NewListFunc:               row.NewList,
		DefaultQualifiedResource:  row.GroupResource(),
		SingularQualifiedResource: schema.GroupResource{Group: row.Kind.Group, Resource: row.Singular},
		PredicateFunc:             predicate(options.AttrFunc, indexed),
		CreateStrategy:            main,
		UpdateStrategy:            main,
		DeleteStrategy:            main,
		ResetFieldsStrategy:       main,
		ReturnDeletedObject:       returnsDeleted(row),
		TableConvertor:            newTableConvertor(row),
	}
	if row.GracePeriod != nil {
		store.DeleteStrategy = gracefulStrategy{main}
	}
	if row.TTL != nil {
		store.TTLFunc = func(obj runtime.Object, existing uint64, update bool) (uint64, error) {
			return row.TTL(obj), nil
		}
	}
	if row.DeleteOnUpdate != nil {
		store.ShouldDeleteDuringUpdate = func(ctx context.Context, _ string, obj, old runtime.Object) bool {
			return row.DeleteOnUpdate(ctx, obj, old)
		}
	}
	if err := store.CompleteWithOptions(options); err != nil {
		return nil, fmt.Errorf("building the store of %s: %w", row.GroupResource(), err)
	}
	return &Store{Store: store, row: row}, nil
}

// returnsDeleted says for which kinds DELETE answers with the object instead of
// a Status: those whose deletion takes a while, and the ones that Kubernetes
// answers so for.
func returnsDeleted(row resource.Resource) bool {
	switch row.GroupResource() {
	case schema.GroupResource{Resource: "pods"},
		schema.GroupResource{Resource: "services"},
		schema.GroupResource{Resource: "serviceaccounts"},
		schema.GroupResource{Resource: "resourcequotas"},
		schema.GroupResource{Resource: "podtemplates"},
		schema.GroupResource{Resource: "persistentvolumes"},
		schema.GroupResource{Resource: "persistentvolumeclaims"}:
		return true
	}
	return row.GracePeriod != nil
}

func predicate(attrs storage.AttrFunc, indexed []string) func(labels.Selector, fields.Selector) storage.SelectionPredicate {
	return func(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
		return storage.SelectionPredicate{Label: label, Field: field, GetAttrs: attrs, IndexFields: indexed}
	}
}

// PartStore is the storage of a subresource that gets and updates the objects of
// a store by rules of its own, such as /status.
type PartStore struct{ store *genericregistry.Store }

var (
	_ rest.Patcher             = &PartStore{}
	_ rest.ResetFieldsStrategy = &PartStore{}
	_ rest.TableConvertor      = &PartStore{}
)

// Status returns the storage of the row's /status, nil if it has none.
func (s *Store) Status() *PartStore {
	main := newStrategy(s.row)
	if !main.hasStatus() {
		return nil
	}
	return s.Part(statusStrategy{main})
}

// MainStrategy returns the rules of updates of the main resource.
func (s *Store) MainStrategy() rest.UpdateResetFieldsStrategy { return newStrategy(s.row) }

// StatusStrategy returns the rules of updates of /status.
func (s *Store) StatusStrategy() rest.UpdateResetFieldsStrategy {
	return statusStrategy{newStrategy(s.row)}
}

// Part returns the storage of a subresource that updates by the given rules.
func (s *Store) Part(update rest.UpdateResetFieldsStrategy) *PartStore {
	store := *s.Store
	store.CreateStrategy = nil
	store.DeleteStrategy = nil
	store.UpdateStrategy = update
	store.ResetFieldsStrategy = update
	store.BeginUpdate, store.AfterUpdate = nil, nil
	return &PartStore{&store}
}

// New implements rest.Storage.
func (p *PartStore) New() runtime.Object { return p.store.New() }

// Destroy does nothing: the etcd store belongs to the main storage.
func (p *PartStore) Destroy() {}

// Get implements rest.Getter.
func (p *PartStore) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return p.store.Get(ctx, name, options)
}

// Update implements rest.Updater. A part never creates its object.
func (p *PartStore) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc,
	updateValidation rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return p.store.Update(ctx, name, info, createValidation, updateValidation, false, options)
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (p *PartStore) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return p.store.GetResetFields()
}

// ConvertToTable implements rest.TableConvertor.
func (p *PartStore) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return p.store.ConvertToTable(ctx, obj, options)
}
