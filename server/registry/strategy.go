package registry

import (
	"context"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/scheme"
)

// strategy is the generic strategy of a row: create, update and delete of the
// main resource.
type strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
	row    resource.Resource
	fields layout
}

// layout locates the parts of a kind's struct; -1 where it has none.
type layout struct{ spec, status int }

func newStrategy(row resource.Resource) *strategy {
	return &strategy{
		ObjectTyper:   scheme.Scheme,
		NameGenerator: names.SimpleNameGenerator,
		row:           row,
		fields:        layoutOf(row.New()),
	}
}

func layoutOf(obj runtime.Object) layout {
	l := layout{spec: -1, status: -1}
	t := reflect.TypeOf(obj).Elem()
	for i := range t.NumField() {
		switch t.Field(i).Name {
		case "Spec":
			l.spec = i
		case "Status":
			l.status = i
		}
	}
	return l
}

// hasStatus reports whether the kind is split into a main and a status part.
func (s *strategy) hasStatus() bool { return s.fields.status >= 0 && !s.row.NoStatus }

func (s *strategy) NamespaceScoped() bool                    { return !s.row.ClusterScoped }
func (s *strategy) AllowCreateOnUpdate(context.Context) bool { return s.row.CreateOnUpdate }
func (s *strategy) AllowUnconditionalUpdate(context.Context) bool {
	return !s.row.RequireResourceVersion
}
func (s *strategy) Canonicalize(runtime.Object) {}

func (s *strategy) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	if s.hasStatus() && !s.row.KeepStatusOnCreate {
		fieldOf(obj, s.fields.status).SetZero()
	}
	accessor := accessorOf(obj)
	if s.row.NoGeneration || s.fields.spec < 0 {
		accessor.SetGeneration(0)
	} else {
		accessor.SetGeneration(1)
	}
	if s.row.PrepareForCreate != nil {
		s.row.PrepareForCreate(ctx, obj)
	}
}

func (s *strategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	if s.hasStatus() {
		fieldOf(obj, s.fields.status).Set(fieldOf(old.DeepCopyObject(), s.fields.status))
	}
	if s.row.PrepareForUpdate != nil {
		s.row.PrepareForUpdate(ctx, obj, old)
	}
	s.bumpGeneration(obj, old)
}

// bumpGeneration counts changes of what the user wants.
func (s *strategy) bumpGeneration(obj, old runtime.Object) {
	if s.row.NoGeneration || s.fields.spec < 0 {
		return
	}
	was, is := fieldOf(old, s.fields.spec).Interface(), fieldOf(obj, s.fields.spec).Interface()
	if !equality.Semantic.DeepEqual(was, is) {
		accessorOf(obj).SetGeneration(accessorOf(old).GetGeneration() + 1)
	}
}

func (s *strategy) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	if s.row.Validate == nil {
		return nil
	}
	return s.row.Validate(ctx, obj)
}

func (s *strategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	if s.row.ValidateUpdate == nil {
		return nil
	}
	return s.row.ValidateUpdate(ctx, obj, old)
}

func (s *strategy) WarningsOnCreate(ctx context.Context, obj runtime.Object) []string {
	if s.row.Warnings == nil {
		return nil
	}
	return s.row.Warnings(ctx, obj, nil)
}

func (s *strategy) WarningsOnUpdate(ctx context.Context, obj, old runtime.Object) []string {
	if s.row.Warnings == nil {
		return nil
	}
	return s.row.Warnings(ctx, obj, old)
}

// DefaultGarbageCollectionPolicy implements rest.GarbageCollectionDeleteStrategy.
func (s *strategy) DefaultGarbageCollectionPolicy(context.Context) rest.GarbageCollectionPolicy {
	switch {
	case s.row.TTL != nil:
		return rest.Unsupported // it expires by itself and owns nothing
	case s.row.DefaultGC == metav1.DeletePropagationOrphan:
		return rest.OrphanDependents
	}
	return rest.DeleteDependents
}

// GetResetFields names the fields that an apply to the main resource does not
// come to own, because the strategy resets them.
func (s *strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	if !s.hasStatus() {
		return nil
	}
	return resetFields(s.row, fieldpath.MakePathOrDie("status"))
}

func resetFields(row resource.Resource, paths ...fieldpath.Path) map[fieldpath.APIVersion]*fieldpath.Set {
	out := map[fieldpath.APIVersion]*fieldpath.Set{}
	for _, gv := range scheme.Versions(row) {
		out[fieldpath.APIVersion(gv.String())] = fieldpath.NewSet(paths...)
	}
	return out
}

// gracefulStrategy is the strategy of kinds whose objects may stay for a grace
// period. It is a type of its own because the generic store treats all objects
// of a graceful strategy as having had a grace period.
type gracefulStrategy struct{ *strategy }

// CheckGracefulDelete implements rest.RESTGracefulDeleteStrategy.
func (s gracefulStrategy) CheckGracefulDelete(ctx context.Context, obj runtime.Object, options *metav1.DeleteOptions) bool {
	return s.row.GracePeriod(ctx, obj, options)
}

// statusStrategy is the strategy of the /status subresource: it takes the status
// and, as far as the row lets it, metadata.
type statusStrategy struct{ *strategy }

func (s statusStrategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	now, was := reflect.ValueOf(obj).Elem(), reflect.ValueOf(old.DeepCopyObject()).Elem()
	for i := range now.NumField() {
		switch {
		case i == s.fields.status, now.Type().Field(i).Anonymous: // status, TypeMeta and ObjectMeta
		default:
			now.Field(i).Set(was.Field(i))
		}
	}
	if s.row.PrepareForStatusUpdate != nil {
		s.row.PrepareForStatusUpdate(ctx, obj, old)
	}
}

func (s statusStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	if s.row.ValidateStatusUpdate == nil {
		return nil
	}
	return s.row.ValidateStatusUpdate(ctx, obj, old)
}

func (s statusStrategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

func (s statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	if s.fields.spec < 0 {
		return nil
	}
	return resetFields(s.row, fieldpath.MakePathOrDie("spec"))
}

func fieldOf(obj runtime.Object, index int) reflect.Value {
	return reflect.ValueOf(obj).Elem().Field(index)
}

// accessorOf returns obj's metadata. Every stored kind has it: NewStore checks.
func accessorOf(obj runtime.Object) metav1.Object {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return &metav1.ObjectMeta{}
	}
	return accessor
}

func checkRow(row resource.Resource) error {
	switch {
	case row.New == nil, row.NewList == nil:
		return fmt.Errorf("resource %s has no New or NewList", row.Plural)
	case row.Plural == "" || row.Singular == "" || row.Kind.Kind == "":
		return fmt.Errorf("resource %s lacks a name", row.Kind)
	}
	if _, err := meta.Accessor(row.New()); err != nil {
		return fmt.Errorf("resource %s: %w", row.Plural, err)
	}
	return nil
}
