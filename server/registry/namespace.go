package registry

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"
)

// NamespaceStore is the storage of namespaces. Deleting one only marks it, until
// the namespace controller has emptied it and removed its spec.finalizers.
// Namespaces are not deleted as a collection: the fields below are those of
// Store without CollectionDeleter.
type NamespaceStore struct{ store *Store }

var (
	_ rest.CreaterUpdater             = &NamespaceStore{}
	_ rest.Patcher                    = &NamespaceStore{}
	_ rest.Lister                     = &NamespaceStore{}
	_ rest.Watcher                    = &NamespaceStore{}
	_ rest.GracefulDeleter            = &NamespaceStore{}
	_ rest.Scoper                     = &NamespaceStore{}
	_ rest.StorageWithReadiness       = &NamespaceStore{}
	_ rest.ResetFieldsStrategy        = &NamespaceStore{}
	_ rest.MayReturnFullObjectDeleter = &NamespaceStore{}
	_ rest.StorageVersionProvider     = &NamespaceStore{}
	_ rest.ShortNamesProvider         = &NamespaceStore{}
	_ rest.CategoriesProvider         = &NamespaceStore{}
	_ rest.SingularNameProvider       = &NamespaceStore{}
)

// Delete implements rest.GracefulDeleter.
func (s *NamespaceStore) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	obj, err := s.store.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, false, err
	}
	ns, ok := obj.(*corev1.Namespace)
	if !ok {
		return nil, false, apierrors.NewInternalError(fmt.Errorf("unexpected %T", obj))
	}
	if options == nil {
		options = metav1.NewDeleteOptions(0)
	}
	if err := checkPreconditions(ns, options.Preconditions); err != nil {
		return nil, false, err
	}
	if ns.DeletionTimestamp.IsZero() {
		out, err := s.markDeleted(ctx, ns, validate, options)
		return out, false, err
	}
	if len(ns.Spec.Finalizers) != 0 || len(ns.Finalizers) != 0 {
		return ns, false, nil
	}
	return s.store.Delete(ctx, name, validate, options)
}

func checkPreconditions(ns *corev1.Namespace, p *metav1.Preconditions) error {
	if p == nil {
		return nil
	}
	resource := corev1.Resource("namespaces")
	if p.UID != nil && *p.UID != ns.UID {
		return apierrors.NewConflict(resource, ns.Name,
			fmt.Errorf("Precondition failed: UID in precondition: %v, UID in object meta: %v", *p.UID, ns.UID))
	}
	if p.ResourceVersion != nil && *p.ResourceVersion != ns.ResourceVersion {
		return apierrors.NewConflict(resource, ns.Name,
			fmt.Errorf("Precondition failed: ResourceVersion in precondition: %v, ResourceVersion in object meta: %v", *p.ResourceVersion, ns.ResourceVersion))
	}
	return nil
}

// markDeleted sets the deletion timestamp and the phase Terminating in one write.
func (s *NamespaceStore) markDeleted(ctx context.Context, ns *corev1.Namespace, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, error) {
	resource := corev1.Resource("namespaces")
	key, err := s.store.KeyFunc(ctx, ns.Name)
	if err != nil {
		return nil, err
	}
	// The object that was looked at is the one to delete, whatever happened since.
	preconditions := storage.Preconditions{UID: &ns.UID}
	if p := options.Preconditions; p != nil {
		preconditions.ResourceVersion = p.ResourceVersion
	}
	out := &corev1.Namespace{}
	err = s.store.Storage.GuaranteedUpdate(ctx, key, out, false, &preconditions,
		storage.SimpleUpdate(func(existing runtime.Object) (runtime.Object, error) {
			current, ok := existing.(*corev1.Namespace)
			if !ok {
				return nil, fmt.Errorf("unexpected object: %#v", existing)
			}
			if err := validate(ctx, current); err != nil {
				return nil, err
			}
			if current.DeletionTimestamp.IsZero() {
				now := metav1.Now()
				current.DeletionTimestamp = &now
			}
			if current.Status.Phase != corev1.NamespaceTerminating {
				current.Status.Phase = corev1.NamespaceTerminating
			}
			current.Finalizers = deletionFinalizers(current.Finalizers, options)
			return current, nil
		}), dryrun.IsDryRun(options.DryRun), nil)
	if err != nil {
		err = storeerr.InterpretGetError(err, resource, ns.Name)
		if _, isStatus := err.(apierrors.APIStatus); !isStatus {
			err = storeerr.InterpretUpdateError(err, resource, ns.Name)
		}
		return nil, err
	}
	return out, nil
}

// deletionFinalizers adds or removes the finalizer by which the garbage collector
// orphans dependents.
func deletionFinalizers(finalizers []string, options *metav1.DeleteOptions) []string {
	orphan := slices.Contains(finalizers, metav1.FinalizerOrphanDependents)
	switch {
	case options.OrphanDependents != nil:
		orphan = *options.OrphanDependents
	case options.PropagationPolicy != nil:
		orphan = *options.PropagationPolicy == metav1.DeletePropagationOrphan
	}
	out := slices.DeleteFunc(slices.Clone(finalizers), func(f string) bool { return f == metav1.FinalizerOrphanDependents })
	if orphan {
		out = append(out, metav1.FinalizerOrphanDependents)
	}
	return out
}
