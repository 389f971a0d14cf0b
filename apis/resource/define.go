package resource

import (
	"context"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Object is a pointer to an API type T.
type Object[T any] interface {
	*T
	runtime.Object
}

// Definition is a row as its author writes it: the hooks of Resource with the
// kind's own type. See Resource for what each hook means.
type Definition[T any] struct {
	Names

	PrepareForCreate       func(ctx context.Context, obj *T)
	PrepareForUpdate       func(ctx context.Context, obj, old *T)
	PrepareForStatusUpdate func(ctx context.Context, obj, old *T)
	Validate               func(ctx context.Context, obj *T) field.ErrorList
	ValidateUpdate         func(ctx context.Context, obj, old *T) field.ErrorList
	ValidateStatusUpdate   func(ctx context.Context, obj, old *T) field.ErrorList
	Warnings               func(ctx context.Context, obj, old *T) []string
	WarningsOnDelete       func(ctx context.Context, options *metav1.DeleteOptions) []string
	GracePeriod            func(ctx context.Context, obj *T, options *metav1.DeleteOptions) bool
	DeleteOnUpdate         func(ctx context.Context, obj, old *T) bool
	TTL                    func(obj *T) uint64
	Columns                []TypedColumn[T]
	RowConditions          func(obj *T) []metav1.TableRowCondition
	Fields                 []TypedField[T]
}

// TypedColumn is a Column of kind T.
type TypedColumn[T any] struct {
	Name, Type, Format, Description string
	Wide                            bool
	Value                           func(obj *T) any
}

// TypedField is a Field of kind T.
type TypedField[T any] struct {
	Path    string
	Indexed bool
	Value   func(obj *T) string
}

// Define turns a definition of kind T with list type L into a row.
func Define[T, L any, PT Object[T], PL Object[L]](d Definition[T]) Resource {
	names := d.Names
	if names.Singular == "" {
		names.Singular = strings.ToLower(names.Kind.Kind)
	}
	return Resource{
		Names:                  names,
		New:                    func() runtime.Object { return PT(new(T)) },
		NewList:                func() runtime.Object { return PL(new(L)) },
		PrepareForCreate:       onOne[T, PT](d.PrepareForCreate),
		PrepareForUpdate:       onTwo[T, PT](d.PrepareForUpdate),
		PrepareForStatusUpdate: onTwo[T, PT](d.PrepareForStatusUpdate),
		Validate:               checkOne[T, PT](d.Validate),
		ValidateUpdate:         ofTwo[T, PT](d.ValidateUpdate),
		ValidateStatusUpdate:   ofTwo[T, PT](d.ValidateStatusUpdate),
		Warnings:               ofTwo[T, PT](d.Warnings),
		WarningsOnDelete:       d.WarningsOnDelete,
		GracePeriod:            gracePeriod[T, PT](d.GracePeriod),
		DeleteOnUpdate:         ofTwo[T, PT](d.DeleteOnUpdate),
		TTL:                    ofOne[T, PT](d.TTL),
		Columns:                columns[T, PT](d.Columns),
		RowConditions:          ofOne[T, PT](d.RowConditions),
		Fields:                 fields[T, PT](d.Fields),
	}
}

// typed returns obj as *T; a nil object becomes a nil pointer, which is how
// Warnings learns that there is no old object.
func typed[T any, PT Object[T]](obj runtime.Object) *T {
	if obj == nil {
		return nil
	}
	return (*T)(obj.(PT))
}

func onOne[T any, PT Object[T]](f func(context.Context, *T)) func(context.Context, runtime.Object) {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, obj runtime.Object) { f(ctx, typed[T, PT](obj)) }
}

func onTwo[T any, PT Object[T]](f func(ctx context.Context, obj, old *T)) func(ctx context.Context, obj, old runtime.Object) {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, obj, old runtime.Object) { f(ctx, typed[T, PT](obj), typed[T, PT](old)) }
}

func checkOne[T any, PT Object[T]](f func(context.Context, *T) field.ErrorList) func(context.Context, runtime.Object) field.ErrorList {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, obj runtime.Object) field.ErrorList { return f(ctx, typed[T, PT](obj)) }
}

func gracePeriod[T any, PT Object[T]](f func(context.Context, *T, *metav1.DeleteOptions) bool) func(context.Context, runtime.Object, *metav1.DeleteOptions) bool {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, obj runtime.Object, options *metav1.DeleteOptions) bool {
		return f(ctx, typed[T, PT](obj), options)
	}
}

func ofTwo[T any, PT Object[T], R any](f func(ctx context.Context, obj, old *T) R) func(ctx context.Context, obj, old runtime.Object) R {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, obj, old runtime.Object) R {
		return f(ctx, typed[T, PT](obj), typed[T, PT](old))
	}
}

func ofOne[T any, PT Object[T], R any](f func(*T) R) func(runtime.Object) R {
	if f == nil {
		return nil
	}
	return func(obj runtime.Object) R { return f(typed[T, PT](obj)) }
}

func columns[T any, PT Object[T]](in []TypedColumn[T]) []Column {
	out := make([]Column, 0, len(in))
	for _, c := range in {
		out = append(out, Column{
			Name: c.Name, Type: c.Type, Format: c.Format, Description: c.Description,
			Wide: c.Wide, Value: ofOne[T, PT](c.Value),
		})
	}
	return out
}

func fields[T any, PT Object[T]](in []TypedField[T]) []Field {
	out := make([]Field, 0, len(in))
	for _, f := range in {
		out = append(out, Field{Path: f.Path, Indexed: f.Indexed, Value: ofOne[T, PT](f.Value)})
	}
	return out
}
