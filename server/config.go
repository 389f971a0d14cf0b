package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	discoveryendpoint "k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
	"k8s.io/apiserver/pkg/server/healthz"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	flowcontrolrequest "k8s.io/apiserver/pkg/util/flowcontrol/request"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"

	"github.com/skiff-project/skiff/apis/scheme"
	"github.com/skiff-project/skiff/server/auth"
	"github.com/skiff-project/skiff/server/inprocess"
	"github.com/skiff-project/skiff/server/services"
	"github.com/skiff-project/skiff/server/storage"
)

// builder holds what the steps of New hand on to each other.
type builder struct {
	options   *Options
	backend   *storage.Backend
	transport *inprocess.Transport
	identity  *inprocess.Identities
	client    kubernetes.Interface
	informers informers.SharedInformerFactory
	config    *genericapiserver.Config
	auth      auth.Result
	clientCA  dynamiccertificates.CAContentProvider
	ranges    services.Ranges
}

// buildConfig assembles the configuration that all layers of the server share.
func (b *builder) buildConfig(ctx context.Context) error {
	cfg := genericapiserver.NewConfig(scheme.Codecs)
	b.config = cfg
	if err := b.options.Run.ApplyTo(cfg); err != nil {
		return fmt.Errorf("applying the server options: %w", err)
	}
	cfg.EffectiveVersion = stampedVersion{cfg.EffectiveVersion}
	if err := b.options.SecureServing.ApplyTo(&cfg.SecureServing); err != nil {
		return fmt.Errorf("applying the serving options: %w", err)
	}
	cfg.LoopbackClientConfig = b.transport.ClientConfig(user.APIServerUser, user.SystemPrivilegedGroup)
	cfg.LongRunningFunc = genericfilters.BasicLongRunningRequestCheck(
		sets.NewString("watch", "proxy"), sets.NewString("attach", "exec", "proxy", "log", "portforward"))
	cfg.AggregatedDiscoveryGroupManager = discoveryendpoint.NewResourceManager("apis")
	cfg.StorageObjectCountTracker = flowcontrolrequest.NewStorageObjectCountTracker()
	if err := b.options.APIEnablement.ApplyTo(cfg, defaultResourceConfig(), scheme.Scheme); err != nil {
		return fmt.Errorf("applying --runtime-config: %w", err)
	}
	if err := b.options.Audit.ApplyTo(cfg); err != nil {
		return fmt.Errorf("applying the audit options: %w", err)
	}

	var err error
	if b.client, err = kubernetes.NewForConfig(cfg.LoopbackClientConfig); err != nil {
		return fmt.Errorf("building the loopback client: %w", err)
	}
	b.informers = informers.NewSharedInformerFactory(b.client, 10*time.Minute)
	if err := b.options.Features.ApplyTo(cfg, b.client, b.informers); err != nil {
		return fmt.Errorf("applying the feature options: %w", err)
	}
	b.addHealthChecks()
	if err := b.applyAuth(ctx); err != nil {
		return err
	}
	applyOpenAPI(cfg, b.auth.SecurityDefinitions)
	if err := b.applyStorage(); err != nil {
		return err
	}
	return b.applyAdmission()
}

func (b *builder) addHealthChecks() {
	probe := func(timeout time.Duration) func(*http.Request) error {
		return func(req *http.Request) error {
			ctx, cancel := context.WithTimeout(req.Context(), timeout)
			defer cancel()
			return b.backend.Probe(ctx)
		}
	}
	storageConfig := b.options.Etcd.StorageConfig
	b.config.AddHealthChecks(healthz.NamedGroupedCheck("etcd", "etcd", probe(storageConfig.HealthcheckTimeout)))
	b.config.AddReadyzChecks(healthz.NamedGroupedCheck("etcd-readiness", "etcd-readiness", probe(storageConfig.ReadycheckTimeout)))
}

