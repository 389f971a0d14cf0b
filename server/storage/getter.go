package storage

import (
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	"k8s.io/client-go/tools/cache"
)

// Location says where and how a resource is stored.
type Location struct {
	Version schema.GroupVersion // written version
	Prefix  string              // key below the etcd prefix: "services/specs"
	// NoWatchCache keeps the resource out of the watch cache (events, whose many
	// short-lived objects nobody lists twice).
	NoWatchCache bool
}

// GetterConfig names what a Getter needs.
type GetterConfig struct {
	Backend    *Backend
	Serializer runtime.StorageSerializer
	// Locate returns the location of a resource.
	Locate func(schema.GroupResource) (Location, error)
	// Storage carries prefix, poll periods and the object count tracker.
	Storage storagebackend.Config
	// MediaType is what objects are encoded in; empty: protobuf.
	MediaType string
	// Transformers encrypt at rest; nil: stored as encoded.
	Transformers value.ResourceTransformers
	// DisableWatchCache turns the watch cache off for all resources.
	DisableWatchCache       bool
	DisableGC               bool
	DeleteCollectionWorkers int
}

// Getter hands RESTOptions to the generic store. It implements
// generic.RESTOptionsGetter.
type Getter struct{ cfg GetterConfig }

// NewGetter checks cfg and returns a Getter.
func NewGetter(cfg GetterConfig) (*Getter, error) {
	switch {
	case cfg.Backend == nil:
		return nil, fmt.Errorf("storage getter needs a Backend")
	case cfg.Serializer == nil:
		return nil, fmt.Errorf("storage getter needs a Serializer")
	case cfg.Locate == nil:
		return nil, fmt.Errorf("storage getter needs Locate")
	}
	if cfg.MediaType == "" {
		cfg.MediaType = runtime.ContentTypeProtobuf
	}
	if cfg.DeleteCollectionWorkers == 0 {
		cfg.DeleteCollectionWorkers = 1
	}
	return &Getter{cfg}, nil
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (g *Getter) GetRESTOptions(gr schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	location, err := g.cfg.Locate(gr)
	if err != nil {
		return generic.RESTOptions{}, fmt.Errorf("locating %s: %w", gr, err)
	}
	config := g.cfg.Storage
	config.Codec, config.EncodeVersioner, err = newCodec(g.cfg.Serializer, g.cfg.MediaType, location.Version, config)
	if err != nil {
		return generic.RESTOptions{}, err
	}
	if g.cfg.Transformers != nil {
		config.Transformer = g.cfg.Transformers.TransformerForResource(gr)
	}
	return generic.RESTOptions{
		StorageConfig:             config.ForResource(gr),
		Decorator:                 g.cfg.Backend.Decorator(!g.cfg.DisableWatchCache && !location.NoWatchCache),
		EnableGarbageCollection:   !g.cfg.DisableGC,
		DeleteCollectionWorkers:   g.cfg.DeleteCollectionWorkers,
		ResourcePrefix:            location.Prefix,
		CountMetricPollPeriod:     countPeriod(config),
		StorageObjectCountTracker: config.StorageObjectCountTracker,
	}, nil
}

func countPeriod(config storagebackend.Config) time.Duration { return config.CountMetricPollPeriod }

// Decorator returns the function by which a generic store gets its
// storage.Interface: etcd through the shared client and, when cached, the watch
// cache in front of it.
func (b *Backend) Decorator(cached bool) generic.StorageDecorator {
	return func(
		config *storagebackend.ConfigForResource,
		resourcePrefix string,
		keyFunc func(obj runtime.Object) (string, error),
		newFunc, newListFunc func() runtime.Object,
		attrs storage.AttrFunc,
		triggers storage.IndexerFuncs,
		indexers *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		raw, stopRaw, err := b.store(config, resourcePrefix, newFunc, newListFunc)
		if err != nil || !cached {
			return raw, stopRaw, err
		}
		c, err := cacher.NewCacherFromConfig(cacher.Config{
			Storage:             raw,
			Versioner:           storage.APIObjectVersioner{},
			GroupResource:       config.GroupResource,
			EventsHistoryWindow: config.EventsHistoryWindow,
			ResourcePrefix:      resourcePrefix,
			KeyFunc:             keyFunc,
			NewFunc:             newFunc,
			NewListFunc:         newListFunc,
			GetAttrsFunc:        attrs,
			IndexerFuncs:        triggers,
			Indexers:            indexers,
			Codec:               config.Codec,
		})
		if err != nil {
			stopRaw()
			return nil, nil, fmt.Errorf("building the watch cache of %s: %w", config.GroupResource, err)
		}
		delegator := cacher.NewCacheDelegator(c, raw)
		return delegator, sync.OnceFunc(func() {
			delegator.Stop()
			c.Stop()
			stopRaw()
		}), nil
	}
}

func (b *Backend) store(config *storagebackend.ConfigForResource, resourcePrefix string, newFunc, newListFunc func() runtime.Object) (storage.Interface, factory.DestroyFunc, error) {
	transformer := config.Transformer
	if transformer == nil {
		transformer = identity.NewEncryptCheckTransformer()
	}
	versioner := storage.APIObjectVersioner{}
	decoder := etcd3.NewDefaultDecoder(config.Codec, versioner)
	s, err := etcd3.New(b.client, b.compactor, config.Codec, newFunc, newListFunc, config.Prefix, resourcePrefix,
		config.GroupResource, transformer, config.LeaseManagerConfig, decoder, versioner)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the store of %s: %w", config.GroupResource, err)
	}
	return s, sync.OnceFunc(s.Close), nil
}
