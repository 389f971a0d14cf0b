package resource

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// AddHub registers the published types of gv, through add, and then each of them
// once more under the __internal version of the group. The order matters: the
// scheme takes the first registration for the object's real kind.
func AddHub(scheme *runtime.Scheme, gv schema.GroupVersion, add func(*runtime.Scheme) error) error {
	if err := add(scheme); err != nil {
		return fmt.Errorf("registering %s: %w", gv, err)
	}
	internal := schema.GroupVersion{Group: gv.Group, Version: runtime.APIVersionInternal}
	for kind, typ := range scheme.KnownTypes(gv) {
		if strings.HasPrefix(typ.PkgPath(), "k8s.io/apimachinery/") {
			continue // WatchEvent, ListOptions and friends have hubs of their own
		}
		obj, err := scheme.New(gv.WithKind(kind))
		if err != nil {
			return fmt.Errorf("instantiating %s: %w", gv.WithKind(kind), err)
		}
		scheme.AddKnownTypeWithName(internal.WithKind(kind), obj)
	}
	return nil
}
