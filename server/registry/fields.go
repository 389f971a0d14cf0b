package registry

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/tools/cache"

	"github.com/skiff-project/skiff/apis/resource"
)

// attributes returns the function that tells an object's labels and selectable
// fields.
func attributes(row resource.Resource) storage.AttrFunc {
	return func(obj runtime.Object) (labels.Set, fields.Set, error) {
		accessor, err := meta.Accessor(obj)
		if err != nil {
			return nil, nil, fmt.Errorf("selecting %s: %w", row.Plural, err)
		}
		set := make(fields.Set, len(row.Fields)+2)
		for _, f := range row.Fields {
			set[f.Path] = f.Value(obj)
		}
		set["metadata.name"] = accessor.GetName()
		if !row.ClusterScoped {
			set["metadata.namespace"] = accessor.GetNamespace()
		}
		return labels.Set(accessor.GetLabels()), set, nil
	}
}

// indexes returns what the watch cache shall index: all indexed fields for lists,
// and the first of them for the dispatch of watch events.
func indexes(row resource.Resource) (paths []string, trigger storage.IndexerFuncs, indexers *cache.Indexers) {
	all := cache.Indexers{}
	for _, f := range row.Fields {
		if !f.Indexed {
			continue
		}
		if trigger == nil { // a cacher takes one trigger at most
			trigger = storage.IndexerFuncs{f.Path: f.Value}
		}
		paths = append(paths, f.Path)
		all[storage.FieldIndex(f.Path)] = func(obj any) ([]string, error) {
			o, ok := obj.(runtime.Object)
			if !ok {
				return nil, fmt.Errorf("indexing %s: unexpected %T", f.Path, obj)
			}
			return []string{f.Value(o)}, nil
		}
	}
	if len(all) == 0 {
		return nil, nil, nil
	}
	return paths, trigger, &all
}

func storeOptions(row resource.Resource, getter generic.RESTOptionsGetter) (*generic.StoreOptions, []string) {
	paths, trigger, indexers := indexes(row)
	return &generic.StoreOptions{
		RESTOptions: getter,
		AttrFunc:    attributes(row),
		TriggerFunc: trigger,
		Indexers:    indexers,
	}, paths
}
