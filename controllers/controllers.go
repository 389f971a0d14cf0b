package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/metadata"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/skiff-project/skiff/controllers/clusterroleaggregation"
	"github.com/skiff-project/skiff/controllers/deployment"
	"github.com/skiff-project/skiff/controllers/endpoints"
	"github.com/skiff-project/skiff/controllers/endpointslice"
	"github.com/skiff-project/skiff/controllers/endpointslicemirroring"
	"github.com/skiff-project/skiff/controllers/garbagecollector"
	"github.com/skiff-project/skiff/controllers/namespace"
	"github.com/skiff-project/skiff/controllers/nodeipam"
	"github.com/skiff-project/skiff/controllers/nodelifecycle"
	"github.com/skiff-project/skiff/controllers/podcontrol"
	"github.com/skiff-project/skiff/controllers/podgc"
	"github.com/skiff-project/skiff/controllers/replicaset"
	"github.com/skiff-project/skiff/controllers/replication"
	"github.com/skiff-project/skiff/controllers/rootca"
	"github.com/skiff-project/skiff/controllers/serviceaccount"
	"github.com/skiff-project/skiff/controllers/tainteviction"
	"github.com/skiff-project/skiff/controllers/tokens"
)

// entry is one controller of the list. register returns errNotConfigured
// if the configuration leaves it without what it needs.
type entry struct {
	name     string
	register func(w wiring) error
}

// errNotConfigured says that a controller lacks an optional part of the
// configuration and stays off, as in kube-controller-manager.
var errNotConfigured = errors.New("not configured")

// list is the one place where controllers are named and wired. The names are
// those that --controllers takes.
var list = []entry{
	{"serviceaccount-controller", func(w wiring) error {
		return serviceaccount.New(w.client(), 2).Register(w.mgr)
	}},
	{"root-ca-certificate-publisher-controller", func(w wiring) error {
		if len(w.cfg.RootCA) == 0 {
			return errNotConfigured
		}
		return rootca.New(w.client(), w.cfg.RootCA, 2).Register(w.mgr)
	}},
	{"node-ipam-controller", func(w wiring) error {
		if len(w.cfg.ClusterCIDRs) == 0 {
			return errNotConfigured
		}
		r, err := nodeipam.New(nodeipam.Deps{
			Client: w.client(), Events: w.recorder("cidrAllocator"),
			ClusterCIDRs: w.cfg.ClusterCIDRs, MaskSizes: w.cfg.maskSizes(), Reserved: w.cfg.ServiceCIDRs,
		})
		if err != nil {
			return err
		}
		return r.Register(w.mgr)
	}},
	{"replicaset-controller", func(w wiring) error {
		deps, err := w.replicas("replicaset-controller")
		if err != nil {
			return err
		}
		return replicaset.New(replicaset.ReplicaSets(), deps).Register(w.mgr)
	}},
	{"replicationcontroller-controller", func(w wiring) error {
		deps, err := w.replicas("replication-controller")
		if err != nil {
			return err
		}
		return replication.New(deps).Register(w.mgr)
	}},
	{"deployment-controller", func(w wiring) error {
		return deployment.New(deployment.Deps{
			Client: w.client(), Live: w.mgr.GetAPIReader(), Events: w.recorder("deployment-controller"),
			Clock: w.cfg.Clock, Workers: 5,
		}).Register(w.mgr)
	}},
	{"endpoints-controller", func(w wiring) error {
		return endpoints.New(endpoints.Deps{
			Client: w.client(), Events: w.recorder("endpoint-controller"), Workers: 5,
		}).Register(w.mgr)
	}},
	{"endpointslice-controller", func(w wiring) error {
		nodes, err := w.indexer(&corev1.Node{})
		if err != nil {
			return err
		}
		return endpointslice.New(endpointslice.Deps{
			Client: w.client(), Clientset: w.clientset, Nodes: corelisters.NewNodeLister(nodes),
			Events: w.recorder("endpoint-slice-controller"), Workers: 5,
		}).Register(w.mgr)
	}},
	{"endpointslice-mirroring-controller", func(w wiring) error {
		return endpointslicemirroring.New(w.client(), 5).Register(w.mgr)
	}},
	{"namespace-controller", func(w wiring) error {
		return namespace.New(namespace.Deps{
			Client: w.client(), Discovery: w.clientset.Discovery(), Metadata: w.metadata, Clock: w.cfg.Clock, Workers: 10,
		}).Register(w.mgr)
	}},
	{"garbage-collector-controller", func(w wiring) error {
		return garbagecollector.New(garbagecollector.Deps{
			Metadata: w.metadata, Mapper: w.mgr.GetRESTMapper(), Discovery: w.clientset.Discovery(),
			Shared: w.shared, Events: w.recorder("garbage-collector-controller"), Workers: 20,
		}).Register(w.mgr)
	}},
	{"node-lifecycle-controller", func(w wiring) error {
		return nodelifecycle.New(nodelifecycle.Deps{
			Client: w.client(), Events: w.recorder("node-controller"), Clock: w.cfg.Clock, Workers: 8,
			Grace: w.cfg.NodeMonitorGracePeriod, StartupGrace: w.cfg.NodeStartupGracePeriod, EvictionRate: w.cfg.NodeEvictionRate,
		}).Register(w.mgr)
	}},
	{"taint-eviction-controller", func(w wiring) error {
		return tainteviction.New(tainteviction.Deps{
			Client: w.client(), Events: w.recorder("taint-eviction-controller"), Clock: w.cfg.Clock, Workers: 8,
		}).Register(w.mgr)
	}},
	{"pod-garbage-collector-controller", func(w wiring) error {
		return podgc.New(podgc.Deps{
			Client: w.client(), Live: w.mgr.GetAPIReader(), Clock: w.cfg.Clock, Threshold: w.cfg.TerminatedPodThreshold,
		}).Register(w.mgr)
	}},
	{"serviceaccount-token-controller", func(w wiring) error {
		if len(w.cfg.ServiceAccountSigningKey) == 0 {
			return errNotConfigured
		}
		signer, err := tokens.NewSigner(w.cfg.ServiceAccountSigningKey)
		if err != nil {
			return err
		}
		return tokens.New(tokens.Deps{
			Client: w.client(), Live: w.mgr.GetAPIReader(), Signer: signer, RootCA: w.cfg.RootCA, Workers: 2,
		}).Register(w.mgr)
	}},
	{"clusterrole-aggregation-controller", func(w wiring) error {
		return clusterroleaggregation.New(w.client(), 2).Register(w.mgr)
	}},
}

