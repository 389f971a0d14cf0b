package subresources

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/skiff-project/skiff/apis/scheme"
	"github.com/skiff-project/skiff/server/registry"
)

// scaleKind is what every scale subresource speaks, whatever group it is in.
var scaleKind = autoscalingv1.SchemeGroupVersion.WithKind("Scale")

// scaleStorage serves /scale of the workload kinds: a view of the parent's
// replicas as an autoscaling/v1 Scale.
type scaleStorage struct {
	store *registry.Store
	paths managedfields.ResourcePathMappings
}

var (
	_ rest.Patcher                  = &scaleStorage{}
	_ rest.GroupVersionKindProvider = &scaleStorage{}
	_ rest.TableConvertor           = &scaleStorage{}
)

func newScale(_ Config, store *registry.Store) rest.Storage {
	paths := managedfields.ResourcePathMappings{}
	for _, gv := range scheme.Versions(store.Row()) {
		paths[gv.String()] = fieldpath.MakePathOrDie("spec", "replicas")
	}
	return &scaleStorage{store: store, paths: paths}
}

func (s *scaleStorage) New() runtime.Object { return &autoscalingv1.Scale{} }
func (s *scaleStorage) Destroy()            {}

// GroupVersionKind implements rest.GroupVersionKindProvider.
func (s *scaleStorage) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return scaleKind
}

// ConvertToTable implements rest.TableConvertor.
func (s *scaleStorage) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return rest.NewDefaultTableConvertor(s.store.Row().GroupResource()).ConvertToTable(ctx, obj, options)
}

func (s *scaleStorage) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	obj, err := s.store.Get(ctx, name, options)
	if err != nil {
		return nil, err
	}
	scale, err := scaleOf(obj)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	return scale, nil
}

func (s *scaleStorage) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc,
	updateValidation rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	obj, _, err := s.store.Update(ctx, name,
		&scaledInfo{name: name, info: info, paths: s.paths},
		validateScaleOf(createValidation), validateScaleUpdateOf(updateValidation), false, options)
	if err != nil {
		return nil, false, err
	}
	scale, err := scaleOf(obj)
	if err != nil {
		return nil, false, apierrors.NewInternalError(err)
	}
	return scale, false, nil
}

// validateScaleOf lets admission see the Scale instead of its parent.
func validateScaleOf(f rest.ValidateObjectFunc) rest.ValidateObjectFunc {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, obj runtime.Object) error {
		scale, err := scaleOf(obj)
		if err != nil {
			return err
		}
		return f(ctx, scale)
	}
}

func validateScaleUpdateOf(f rest.ValidateObjectUpdateFunc) rest.ValidateObjectUpdateFunc {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, obj, old runtime.Object) error {
		scale, err := scaleOf(obj)
		if err != nil {
			return err
		}
		oldScale, err := scaleOf(old)
		if err != nil {
			return err
		}
		return f(ctx, scale, oldScale)
	}
}

// scaledInfo turns an update of a Scale into one of its parent.
type scaledInfo struct {
	name  string
	info  rest.UpdatedObjectInfo
	paths managedfields.ResourcePathMappings
}

func (i *scaledInfo) Preconditions() *metav1.Preconditions { return i.info.Preconditions() }

func (i *scaledInfo) UpdatedObject(ctx context.Context, old runtime.Object) (runtime.Object, error) {
	parent := old.DeepCopyObject()
	accessor, ok := parent.(metav1.Object)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("%T has no metadata", parent))
	}
	version := schema.GroupVersion{Group: "apps", Version: "v1"}
	if requestInfo, ok := request.RequestInfoFrom(ctx); ok {
		version = schema.GroupVersion{Group: requestInfo.APIGroup, Version: requestInfo.APIVersion}
	}
	managed := managedfields.NewScaleHandler(accessor.GetManagedFields(), version, i.paths)
	scale, err := i.updatedScale(ctx, parent, managed)
	if err != nil {
		return nil, err
	}
	entries, err := managed.ToParent(scale.ManagedFields)
	if err != nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("moving managed fields to the parent: %w", err))
	}
	accessor.SetManagedFields(entries)
	accessor.SetResourceVersion(scale.ResourceVersion)
	setReplicas(parent, scale.Spec.Replicas)
	return parent, nil
}

