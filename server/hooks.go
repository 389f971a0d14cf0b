package server

import (
	"fmt"
	"net/netip"

	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/skiff-project/skiff/server/auth/bootstrappolicy"
	"github.com/skiff-project/skiff/server/bootstrap"
	"github.com/skiff-project/skiff/server/services"
)

// addHooks adds what runs once the server listens. The server is ready when all
// of them have returned. Their names are upstream's, as they show in /readyz.
func (b *builder) addHooks(s *genericapiserver.GenericAPIServer) error {
	kubernetes, err := b.kubernetesService()
	if err != nil {
		return err
	}
	hooks := map[string]genericapiserver.PostStartHookFunc{
		"storage-readiness":               s.StorageReadinessHook.Hook,
		bootstrappolicy.PostStartHookName: bootstrappolicy.PostStartHook(b.client),
		"bootstrap-controller":            kubernetes,
	}
	for name, ensure := range map[string]bootstrap.Ensure{
		"start-system-namespaces-controller":           bootstrap.Namespaces(b.client),
		"scheduling/bootstrap-system-priority-classes": bootstrap.PriorityClasses(b.client),
		"start-cluster-authentication-info-controller": bootstrap.Trust(b.client, b.clientCA, b.config.Authentication.RequestHeaderConfig),
	} {
		hooks[name] = bootstrap.Hook(name, ensure)
	}
	for name, hook := range hooks {
		if err := s.AddPostStartHook(name, hook); err != nil {
			return fmt.Errorf("adding hook %s: %w", name, err)
		}
	}
	return nil
}

// kubernetesService returns the hook of Service default/kubernetes. It repairs
// the ranges first, so that the service finds its address free.
func (b *builder) kubernetesService() (genericapiserver.PostStartHookFunc, error) {
	cidrs, err := b.options.Services.clusterIPRanges()
	if err != nil {
		return nil, err
	}
	advertised, ok := netip.AddrFromSlice(b.options.Run.AdvertiseAddress)
	if !ok {
		return nil, fmt.Errorf("--advertise-address: %v is not an address", b.options.Run.AdvertiseAddress)
	}
	ensure := bootstrap.KubernetesService(b.client, bootstrap.KubernetesConfig{
		ClusterIP: firstAddress(cidrs[0]),
		Address:   advertised.Unmap(),
		Port:      int32(b.options.SecureServing.BindPort),
	})
	hook := bootstrap.Hook("bootstrap-controller", ensure)
	return func(ctx genericapiserver.PostStartHookContext) error {
		services.Repair(ctx, b.ranges, b.client)
		return hook(ctx)
	}, nil
}
