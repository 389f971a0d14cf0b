package podcontrol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Claims is what a controller has to do about the objects that its selector may
// cover.
type Claims[T client.Object] struct {
	Owned   []T // owned and matching
	Adopt   []T // matching, without a controller
	Release []T // owned, but matching no longer
}

// Classify sorts objects by their relation to the controller. An object of
// another controller is in none of the lists; neither is anything new for a
// controller that is being deleted.
func Classify[T client.Object](controller client.Object, selector labels.Selector, objs []T) Claims[T] {
	var out Claims[T]
	deleting := controller.GetDeletionTimestamp() != nil
	for _, obj := range objs {
		matches := selector.Matches(labels.Set(obj.GetLabels()))
		ref := metav1.GetControllerOfNoCopy(obj)
		switch {
		case ref != nil && ref.UID != controller.GetUID():
		case ref != nil && matches:
			out.Owned = append(out.Owned, obj)
		case ref != nil:
			if !deleting {
				out.Release = append(out.Release, obj)
			}
		case matches && !deleting && obj.GetDeletionTimestamp() == nil:
			out.Adopt = append(out.Adopt, obj)
		}
	}
	return out
}

// Claimer adopts and releases objects for one controller object.
type Claimer struct {
	Client client.Client
	// Live reads past the cache.
	Live       client.Reader
	Controller client.Object
	Kind       schema.GroupVersionKind
	Selector   labels.Selector
}

// Claim carries out Classify's verdict on objs and returns those that belong to
// the controller afterwards. Objects that vanished or changed hands meanwhile
// are left out without an error.
func Claim[T client.Object](ctx context.Context, c Claimer, objs []T) ([]T, error) {
	claims := Classify(c.Controller, c.Selector, objs)
	owned := claims.Owned
	var errs []error
	if len(claims.Adopt) > 0 {
		// The cached controller may be an old incarnation, or be deleted by now; its
		// garbage would drag the adopted objects along.
		if err := c.mayAdopt(ctx); err != nil {
			errs = append(errs, err)
		} else {
			for _, obj := range claims.Adopt {
				adopted, err := c.adopt(ctx, obj)
				if err != nil {
					errs = append(errs, err)
				} else if adopted {
					owned = append(owned, obj)
				}
			}
		}
	}
	for _, obj := range claims.Release {
		if err := c.release(ctx, obj); err != nil {
			errs = append(errs, err)
		}
	}
	return owned, errors.Join(errs...)
}

func (c Claimer) mayAdopt(ctx context.Context) error {
	fresh, ok := c.Controller.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("copying %T: not an API object", c.Controller)
	}
	if err := c.Live.Get(ctx, client.ObjectKeyFromObject(c.Controller), fresh); err != nil {
		return fmt.Errorf("checking that %s %s may adopt: %w", c.Kind.Kind, c.Controller.GetName(), err)
	}
	if fresh.GetUID() != c.Controller.GetUID() {
		return fmt.Errorf("original %s %s/%s is gone: got uid %s, wanted %s", c.Kind.Kind, c.Controller.GetNamespace(), c.Controller.GetName(), fresh.GetUID(), c.Controller.GetUID())
	}
	if t := fresh.GetDeletionTimestamp(); t != nil {
		return fmt.Errorf("%s %s/%s has just been deleted at %v", c.Kind.Kind, c.Controller.GetNamespace(), c.Controller.GetName(), t)
	}
	return nil
}

func (c Claimer) adopt(ctx context.Context, obj client.Object) (bool, error) {
	ref := metav1.NewControllerRef(c.Controller, c.Kind)
	ref.BlockOwnerDeletion = ptr.To(true)
	patch, err := refPatch(obj.GetUID(), *ref)
	if err != nil {
		return false, err
	}
	err = c.Client.Patch(ctx, target(obj), client.RawPatch(types.StrategicMergePatchType, patch))
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("adopting %s: %w", obj.GetName(), err)
	}
	return true, nil
}

func (c Claimer) release(ctx context.Context, obj client.Object) error {
	patch, err := refPatch(obj.GetUID(), map[string]any{"$patch": "delete", "uid": c.Controller.GetUID()})
	if err != nil {
		return err
	}
	err = c.Client.Patch(ctx, target(obj), client.RawPatch(types.StrategicMergePatchType, patch))
	// Invalid: the UID differs or there is no owner left; either way it is not ours.
	if apierrors.IsNotFound(err) || apierrors.IsInvalid(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("releasing %s: %w", obj.GetName(), err)
	}
	return nil
}

// target returns an empty object of obj's type and name: the answer to a patch
// is decoded into it, and obj itself may belong to the cache.
func target(obj client.Object) client.Object {
	copied := obj.DeepCopyObject().(client.Object) //nolint:forcetypeassert // a copy has its original's type
	copied.SetResourceVersion("")
	return copied
}

// refPatch builds a patch of one owner reference that fails if the object is not
// the one with that UID.
func refPatch(uid types.UID, ref any) ([]byte, error) {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": uid, "ownerReferences": []any{ref}},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding owner reference patch: %w", err)
	}
	return patch, nil
}
