// Package columns makes the printer columns of the resource table: small
// constructors around resource.TypedColumn, and the texts that kubectl shows for
// what is missing.
//
// # Traps
//
// Cells of type integer must hold int64: that is what a client decodes.
package columns

import (
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/skiff-project/skiff/apis/resource"
)

const (
	// None is what kubectl shows for something that is not there.
	None = "<none>"
	// Unknown is what kubectl shows for something that cannot be told.
	Unknown = "<unknown>"
	// Unset is what kubectl shows for something nobody set.
	Unset = "<unset>"
)

// Text returns a column of type string.
func Text[T any](name, description string, value func(*T) string) resource.TypedColumn[T] {
	return resource.TypedColumn[T]{
		Name: name, Type: "string", Description: description,
		Value: func(obj *T) any { return value(obj) },
	}
}

// Number returns a column of type integer.
func Number[T any, N int | int32 | int64](name, description string, value func(*T) N) resource.TypedColumn[T] {
	return resource.TypedColumn[T]{
		Name: name, Type: "integer", Description: description,
		Value: func(obj *T) any { return int64(value(obj)) },
	}
}

// Boolean returns a column of type boolean.
func Boolean[T any](name, description string, value func(*T) bool) resource.TypedColumn[T] {
	return resource.TypedColumn[T]{
		Name: name, Type: "boolean", Description: description,
		Value: func(obj *T) any { return value(obj) },
	}
}

// Wide returns the column as one that shows up with -o wide only.
func Wide[T any](c resource.TypedColumn[T]) resource.TypedColumn[T] {
	c.Wide = true
	return c
}

// object is a kind with object metadata.
type object[T any] interface {
	*T
	metav1.Object
}

// Name returns the column of the object's name, always the first one.
func Name[T any, PT object[T]]() resource.TypedColumn[T] {
	c := Text("Name", metadataDoc("name"), func(obj *T) string { return PT(obj).GetName() })
	c.Format = "name"
	return c
}

// Age returns the column of the time since the object was created.
func Age[T any, PT object[T]]() resource.TypedColumn[T] {
	return Text("Age", metadataDoc("creationTimestamp"), func(obj *T) string {
		return Since(PT(obj).GetCreationTimestamp())
	})
}

func metadataDoc(field string) string { return metav1.ObjectMeta{}.SwaggerDoc()[field] }

// Since returns how long ago t was, as kubectl prints an age.
func Since(t metav1.Time) string {
	if t.IsZero() {
		return Unknown
	}
	return duration.HumanDuration(time.Since(t.Time))
}

// OrNone returns the items with commas between, or <none>.
func OrNone(items ...string) string {
	if text := strings.Join(items, ","); text != "" {
		return text
	}
	return None
}

// Selector returns a label selector as kubectl prints it.
func Selector(s *metav1.LabelSelector) string { return metav1.FormatLabelSelector(s) }

// Containers returns the columns Containers and Images, which describe a pod
// template and show up with -o wide only.
func Containers[T any](template func(*T) *corev1.PodTemplateSpec) []resource.TypedColumn[T] {
	list := func(of func(corev1.Container) string) func(*T) string {
		return func(obj *T) string {
			var items []string
			for _, c := range template(obj).Spec.Containers {
				items = append(items, of(c))
			}
			return strings.Join(items, ",")
		}
	}
	return []resource.TypedColumn[T]{
		Wide(Text("Containers", "Names of each container in the template.", list(func(c corev1.Container) string { return c.Name }))),
		Wide(Text("Images", "Images referenced by each container in the template.", list(func(c corev1.Container) string { return c.Image }))),
	}
}

// Deref returns what p points to, or the zero value.
func Deref[V any](p *V) V {
	if p == nil {
		var zero V
		return zero
	}
	return *p
}

// Counted returns "3" or, if it is unset, <unset>.
func Counted(p *int32) string {
	if p == nil {
		return Unset
	}
	return strconv.Itoa(int(*p))
}