// Names returns the names of all controllers, as --controllers takes them.
func Names() []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].name
	}
	return out
}

// wiring is what the entries of the list draw on.
type wiring struct {
	ctx       context.Context //nolint:containedctx // lives as long as the wiring itself
	cfg       Config
	mgr       ctrl.Manager
	clientset kubernetes.Interface
	metadata  metadata.Interface
}

func (w wiring) client() client.Client { return w.mgr.GetClient() }

// recorder returns a recorder of core events, whose component users see in the
// From column of kubectl describe.
func (w wiring) recorder(component string) record.EventRecorder {
	return w.mgr.GetEventRecorderFor(component) //nolint:staticcheck // its successor has no Source.Component
}

// indexer returns the store of the shared cache for a kind.
func (w wiring) indexer(obj client.Object) (toolscache.Indexer, error) {
	informer, err := w.mgr.GetCache().GetInformer(w.ctx, obj)
	if err != nil {
		return nil, fmt.Errorf("getting the informer of %T: %w", obj, err)
	}
	shared, ok := informer.(toolscache.SharedIndexInformer)
	if !ok {
		return nil, fmt.Errorf("informer of %T is a %T, which has no store", obj, informer)
	}
	return shared.GetIndexer(), nil
}

func (w wiring) replicas(component string) (replicaset.Deps, error) {
	pods, err := w.indexer(&corev1.Pod{})
	if err != nil {
		return replicaset.Deps{}, err
	}
	return replicaset.Deps{
		Client: w.client(), Live: w.mgr.GetAPIReader(), Pods: pods, Events: w.recorder(component),
		Clock: w.cfg.Clock, Workers: 5,
	}, nil
}

// sharedKinds are those that some controller reads in full; the garbage
// collector takes them from the same cache instead of watching them again.
var sharedKinds = []schema.GroupVersionKind{
	corev1.SchemeGroupVersion.WithKind("Pod"),
	corev1.SchemeGroupVersion.WithKind("Service"),
	corev1.SchemeGroupVersion.WithKind("Endpoints"),
	corev1.SchemeGroupVersion.WithKind("Node"),
	corev1.SchemeGroupVersion.WithKind("Namespace"),
	corev1.SchemeGroupVersion.WithKind("ServiceAccount"),
	corev1.SchemeGroupVersion.WithKind("ConfigMap"),
	corev1.SchemeGroupVersion.WithKind("ReplicationController"),
	appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
	appsv1.SchemeGroupVersion.WithKind("Deployment"),
	discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"),
	rbacv1.SchemeGroupVersion.WithKind("ClusterRole"),
}

// shared returns the shared informer of a kind, or nil if nothing else needs it.
func (w wiring) shared(ctx context.Context, kind schema.GroupVersionKind) (toolscache.SharedIndexInformer, error) {
	if !slices.Contains(sharedKinds, kind) {
		return nil, nil
	}
	informer, err := w.mgr.GetCache().GetInformerForKind(ctx, kind, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("getting the informer of %s: %w", kind, err)
	}
	shared, ok := informer.(toolscache.SharedIndexInformer)
	if !ok {
		return nil, fmt.Errorf("informer of %s is a %T", kind, informer)
	}
	return shared, nil
}

// index adds the indexes that controllers share to the cache.
func (w wiring) index() error {
	indexer := w.mgr.GetFieldIndexer()
	return errors.Join(
		indexer.IndexField(w.ctx, &corev1.Pod{}, podcontrol.ByController, podcontrol.IndexByController),
		indexer.IndexField(w.ctx, &corev1.Pod{}, podcontrol.ByNode, podcontrol.IndexByNode),
		indexer.IndexField(w.ctx, &appsv1.ReplicaSet{}, podcontrol.ByController, podcontrol.IndexByController),
	)
}