// applyAuth wires authentication and authorization.
func (b *builder) applyAuth(ctx context.Context) error {
	o, cfg := b.options, b.config
	var err error
	if b.clientCA, err = o.ClientCert.GetClientCAContentProvider(); err != nil {
		return fmt.Errorf("loading --client-ca-file: %w", err)
	}
	if b.clientCA != nil {
		if err := cfg.Authentication.ApplyClientCert(b.clientCA, cfg.SecureServing); err != nil {
			return fmt.Errorf("applying --client-ca-file: %w", err)
		}
	}
	frontProxy, err := o.RequestHeader.ToAuthenticationRequestHeaderConfig()
	if err != nil {
		return fmt.Errorf("loading the --requestheader flags: %w", err)
	}
	if frontProxy != nil {
		cfg.Authentication.RequestHeaderConfig = frontProxy
		if err := cfg.Authentication.ApplyClientCert(frontProxy.CAContentProvider, cfg.SecureServing); err != nil {
			return fmt.Errorf("applying --requestheader-client-ca-file: %w", err)
		}
	}
	b.auth, err = auth.Build(ctx, auth.Config{
		ClientCA:      b.clientCA,
		RequestHeader: frontProxy,
		ServiceAccount: auth.ServiceAccountConfig{
			Issuers:            o.ServiceAccounts.Issuers,
			KeyFiles:           o.ServiceAccounts.KeyFiles,
			SigningKeyFile:     o.ServiceAccounts.SigningKeyFile,
			MaxExpiration:      o.ServiceAccounts.MaxTokenExpiration,
			NoExtendExpiration: !o.ServiceAccounts.ExtendExpiration,
			JWKSURI:            o.ServiceAccounts.JWKSURI,
			ExternalAddress:    b.externalAddress(),
		},
		Tokens:             []authenticator.Token{b.identity},
		APIAudiences:       o.APIAudiences,
		AuthorizationModes: o.AuthorizationModes,
		Client:             b.client,
		Informers:          b.informers,
	})
	if err != nil {
		return fmt.Errorf("building authentication and authorization: %w", err)
	}
	cfg.Authentication.APIAudiences = b.auth.APIAudiences
	cfg.Authentication.Authenticator = b.auth.Authenticator
	cfg.Authorization.Authorizer = b.auth.Authorizer
	cfg.RuleResolver = b.auth.RuleResolver
	return nil
}

// applyStorage makes the options of the generic stores.
func (b *builder) applyStorage() error {
	o := b.options.Etcd
	// The library reads the encryption configuration only as a part of ApplyTo,
	// whose other results are replaced here.
	etcd := *o
	etcd.SkipHealthEndpoints = true
	if err := etcd.ApplyTo(b.config); err != nil {
		return fmt.Errorf("applying the etcd options: %w", err)
	}
	b.backend.PublishSize()
	config := o.StorageConfig
	config.StorageObjectCountTracker = b.config.StorageObjectCountTracker
	getter, err := storage.NewGetter(storage.GetterConfig{
		Backend:                 b.backend,
		Serializer:              scheme.Codecs,
		Locate:                  locate,
		Storage:                 config,
		MediaType:               o.DefaultStorageMediaType,
		Transformers:            b.config.ResourceTransformers,
		DisableWatchCache:       !o.EnableWatchCache,
		DisableGC:               !o.EnableGarbageCollection,
		DeleteCollectionWorkers: o.DeleteCollectionWorkers,
	})
	if err != nil {
		return err
	}
	b.config.RESTOptionsGetter = getter
	return nil
}

// applyAdmission builds the admission chain; the check against privilege
// escalation through RBAC comes last and cannot be disabled.
func (b *builder) applyAdmission() error {
	dynamicClient, err := dynamic.NewForConfig(b.config.LoopbackClientConfig)
	if err != nil {
		return fmt.Errorf("building the dynamic loopback client: %w", err)
	}
	err = b.options.Admission.ApplyTo(b.config, b.informers, b.client, dynamicClient, b.config.FeatureGate, b.config.EffectiveVersion)
	if err != nil {
		return fmt.Errorf("building the admission chain: %w", err)
	}
	if b.auth.Escalation != nil {
		b.config.AdmissionControl = admission.NewChainHandler(b.config.AdmissionControl, b.auth.Escalation)
	}
	return nil
}

// defaultResourceConfig enables every version of the table.
func defaultResourceConfig() *serverstorage.ResourceConfig {
	config := serverstorage.NewResourceConfig()
	for _, row := range scheme.Resources() {
		config.EnableVersions(scheme.Versions(row)...)
	}
	return config
}
