package server

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/scheme"
	"github.com/skiff-project/skiff/server/ipallocator"
	"github.com/skiff-project/skiff/server/registry"
	"github.com/skiff-project/skiff/server/reviews"
	"github.com/skiff-project/skiff/server/services"
	"github.com/skiff-project/skiff/server/subresources"
)

// buildGroups builds the storages of all rows: first the stores, then the
// subresources, which need each other's stores.
func (b *builder) buildGroups() ([]*genericapiserver.APIGroupInfo, error) {
	rows := scheme.Resources()
	stores := registry.Stores{}
	for _, row := range rows {
		if row.NotStored {
			continue
		}
		store, err := registry.NewStore(row, b.config.RESTOptionsGetter)
		if err != nil {
			return nil, err
		}
		stores[row.GroupResource()] = store
	}
	nodes, err := subresources.NewNodes(b.nodesConfig(), stores[schema.GroupResource{Resource: "nodes"}])
	if err != nil {
		return nil, err
	}
	below := subresources.Config{
		Stores:     stores,
		Nodes:      nodes,
		Authorizer: b.config.Authorization.Authorizer,
		Budget:     subresources.NewBudgets(b.client),
	}
	if b.auth.TokenIssuer != nil {
		below.Issuer = b.auth.TokenIssuer
	}
	infos, err := groupInfos(rows, func(row resource.Resource) (map[string]rest.Storage, error) {
		if row.NotStored {
			return b.review(row)
		}
		return b.storagesOf(stores[row.GroupResource()], below)
	}, b.config.MergedResourceConfig)
	if err != nil {
		return nil, err
	}
	addLegacyBindings(infos, stores)
	return infos, nil
}

// storagesOf returns a stored row's storage, its status and its subresources.
func (b *builder) storagesOf(store *registry.Store, below subresources.Config) (map[string]rest.Storage, error) {
	row := store.Row()
	main, err := b.specialize(store)
	if err != nil {
		return nil, err
	}
	paths := map[string]rest.Storage{row.Plural: main}
	if status := store.Status(); status != nil {
		paths[row.Plural+"/status"] = status
	}
	subs, err := subresources.Build(below, store)
	if err != nil {
		return nil, err
	}
	for name, storage := range subs {
		paths[row.Plural+"/"+name] = storage
	}
	return paths, nil
}

// specialize wraps the stores of the two kinds whose life the generic store
// cannot lead.
func (b *builder) specialize(store *registry.Store) (rest.Storage, error) {
	switch store.Row().GroupResource() {
	case corev1.Resource("namespaces"):
		return registry.NewNamespaceStore(store), nil
	case corev1.Resource("services"):
		return b.serviceStore(store)
	}
	return store, nil
}

func (b *builder) review(row resource.Resource) (map[string]rest.Storage, error) {
	storage, err := reviews.New(reviews.Config{
		Authenticator: b.config.Authentication.Authenticator,
		APIAudiences:  b.config.Authentication.APIAudiences,
		Authorizer:    b.config.Authorization.Authorizer,
		RuleResolver:  b.config.RuleResolver,
	}, row)
	if err != nil {
		return nil, err
	}
	return map[string]rest.Storage{row.Plural: storage}, nil
}

// serviceStore gives services the address and port ranges of the options.
func (b *builder) serviceStore(store *registry.Store) (rest.Storage, error) {
	prefix, client := b.options.Etcd.StorageConfig.Prefix, b.backend.Client().Client
	cidrs, err := b.options.Services.clusterIPRanges()
	if err != nil {
		return nil, err
	}
	b.ranges = services.Ranges{
		Addresses: map[corev1.IPFamily]*ipallocator.Pool{},
		Ports:     ipallocator.NewPorts(b.options.Services.NodePortRange, ipallocator.NewKeys(client, prefix, "servicenodeports")),
	}
	cfg := services.Config{Addresses: map[corev1.IPFamily]services.Allocator{}, Ports: b.ranges.Ports}
	for _, cidr := range cidrs {
		family := familyOf(cidr.Addr())
		pool, err := ipallocator.NewAddresses(cidr, ipallocator.NewKeys(client, prefix, "serviceips"+string(family)))
		if err != nil {
			return nil, fmt.Errorf("--service-cluster-ip-range: %w", err)
		}
		cfg.Families = append(cfg.Families, family)
		cfg.Addresses[family] = pool
		b.ranges.Addresses[family] = pool
	}
	return services.NewStore(store, cfg)
}

func familyOf(addr netip.Addr) corev1.IPFamily {
	if addr.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

func (b *builder) nodesConfig() subresources.NodesConfig {
	o := b.options.Kubelet
	cfg := subresources.NodesConfig{
		ClientCertFile: o.ClientCertFile,
		ClientKeyFile:  o.ClientKeyFile,
		CAFile:         o.CAFile,
		DialTimeout:    o.Timeout,
	}
	for _, t := range o.PreferredAddressTypes {
		cfg.AddressTypes = append(cfg.AddressTypes, corev1.NodeAddressType(t))
	}
	return cfg
}

// addLegacyBindings serves POST namespaces/NS/bindings, the way to bind pods from
// before subresources.
func addLegacyBindings(infos []*genericapiserver.APIGroupInfo, stores registry.Stores) {
	pods := stores[corev1.Resource("pods")]
	for _, info := range infos {
		if core, ok := info.VersionedResourcesStorageMap["v1"]; ok && core["pods"] != nil && pods != nil {
			core["bindings"] = subresources.NewLegacyBinding(pods)
		}
	}
}
