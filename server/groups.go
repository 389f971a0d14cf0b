package server

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	serverstorage "k8s.io/apiserver/pkg/server/storage"

	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/scheme"
	"github.com/skiff-project/skiff/server/storage"
)

// locate says where a resource of the table is stored: under its plural, or the
// name that it had when Kubernetes was young.
func locate(gr schema.GroupResource) (storage.Location, error) {
	for _, row := range scheme.Resources() {
		if row.GroupResource() != gr {
			continue
		}
		location := storage.Location{Version: row.Kind.GroupVersion(), Prefix: row.KeyPrefix, NoWatchCache: row.TTL != nil}
		if location.Prefix == "" {
			location.Prefix = row.Plural
		}
		return location, nil
	}
	return storage.Location{}, fmt.Errorf("no such resource in the table")
}

// storages returns what is served for a row: path below the group version to
// storage.
type storages func(row resource.Resource) (map[string]rest.Storage, error)

// groupInfos arranges the storages of all rows by group and version, leaving out
// what enabled does not have. The core group is first.
func groupInfos(rows []resource.Resource, build storages, enabled *serverstorage.ResourceConfig) ([]*genericapiserver.APIGroupInfo, error) {
	var order []*genericapiserver.APIGroupInfo
	byName := map[string]*genericapiserver.APIGroupInfo{}
	group := func(name string) *genericapiserver.APIGroupInfo {
		if info, ok := byName[name]; ok {
			return info
		}
		info := genericapiserver.NewDefaultAPIGroupInfo(name, scheme.Scheme, scheme.ParameterCodec, scheme.Codecs)
		byName[name] = &info
		order = append(order, &info)
		return &info
	}
	for _, row := range rows {
		var versions []schema.GroupVersion
		for _, gv := range scheme.Versions(row) {
			if enabled.ResourceEnabled(gv.WithResource(row.Plural)) {
				versions = append(versions, gv)
			}
		}
		if len(versions) == 0 {
			continue
		}
		paths, err := build(row)
		if err != nil {
			return nil, err
		}
		for _, gv := range versions {
			served := group(gv.Group).VersionedResourcesStorageMap
			if served[gv.Version] == nil {
				served[gv.Version] = map[string]rest.Storage{}
			}
			for path, s := range paths {
				served[gv.Version][path] = s
			}
		}
	}
	return order, nil
}

// install serves the groups.
func install(s *genericapiserver.GenericAPIServer, groups []*genericapiserver.APIGroupInfo) error {
	var named []*genericapiserver.APIGroupInfo
	for _, info := range groups {
		if len(info.PrioritizedVersions) == 0 {
			return fmt.Errorf("an API group without versions is in the table")
		}
		if info.PrioritizedVersions[0].Group != "" {
			named = append(named, info)
			continue
		}
		if err := s.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, info); err != nil {
			return fmt.Errorf("installing the core group: %w", err)
		}
	}
	if err := s.InstallAPIGroups(named...); err != nil {
		return fmt.Errorf("installing the API groups: %w", err)
	}
	return nil
}
