package core

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/skiff-project/skiff/apis/resource"
)

// none is what kubectl shows for something that is not there.
const none = "<none>"

// unknown is what kubectl shows for something that cannot be told.
const unknown = "<unknown>"

// since returns how long ago t was, as kubectl prints an age.
func since(t metav1.Time) string {
	if t.IsZero() {
		return unknown
	}
	return duration.HumanDuration(time.Since(t.Time))
}

// orNone returns text, or <none> for an empty one.
func orNone(text string) string {
	if text == "" {
		return none
	}
	return text
}

// joinOrNone returns the items with commas between, or <none> if there are none.
func joinOrNone(items []string) string {
	return orNone(strings.Join(items, ","))
}

// text, number and wide make columns; wide ones show up with -o wide only.
func text[T any](name, description string, value func(*T) any) resource.TypedColumn[T] {
	return resource.TypedColumn[T]{Name: name, Type: "string", Description: description, Value: value}
}

func number[T any](name, description string, value func(*T) any) resource.TypedColumn[T] {
	return resource.TypedColumn[T]{Name: name, Type: "integer", Description: description, Value: value}
}

func wide[T any](c resource.TypedColumn[T]) resource.TypedColumn[T] {
	c.Wide = true
	return c
}

// named is a kind with object metadata.
type named[T any] interface {
	*T
	metav1.Object
}

func nameColumn[T any, PT named[T]]() resource.TypedColumn[T] {
	return resource.TypedColumn[T]{
		Name: "Name", Type: "string", Format: "name", Description: describe("name"),
		Value: func(obj *T) any { return PT(obj).GetName() },
	}
}

func ageColumn[T any, PT named[T]]() resource.TypedColumn[T] {
	return text("Age", describe("creationTimestamp"), func(obj *T) any { return since(PT(obj).GetCreationTimestamp()) })
}

// describe returns the documentation of a metadata field.
func describe(field string) string { return metav1.ObjectMeta{}.SwaggerDoc()[field] }
