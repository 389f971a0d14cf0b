// Package defaulting registers the functions that complete objects, and has the
// two moves that such functions are made of.
//
// # Traps
//
// Defaults also run on what is read from storage: applied twice they must give
// the same object.
package defaulting

import (
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/apis/resource"
)

// Kind registers set for T and, item by item, for its list L.
func Kind[T, L any, PT resource.Object[T], PL resource.Object[L]](s *runtime.Scheme, set func(*T), items func(*L) []T) {
	s.AddTypeDefaultingFunc(PT(new(T)), func(obj any) { set((*T)(obj.(PT))) })
	s.AddTypeDefaultingFunc(PL(new(L)), func(obj any) {
		list := items((*L)(obj.(PL)))
		for i := range list {
			set(&list[i])
		}
	})
}

// Value sets *field to value if it is zero.
func Value[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Pointer lets *field point to value if it points nowhere.
func Pointer[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}
