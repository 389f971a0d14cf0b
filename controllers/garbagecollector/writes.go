package garbagecollector

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// live reads an object past all caches; nil if it does not exist, or if another
// one has its name now.
func (c *Collector) live(ctx context.Context, id identity) (*metav1.PartialObjectMetadata, error) {
	api, err := c.resource(id)
	if err != nil {
		return nil, err
	}
	obj, err := api.Get(ctx, id.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s %s/%s: %w", id.Kind, id.Namespace, id.Name, err)
	}
	if obj.UID != id.UID {
		return nil, nil
	}
	return obj, nil
}

// delete deletes the object with that UID; with a resourceVersion, only if it
// has not changed since it was judged.
func (c *Collector) delete(ctx context.Context, id identity, resourceVersion string, policy metav1.DeletionPropagation) error {
	api, err := c.resource(id)
	if err != nil {
		return err
	}
	preconditions := metav1.Preconditions{UID: &id.UID}
	if resourceVersion != "" {
		preconditions.ResourceVersion = &resourceVersion
	}
	err = api.Delete(ctx, id.Name, metav1.DeleteOptions{Preconditions: &preconditions, PropagationPolicy: &policy})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting %s %s/%s: %w", id.Kind, id.Namespace, id.Name, err)
	}
	return nil
}

func (c *Collector) patchRefs(ctx context.Context, id identity, live *metav1.PartialObjectMetadata, refs []metav1.OwnerReference) error {
	if refs == nil {
		refs = []metav1.OwnerReference{}
	}
	return c.patch(ctx, id, live, "ownerReferences", refs)
}

func (c *Collector) removeFinalizer(ctx context.Context, id identity, live *metav1.PartialObjectMetadata, finalizer string) error {
	if !slices.Contains(live.Finalizers, finalizer) {
		return nil
	}
	rest := slices.DeleteFunc(append([]string{}, live.Finalizers...), func(f string) bool { return f == finalizer })
	return c.patch(ctx, id, live, "finalizers", rest)
}

// patch replaces one list of the metadata, if nobody changed the object since it
// was read. A merge patch works for built-in and custom resources alike.
func (c *Collector) patch(ctx context.Context, id identity, live *metav1.PartialObjectMetadata, field string, value any) error {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": live.UID, "resourceVersion": live.ResourceVersion, field: value,
	}})
	if err != nil {
		return fmt.Errorf("encoding %s: %w", field, err)
	}
	api, err := c.resource(id)
	if err != nil {
		return err
	}
	_, err = api.Patch(ctx, id.Name, types.MergePatchType, body, metav1.PatchOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("patching %s of %s %s/%s: %w", field, id.Kind, id.Namespace, id.Name, err)
	}
	return nil
}