// updatedScale returns the Scale that the client wants, checked.
func (i *scaledInfo) updatedScale(ctx context.Context, parent runtime.Object, managed *managedfields.ScaleHandler) (*autoscalingv1.Scale, error) {
	oldScale, err := scaleOf(parent)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	if oldScale.ManagedFields, err = managed.ToSubresource(); err != nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("moving managed fields to the scale: %w", err))
	}
	obj, err := i.info.UpdatedObject(ctx, oldScale)
	if err != nil {
		return nil, err
	}
	scale, ok := obj.(*autoscalingv1.Scale)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("expected input object type to be Scale, but %T", obj))
	}
	if errs := validateScale(scale); len(errs) > 0 {
		return nil, apierrors.NewInvalid(scaleKind.GroupKind(), i.name, errs)
	}
	if scale.UID != "" && scale.UID != oldScale.UID {
		return nil, apierrors.NewConflict(schema.GroupResource{Group: scaleKind.Group, Resource: "scales"}, i.name,
			fmt.Errorf("Precondition failed: UID in precondition: %v, UID in object meta: %v", scale.UID, oldScale.UID))
	}
	return scale, nil
}

func validateScale(scale *autoscalingv1.Scale) field.ErrorList {
	errs := validation.ValidateObjectMeta(&scale.ObjectMeta, true, validation.NameIsDNSSubdomain, field.NewPath("metadata"))
	if scale.Spec.Replicas < 0 {
		errs = append(errs, field.Invalid(field.NewPath("spec", "replicas"), scale.Spec.Replicas, validation.IsNegativeErrorMsg))
	}
	return errs
}

// scaleOf returns the Scale of a workload object.
func scaleOf(obj runtime.Object) (*autoscalingv1.Scale, error) {
	switch o := obj.(type) {
	case *corev1.ReplicationController:
		return makeScale(&o.ObjectMeta, o.Spec.Replicas, o.Status.Replicas, labels.SelectorFromSet(o.Spec.Selector)), nil
	case *appsv1.ReplicaSet:
		return scaleBySelector(&o.ObjectMeta, o.Spec.Replicas, o.Status.Replicas, o.Spec.Selector)
	case *appsv1.Deployment:
		return scaleBySelector(&o.ObjectMeta, o.Spec.Replicas, o.Status.Replicas, o.Spec.Selector)
	case *appsv1.StatefulSet:
		return scaleBySelector(&o.ObjectMeta, o.Spec.Replicas, o.Status.Replicas, o.Spec.Selector)
	}
	return nil, fmt.Errorf("%T cannot be scaled", obj)
}

func scaleBySelector(meta *metav1.ObjectMeta, want *int32, have int32, selector *metav1.LabelSelector) (*autoscalingv1.Scale, error) {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil, fmt.Errorf("reading the selector: %w", err)
	}
	return makeScale(meta, want, have, s), nil
}

func makeScale(meta *metav1.ObjectMeta, want *int32, have int32, selector labels.Selector) *autoscalingv1.Scale {
	scale := &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{
			Name:              meta.Name,
			Namespace:         meta.Namespace,
			UID:               meta.UID,
			ResourceVersion:   meta.ResourceVersion,
			CreationTimestamp: meta.CreationTimestamp,
		},
		Status: autoscalingv1.ScaleStatus{Replicas: have, Selector: selector.String()},
	}
	if want != nil {
		scale.Spec.Replicas = *want
	}
	return scale
}

// setReplicas is only called with what scaleOf knows.
func setReplicas(obj runtime.Object, replicas int32) {
	switch o := obj.(type) {
	case *corev1.ReplicationController:
		o.Spec.Replicas = &replicas
	case *appsv1.ReplicaSet:
		o.Spec.Replicas = &replicas
	case *appsv1.Deployment:
		o.Spec.Replicas = &replicas
	case *appsv1.StatefulSet:
		o.Spec.Replicas = &replicas
	}
}
